/**
 * The ledger, its projections, search and why, with their writer thread.
 */
export {};
