/**
 * The client: connect, call, subscribe, run.
 */
export {};
