/**
 * The RMP frame: header, envelope, registry, push decoder and encoder. Bytes, no sockets.
 *
 * What the wire says is in docs/protocol.md.
 */
export {
  type Header,
  headerBytes,
  prefixBytes,
  bodyOffset,
  readHeader,
  writeHeader,
  traceOffset,
  msgIdOffset,
} from './header.ts';
export {
  type Registry,
  type SchemaRow,
  createRegistry,
  builtinSchemas,
  families,
  schema,
  vendorIdMin,
} from './registry.ts';
export { type Value, type Extension } from './values.ts';
export { type Envelope, type EnvelopeReader, type Meta, createEnvelopeReader, readPayload } from './envelope.ts';
export { Frame } from './frame.ts';
export { type Decoder, type DecoderOptions, type Decoded, type DecodeFault, createDecoder } from './decoder.ts';
export { type Message, encodeMessage, encodeValue } from './encoder.ts';
export { bodyDepthMax, registeredSchemasMax, reserveBytesMax, typeBytesMax } from './limits.ts';
