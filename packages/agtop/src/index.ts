/**
 * The monitor.
 */
export {};
