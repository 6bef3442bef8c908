/**
 * The 64-byte header of a frame, and the checks that need nothing else.
 *
 * 1. Every integer is big-endian; 64-bit fields are BigInt, so that none is rounded.
 * 2. `checkHeader` answers with the first failure in the order of docs/protocol.md and reads nothing behind it.
 *
 * Offsets below count from the frame's length prefix, because that is where a frame starts in a stream.
 */
import { type RmpErrorCode, type TraceId, fromHex, toHex } from '@runloop/core';

export const prefixBytes = 4;
export const headerBytes = 64;
/** Prefix and header: where the body starts. */
export const bodyOffset = 68;

export type Header = {
  readonly schemaId: number;
  readonly bodyLen: number;
  readonly createdAtMs: bigint;
  readonly ttlMs: bigint;
  readonly traceId: TraceId;
  readonly msgId: bigint;
};

const at = {
  version: 8,
  headerLen: 10,
  flags: 12,
  schema: 16,
  reserved2: 18,
  bodyLen: 20,
  created: 24,
  ttl: 32,
} as const;
export const traceOffset = 40;
export const msgIdOffset = 56;
const reserved4 = 64;
const magic = 0x524d5030;

export function u32(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset] ?? 0) * 0x1000000 +
    (((bytes[offset + 1] ?? 0) << 16) | ((bytes[offset + 2] ?? 0) << 8) | (bytes[offset + 3] ?? 0))
  );
}

export function u64(bytes: Uint8Array, offset: number): bigint {
  return (BigInt(u32(bytes, offset)) << 32n) | BigInt(u32(bytes, offset + 4));
}

/** A u64 as a double: exact below 2^53, which is where every clock that works stands. */
export function approximate64(bytes: Uint8Array, offset: number): number {
  return u32(bytes, offset) * 0x100000000 + u32(bytes, offset + 4);
}

export function schemaIdAt(bytes: Uint8Array, start: number): number {
  return ((bytes[start + at.schema] ?? 0) << 8) | (bytes[start + at.schema + 1] ?? 0);
}

export function createdAt(bytes: Uint8Array, start: number): number {
  return approximate64(bytes, start + at.created);
}

export function ttlAt(bytes: Uint8Array, start: number): number {
  return approximate64(bytes, start + at.ttl);
}

/** Reads a header that `checkHeader` let pass; `start` is the offset of the frame's prefix. */
export function readHeader(bytes: Uint8Array, start: number): Header {
  return {
    schemaId: schemaIdAt(bytes, start),
    bodyLen: u32(bytes, start + at.bodyLen),
    createdAtMs: u64(bytes, start + at.created),
    ttlMs: u64(bytes, start + at.ttl),
    traceId: toHex(bytes.subarray(start + traceOffset, start + traceOffset + 16)) as TraceId,
    msgId: u64(bytes, start + msgIdOffset),
  };
}

export type HeaderRules = {
  readonly bodyBytesMax: number;
  readonly nowMs: number;
  readonly knows: (schemaId: number) => boolean;
};

/** Checks 2 to 10, with the whole header at hand. */
export function checkHeader(bytes: Uint8Array, start: number, rules: HeaderRules): RmpErrorCode | undefined {
  if (u32(bytes, start + prefixBytes) !== magic) return 'InvalidMagic';
  // Version 0 and length 64 side by side are the u32 64.
  if (u32(bytes, start + at.version) !== headerBytes) return 'UnsupportedVersion';
  if (u32(bytes, start + at.flags) !== 0) return 'InvalidHeaderFlags';
  if (bytes[start + at.reserved2] !== 0 || bytes[start + at.reserved2 + 1] !== 0) return 'InvalidHeaderFlags';
  if (u32(bytes, start + reserved4) !== 0) return 'InvalidHeaderFlags';
  const bodyLen = u32(bytes, start + at.bodyLen);
  if (bodyLen > rules.bodyBytesMax) return 'BodyTooLarge';
  if (u32(bytes, start) !== headerBytes + bodyLen) return 'LengthMismatch';
  if (!rules.knows(schemaIdAt(bytes, start))) return 'UnknownSchema';
  const ttlHigh = u32(bytes, start + at.ttl);
  const ttlLow = u32(bytes, start + at.ttl + 4);
  if (ttlHigh === 0 && ttlLow === 0) return 'InvalidTtl';
  const low = u32(bytes, start + at.created + 4) + ttlLow;
  const high = u32(bytes, start + at.created) + ttlHigh + (low >= 0x100000000 ? 1 : 0);
  if (high >= 0x100000000) return 'InvalidExpiry';
  if (rules.nowMs >= high * 0x100000000 + (low % 0x100000000)) return 'Expired';
  return undefined;
}

/** Writes prefix and header to `out` at `start`; `out` must have room for 68 bytes there. */
export function writeHeader(out: Uint8Array, start: number, header: Header): void {
  const view = new DataView(out.buffer, out.byteOffset + start, bodyOffset);
  view.setUint32(0, headerBytes + header.bodyLen);
  view.setUint32(prefixBytes, magic);
  view.setUint32(at.version, headerBytes);
  view.setUint32(at.flags, 0);
  view.setUint16(at.schema, header.schemaId);
  view.setUint16(at.reserved2, 0);
  view.setUint32(at.bodyLen, header.bodyLen);
  view.setBigUint64(at.created, header.createdAtMs);
  view.setBigUint64(at.ttl, header.ttlMs);
  out.set(traceBytes(header.traceId), start + traceOffset);
  view.setBigUint64(msgIdOffset, header.msgId);
  view.setUint32(reserved4, 0);
}

let lastTrace = '';
let lastTraceBytes = new Uint8Array(16);

/** Frames of one trace come in rows: the last conversion is kept. */
function traceBytes(traceId: TraceId): Uint8Array {
  if (traceId !== lastTrace) {
    lastTraceBytes = new Uint8Array(fromHex(traceId));
    lastTrace = traceId;
  }
  return lastTraceBytes;
}
