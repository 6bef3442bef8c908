/**
 * runloopd: sockets, sessions, control, runs, supervision.
 */
export {};
