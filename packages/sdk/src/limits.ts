/**
 * What may grow in a client, and how far.
 */

/** Messages of one subscription that wait to be taken before the socket is no longer read. */
export const bufferedMessagesMax = 4096;
/** Requests that wait for an answer at a time. */
export const pendingMax = 1024;
export const helloTimeoutMs = 5000;
export const callTimeoutMs = 30_000;
export const messageTtlMs = 30_000;
/** How long the daemon may hold back `run.events` when there is nothing new, and how many events it gives at a time. */
export const followWaitMs = 20_000;
export const followEventsMax = 500;
