/**
 * The body's envelope: `type` and `meta` are decoded strictly, `payload` is walked over and never built.
 *
 * 1. Whatever the bytes, the answer is an envelope or undefined (BodyDecodeError): nothing throws.
 * 2. Unknown keys are walked over and ignored; the same key twice is a fault, known or not.
 * 3. `meta` is immutable, for frames that repeat the same bytes share one decoded object.
 */
import { typeBytesMax } from './limits.ts';
import { type Cursor, type Value, fault, read, readKey, walk } from './values.ts';
import type { SchemaRow } from './registry.ts';

export type Meta = { readonly [key: string]: Value };

export type Envelope = {
  readonly type: string;
  /** Absent and `null` are the same. */
  readonly meta: Meta | undefined;
  /** Where the payload stands in the bytes given; both 0 when the envelope has none. */
  readonly payloadStart: number;
  readonly payloadEnd: number;
};

export const metaKeysRefused: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const metaRules = { refusedKeys: metaKeysRefused } as const;
/** A payload's own names are its sender's, but for the one that assignment would act upon. */
const payloadRules = { refusedKeys: new Set(['__proto__']) } as const;

export interface EnvelopeReader {
  /** `row` is what the registry gives for the frame's schema: its type is not decoded again where the bytes agree. */
  read(bytes: Uint8Array, start: number, end: number, row: SchemaRow | undefined): Envelope | undefined;
}

/** Keeps the last `meta` it decoded, so use one reader for each connection. */
export function createEnvelopeReader(): EnvelopeReader {
  const typeBytes = new Map<string, Uint8Array>();
  const lastBytes = new Uint8Array(metaKeptBytes);
  let lastLength = 0;
  let lastMeta: Meta | undefined;

  const readMeta = (bytes: Uint8Array, from: number, to: number): Meta | undefined | typeof fault => {
    if (to - from === lastLength && sameBytes(bytes, from, lastBytes, lastLength)) return lastMeta;
    if (bytes[from] === nil) return undefined;
    const value = read({ bytes, offset: from, end: to }, 1, metaRules);
    if (value === fault || !isMap(value)) return fault;
    if (to - from <= metaKeptBytes) {
      lastBytes.set(bytes.subarray(from, to));
      lastLength = to - from;
      lastMeta = value;
    }
    return value;
  };

  const readType = (cursor: Cursor, row: SchemaRow | undefined): string | undefined => {
    if (row !== undefined) {
      let expected = typeBytes.get(row.type);
      if (expected === undefined) {
        expected = shortText(row.type);
        typeBytes.set(row.type, expected);
      }
      const behind = cursor.offset + expected.length;
      if (behind <= cursor.end && sameBytes(cursor.bytes, cursor.offset, expected, expected.length)) {
        cursor.offset = behind;
        return row.type;
      }
    }
    const start = cursor.offset;
    const behind = walk(cursor.bytes, start, cursor.end, 1);
    if (behind === undefined || behind - start > typeBytesMax + 5) return undefined;
    const value = read(cursor, 1, metaRules);
    return typeof value === 'string' ? value : undefined;
  };

  return { read: (bytes, start, end, row) => readEnvelope({ bytes, offset: start, end }, row, readType, readMeta) };
}

const nil = 0xc0;
const metaKeptBytes = 256;

function readEnvelope(
  cursor: Cursor,
  row: SchemaRow | undefined,
  readType: (cursor: Cursor, row: SchemaRow | undefined) => string | undefined,
  readMeta: (bytes: Uint8Array, from: number, to: number) => Meta | undefined | typeof fault,
): Envelope | undefined {
  const count = openMap(cursor);
  if (count === undefined) return undefined;
  const { bytes, end } = cursor;
  let type: string | undefined;
  let meta: Meta | undefined;
  let payloadStart = 0;
  let payloadEnd = 0;
  let seen = 0;
  let others: Set<string> | undefined;
  for (let i = 0; i < count; i += 1) {
    let known = knownKey(bytes, cursor.offset, end);
    if (known !== 0) {
      cursor.offset += keyLength[known] ?? 0;
    } else {
      const key = readKey(cursor);
      if (key === fault) return undefined;
      known = key === 'type' ? isType : key === 'payload' ? isPayload : key === 'meta' ? isMeta : 0;
      if (known === 0) {
        others ??= new Set();
        if (others.has(key)) return undefined;
        others.add(key);
      }
    }
    if ((seen & known) !== 0) return undefined;
    seen |= known;
    if (known === isType) {
      type = readType(cursor, row);
      if (type === undefined) return undefined;
      continue;
    }
    const from = cursor.offset;
    const behind = walk(bytes, from, end, 1);
    if (behind === undefined) return undefined;
    cursor.offset = behind;
    if (known === isPayload) {
      payloadStart = from;
      payloadEnd = behind;
    } else if (known === isMeta) {
      const value = readMeta(bytes, from, behind);
      if (value === fault) return undefined;
      meta = value;
    }
  }
  if (type === undefined || cursor.offset !== end) return undefined;
  return { type, meta, payloadStart, payloadEnd };
}

/** The count of a map whose tag stands at the cursor. */
function openMap(cursor: Cursor): number | undefined {
  const { bytes, offset, end } = cursor;
  const tag = offset < end ? (bytes[offset] ?? 0) : 0;
  if (tag >= 0x80 && tag < 0x90) {
    cursor.offset += 1;
    return tag & 0x0f;
  }
  const width = tag === 0xde ? 2 : tag === 0xdf ? 4 : 0;
  if (width === 0 || offset + 1 + width > end) return undefined;
  let count = 0;
  for (let i = 1; i <= width; i += 1) count = count * 256 + (bytes[offset + i] ?? 0);
  cursor.offset += 1 + width;
  return count;
}

const isType = 1;
const isPayload = 2;
const isMeta = 4;
const keyType = shortText('type');
const keyPayload = shortText('payload');
const keyMeta = shortText('meta');
const keyLength: readonly number[] = [0, keyType.length, keyPayload.length, 0, keyMeta.length];

/** One of the three keys in its shortest spelling; a longer one is read as text. */
function knownKey(bytes: Uint8Array, at: number, end: number): 0 | 1 | 2 | 4 {
  const tag = bytes[at];
  if (tag === 0xa4 && at + 5 <= end) {
    if (sameBytes(bytes, at, keyType, 5)) return isType;
    if (sameBytes(bytes, at, keyMeta, 5)) return isMeta;
  } else if (tag === 0xa7 && at + 8 <= end && sameBytes(bytes, at, keyPayload, 8)) return isPayload;
  return 0;
}

/** `text` as MsgPack writes it; for ASCII below 256 characters. */
function shortText(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([Buffer.from(text.length < 32 ? [0xa0 | text.length] : [0xd9, text.length]), bytes]);
}

function sameBytes(bytes: Uint8Array, offset: number, expected: Uint8Array, length: number): boolean {
  for (let i = 0; i < length; i += 1) if (bytes[offset + i] !== expected[i]) return false;
  return length > 0;
}

function isMap(value: Value): value is Meta {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}

/** Builds the payload between two offsets; undefined where it is no value or has `__proto__` or a key twice. */
export function readPayload(bytes: Uint8Array, start: number, end: number): Value | undefined {
  if (start === end) return null;
  const cursor = { bytes, offset: start, end };
  const value = read(cursor, 1, payloadRules);
  return value === fault || cursor.offset !== end ? undefined : value;
}

/** Are all of `keys` among the payload's own? Nothing of it is built. */
export function payloadHasKeys(bytes: Uint8Array, start: number, end: number, keys: readonly string[]): boolean {
  const cursor = { bytes, offset: start, end };
  const count = openMap(cursor);
  if (count === undefined) return false;
  let found = 0;
  for (let i = 0; i < count; i += 1) {
    const key = readKey(cursor);
    const behind = walk(bytes, cursor.offset, end, 2);
    if (key === fault || behind === undefined) return false;
    if (keys.includes(key)) found += 1;
    cursor.offset = behind;
  }
  return found === keys.length;
}
