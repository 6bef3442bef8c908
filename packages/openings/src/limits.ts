/**
 * What an opening may grow to. Each limit is enforced where it is named and reached by a test.
 */

/** A file larger than this is refused before it is parsed. */
export const openingBytesMax: number = 4 * 1024 * 1024;
export const nodesMax = 20_000;
export const edgesMax = 200_000;
/** Nesting of maps and lists, in both surfaces. */
export const depthMax = 64;
/** Diagnostics of one file; the rest is counted, not shown. */
export const diagnosticsMax = 200;
export const goalsMax = 100;
/** Attempts that one node may be given. */
export const attemptsMax = 100;
/** Longest time-out or backoff: 7 days. */
export const durationMsMax: number = 7 * 24 * 3600 * 1000;
export const budgetUsdMax = 1e9;
/** What `policy.max_parallel` may say. */
export const parallelMax = 1024;
/** Bends of the long edges in a drawing; beyond it they run straight. */
export const bendsMax = 20_000;
/** How deep openings may stand in each other. */
export const nestingMax = 8;
/** Files of nested openings that one opening may need. */
export const nestedFilesMax = 100;
