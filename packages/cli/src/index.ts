/**
 * rlp, one file a command.
 */
export {};
