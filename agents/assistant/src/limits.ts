/** What the assistant does at most. */

/** Calls of the model unless `with.steps` says, and what it may say at most. */
export const stepsDefault = 12;
export const stepsMax = 40;
/** What is sent to the model in one call: unless `with.context_kib` says, and no less when a budget forces it down. */
export const contextBytesDefault = 64 * 1024;
export const contextBytesMin = 4 * 1024;
/** What the model is shown of one result. */
export const resultBytesMax = 16 * 1024;
/** Tool calls of one answer that are made. */
export const callsPerStepMax = 8;
/** Tool calls of one answer that are known of at all; of each, what its name may have, and what of its arguments is told again. */
export const callsKeptMax = 32;
export const nameCharsMax = 64;
export const argumentCharsMax = 16 * 1024;
/** Of what the model said besides, what it is told again. */
export const saidCharsMax = 16 * 1024;
/** What is said of where something was read. */
export const sourceCharsMax = 300;
/** The same call again and again: from then on it must answer. */
export const repeatsMax = 3;
/** Answers without a word before it is given up. */
export const emptyAnswersMax = 2;
/** Tokens of one answer, and no less when a budget forces it down. */
export const answerTokensMax = 2_048;
export const answerTokensMin = 512;
export const linesDefault = 400;
/** How far into a file lines are looked for. */
export const scannedBytesMax: number = 8 * 1024 * 1024;
/** What one call reads of a file: with a word about the rest it is a result that is shown whole. */
export const readCharsMax: number = resultBytesMax - 256;
