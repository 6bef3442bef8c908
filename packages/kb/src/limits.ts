/**
 * Every limit of the ledger and its views, with what happens when it is reached.
 */

/** Events of one append; more are refused. One turn of a run may tell of each of its nodes: of 20 000, and something besides. */
export const appendEventsMax = 32_768;
/** Events that wait for the writer; beyond it an append is refused with `Busy`, so that nothing grows without end. */
export const appendsPendingMax = 65_536;
/** Events of one transaction, about 20 ms of writing; the rest waits for the next one. */
export const transactionEventsMax = 1_024;
/**
 * Canonical bytes of one payload or provenance; larger things are blobs. Producers are asked to stay under core's
 * `inlineBytesMax`, but for a run's first event, which holds its opening: all of it still fits a frame.
 */
export const payloadBytesMax: number = 7 * 1024 * 1024;
/** Bytes of a blob that stands in the ledger itself and shares its transactions; a larger one is a file. */
export const ledgerBlobBytesMax: number = 64 * 1024;
/** Bytes of such blobs that wait for the writer; beyond it an append is refused with `Busy`. */
export const blobBytesPendingMax: number = 64 * 1024 * 1024;
/** Bytes of one blob. */
export const blobBytesMax: number = 256 * 1024 * 1024;
/** Characters of actor, kind, scope and dedupe key. */
export const columnCharsMax = 512;
/** Rows that one typed read answers. */
export const readRowsMax = 1_000;
/** Bytes of events that one page answers; the page then ends early, never empty. It fits a frame. */
export const readBytesMax: number = 6 * 1024 * 1024;
/** Rows and bytes that the operator's SQL may answer; more are cut off, and the answer says so. They fit a frame. */
export const queryRowsMax = 10_000;
export const queryBytesMax: number = 6 * 1024 * 1024;
/** How long the operator's SQL may run before its process is killed. */
export const queryMsMax = 5_000;
/** Characters of one SQL text. */
export const queryCharsMax = 65_536;
/** Words of a search that are looked up; the rest is left out. */
export const searchTermsMax = 32;
/** Documents in which the words of a search may stand, summed over the words: the most frequent words are left out first. */
export const searchMatchesMax = 4_000;
/** Characters of one search. */
export const searchTextMax = 4_096;
/** Documents of each of the two orders, by words and by nearness, that are joined into one. */
export const searchCandidatesMax = 100;
/** Hits of one search. */
export const searchHitsMax = 100;
/** Events that one hit names, the newest ones. */
export const sourceEventsMax = 256;
/** Characters of one text that search indexes; what is longer is found by its beginning. */
export const searchCharsMax = 16_384;
/** Vectors of texts that are made between two questions, or before an answer; the rest follows in the background. */
export const embedChunkMax = 256;
export const embedBeforeAnswerMax = 2_048;
/** Texts that are sent to a model at once. */
export const embedRequestMax = 64;
/** Missing vectors that a model makes because a search was asked; more of them wait for `rlp kb reembed`. */
export const embedUnaskedMax = 512;
/** Numbers of one vector. */
export const dimensionMax = 4_096;
/** Bytes of vectors that the search thread holds; what is beyond is found by its words alone, and the answer says so. */
export const vectorBytesMax: number = 3 * 1024 * 1024 * 1024;
/** Words whose frequency the search thread remembers. */
export const frequenciesMax = 10_000;
/** Events of one ladder of `why`. */
export const whyEventsMax = 500;
/** Evidence ids of one proposal. */
export const evidenceMax = 64;
/** Events that the views project in one transaction. */
export const projectEventsMax = 2_000;

/** How long the views thread is not told of what is new, so that it takes many events at once. */
export const newsMs = 20;
/** What a thread's heap may grow to before what is young is collected: more would be kept at rest, for no gain in speed. */
export const threadYoungMib = 6;
/** How long the views thread stays when nobody asks: it costs about 18 MB and is back in some 50 ms. */
export const viewsIdleMs = 20_000;
/** How long the search thread stays when nobody asks, with all vectors in its memory: it is back in about 5 µs a document. */
export const searchIdleMs = 60_000;
/** Blobs that move to the archive in one transaction; whoever appends waits no longer than for these. */
export const archiveBatch = 32;
/** How often a forgetting is planned anew because something new names its subject, before it is given up. */
export const forgetPlansMax = 5;
