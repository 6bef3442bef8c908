/**
 * Limits that more than one package must agree on. Each package's own stand in its `limits.ts`.
 */

/** Default limit of an RMP body. */
export const bodyBytesMax: number = 8 * 1024 * 1024;
/** Values larger than this live as blobs, the event holding their digest. */
export const inlineBytesMax: number = 16 * 1024;
/** `sun_path` is 108 bytes with its NUL. */
export const socketPathBytesMax = 107;
/** Hashing and parsing beyond this happens off the daemon's main thread. */
export const mainThreadBytesMax: number = 64 * 1024;
/** Keys of JSON objects that the canonical writer remembers as they are written, and the longest of them. */
export const jsonNamesMax = 1024;
export const jsonNameCharsMax = 64;
