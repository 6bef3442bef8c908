/**
 * The RMP frame: header, envelope, registry and push decoder. Bytes, no sockets.
 */
export {};
