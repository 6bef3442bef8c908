/**
 * BLAKE3 digests, 32 bytes, written as 64 lower-case hex digits.
 *
 * The digest of a JSON value is that of its canonical text in UTF-8.
 * A process that hashes much calls `hashInWasm` (fast-digest.ts) once: the digests are the same, at a tenth of the time.
 */
import { blake3 } from '@noble/hashes/blake3.js';
import { hexToBytes } from '@noble/hashes/utils.js';
import { canonicalJson } from './json.ts';
import { unwrap } from './result.ts';

export type Digest = string & { readonly __brand: 'Digest' };

let hash: (bytes: Uint8Array) => Uint8Array = blake3;

/** Every digest of this process is made by `other` from here on; it gives what it gave before. */
export function hashWith(other: (bytes: Uint8Array) => Uint8Array): void {
  hash = other;
}

/** Raw BLAKE3 of `bytes` (32 bytes). Anything over 64 KiB belongs off the daemon's main thread. */
export function blake3Bytes(bytes: Uint8Array): Uint8Array {
  return hash(bytes);
}

export function digestBytes(bytes: Uint8Array): Digest {
  return toHex(hash(bytes)) as Digest;
}

export function digestText(text: string): Digest {
  return digestBytes(new TextEncoder().encode(text));
}

/** Digest of the canonical JSON of `value`; throws on a value that is not JSON, for the caller had to check. */
export function digestJson(value: unknown): Digest {
  return digestText(unwrap(canonicalJson(value), 'a canonical JSON value'));
}

export function isDigest(text: string): text is Digest {
  return /^[0-9a-f]{64}$/.test(text);
}

export function toHex(bytes: Uint8Array): string {
  // One flat string: one put together piece by piece is kept as its pieces, at twelve times the room.
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** The bytes of a hex text; throws on odd length or other characters. */
export function fromHex(text: string): Uint8Array {
  return hexToBytes(text);
}
