/**
 * Decides whether a line belongs to the shell or to the agents. Pure.
 */
export {};
