/** Every limit of the broker, with what happens when it is reached. */

/** Bytes of one answer; a longer one is cut off and is a failure, never half an answer. */
export const answerBytesMax: number = 4 * 1024 * 1024;
/** Characters of what a provider said that a failure quotes. */
export const quoteCharsMax = 500;
/** Characters of a tool call's id and of its name: dialects say both again with its result. */
export const callNameCharsMax = 256;
/** Bytes of one request's messages, tools and schema. */
export const requestBytesMax: number = 4 * 1024 * 1024;
/** Tokens that a provider may say it used; above it, what was reserved is booked instead. */
export const usageTokensMax = 1_000_000_000;
/** Texts of one `embed`. */
export const embedTextsMax = 2_048;
/** Calls under way at one provider, unless its configuration says less. */
export const concurrencyDefault = 8;
/** Calls that wait for one provider; beyond it they fail with `Busy`. */
export const queueMax = 1_024;
/** Attempts at one provider before the next one is tried. */
export const attemptsMax = 3;
/** The longest wait between attempts; a provider that asks for more is given up. */
export const retryMsMax = 30_000;
/** Time for connecting, and for the whole of a call unless configured. */
export const connectMsMax = 5_000;
export const timeoutMsDefault = 60_000;
/** Failures in a row that open a provider's breaker, and how long it stays open. */
export const breakerFailures = 5;
export const breakerOpenMs = 10_000;
/** Answers in the cache, and how long they live, unless configured. */
export const cacheEntriesDefault = 1_024;
export const cacheTtlMsDefault = 600_000;
/** How alike two questions must be to have one answer, unless configured. */
export const semanticThresholdDefault = 0.97;
/** Characters of a question that is compared; a longer one is not. */
export const semanticTextCharsMax = 8_192;
/** Numbers of a vector that is kept. */
export const semanticDimensionMax = 8_192;
/** Questions that one is compared with, and bytes of all vectors; those that were not asked for the longest make room. */
export const semanticGroupMax = 512;
export const semanticBytesMax: number = 64 * 1024 * 1024;
/** How long a call waits for the embedding of its question; then it is made as if there were no semantic cache. */
export const semanticWaitMs = 5_000;
/** Answers in the cache's file, and bytes of it; the oldest go first. One that is larger than the second is not kept there. */
export const storedEntriesMax = 20_000;
export const storedBytesMax: number = 64 * 1024 * 1024;
export const storedAnswerBytesMax: number = 1024 * 1024;
/** How long an answer that has ended may still stand there. */
export const storedSweepMs = 60_000;
/** Bytes of a file that a `record` provider plays. */
export const recordBytesMax: number = 256 * 1024 * 1024;
/** Budget levels that are held at once; beyond it calls fail with `Busy` until runs end. */
export const levelsMax = 100_000;
/** What one agent may hold of what is left of a budget that others share, by calls under way, unless configured. */
export const agentShareDefault = 0.5;
/** How long after a provider's own time a reservation that nobody settled is booked at its bound. */
export const reservationGraceMs = 10_000;
/** Tokens that an answer may have when the request does not say. */
export const answerTokensDefault = 1_024;
