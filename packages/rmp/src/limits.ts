/**
 * What may grow in a frame, and how far. The size of a body stands in core, for others must agree on it.
 */

/** Containers inside one another in a body, the envelope's own map included. */
export const bodyDepthMax = 64;
/** Bytes that the decoder sets aside at once for a body that has not arrived yet; the rest as it arrives. */
export const reserveBytesMax: number = 64 * 1024;
/** Ids that one registry holds beside the built-in table. */
export const registeredSchemasMax = 4096;
/** Bytes of a schema's `type`. */
export const typeBytesMax = 256;
