/**
 * A strict reader of MsgPack: values from bytes, and walking over values without building them.
 *
 * 1. It never throws: a fault is `undefined` from `walk`, and `fault` from `read`.
 * 2. It never reads past `end`, never recurses deeper than `bodyDepthMax`, never allocates from a length it has not met.
 * 3. No map has a key twice; maps become null-prototype objects; 64-bit integers stay exact (number, else BigInt).
 *
 * Writing is @msgpack/msgpack's. Reading is ours because that library accepts duplicate keys in silence, and gives
 * either every 64-bit integer as BigInt or none.
 */
import { bodyDepthMax } from './limits.ts';
import { approximate64, u32, u64 } from './header.ts';

/** A value as MsgPack can say it. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Extension
  | readonly Value[]
  | { readonly [key: string]: Value };
export type Extension = { readonly extension: number; readonly data: Uint8Array };

export type ReadRules = {
  /** Names that no key may have, at any depth. */
  readonly refusedKeys: ReadonlySet<string>;
};

export type Cursor = { offset: number; readonly end: number; readonly bytes: Uint8Array };

/** Thrown nowhere: what `read` returns instead of a value that is not there. */
export const fault: unique symbol = Symbol('fault');
export type Fault = typeof fault;

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** How a value starts: bytes of its own behind the tag, then how many values inside it. Reused, for walking is hot. */
const head = { bytes: 0, inside: 0 };
const remaining = new Float64Array(bodyDepthMax + 1);

/** The offset behind the value at `offset`, or undefined where it is cut, malformed or nested deeper than `depth` allows. */
export function walk(bytes: Uint8Array, offset: number, end: number, depth: number): number | undefined {
  let at = offset;
  let level = 0;
  remaining[0] = 1;
  while (level >= 0) {
    if ((remaining[level] ?? 0) === 0) {
      level -= 1;
      continue;
    }
    remaining[level] = (remaining[level] ?? 0) - 1;
    const next = measure(bytes, at, end);
    if (next === undefined) return undefined;
    at = next + head.bytes;
    if (at > end) return undefined;
    if (head.inside >= 0) {
      level += 1;
      if (level + depth > bodyDepthMax) return undefined;
      remaining[level] = head.inside;
    }
  }
  return at;
}

/** Reads one tag and its length fields into `head`; `inside` is −1 for a value that is no container. */
function measure(bytes: Uint8Array, offset: number, end: number): number | undefined {
  if (offset >= end) return undefined;
  const tag = bytes[offset] ?? 0xc1;
  head.bytes = 0;
  head.inside = -1;
  if (tag < 0x80 || tag >= 0xe0) return offset + 1;
  if (tag < 0x90) return container((tag & 0x0f) * 2, offset + 1);
  if (tag < 0xa0) return container(tag & 0x0f, offset + 1);
  if (tag < 0xc0) return sized(tag & 0x1f, offset + 1);
  if (tag === 0xc1) return undefined;
  const width = lengthWidth[tag - 0xc0] ?? 0;
  if (offset + 1 + width > end) return undefined;
  const length = width === 0 ? 0 : unsigned(bytes, offset + 1, width);
  const behind = offset + 1 + width;
  if (tag >= 0xdc) return container(tag >= 0xde ? length * 2 : length, behind);
  return sized(length + (fixedBytes[tag - 0xc0] ?? 0), behind);
}

function container(inside: number, behind: number): number {
  head.inside = inside;
  return behind;
}

function sized(bytes: number, behind: number): number {
  head.bytes = bytes;
  return behind;
}

/** For the tags 0xc0 to 0xdf: how many bytes of length follow, and how many bytes besides that length. */
const lengthWidth = [0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4];
const fixedBytes = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0];

function unsigned(bytes: Uint8Array, offset: number, width: number): number {
  if (width === 1) return bytes[offset] ?? 0;
  if (width === 2) return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
  return u32(bytes, offset);
}

/** Builds the value at the cursor and moves past it. `depth` counts the containers around it. */
export function read(cursor: Cursor, depth: number, rules: ReadRules): Value | Fault {
  const start = cursor.offset;
  const behind = measure(cursor.bytes, start, cursor.end);
  if (behind === undefined) return fault;
  const { bytes: length, inside } = head;
  if (behind + length > cursor.end) return fault;
  cursor.offset = behind + length;
  const tag = cursor.bytes[start] ?? 0xc1;
  if (inside >= 0) {
    if (depth + 1 > bodyDepthMax || inside > cursor.end - behind) return fault;
    const isMap = (tag >= 0x80 && tag < 0x90) || tag >= 0xde;
    return isMap ? readMap(cursor, inside / 2, depth + 1, rules) : readList(cursor, inside, depth + 1, rules);
  }
  return readScalar(cursor.bytes, tag, start, behind, length);
}

function readList(cursor: Cursor, count: number, depth: number, rules: ReadRules): Value | Fault {
  const list: Value[] = [];
  for (let i = 0; i < count; i += 1) {
    const value = read(cursor, depth, rules);
    if (value === fault) return fault;
    list.push(value);
  }
  return list;
}

function readMap(cursor: Cursor, count: number, depth: number, rules: ReadRules): Value | Fault {
  const map = Object.create(null) as { [key: string]: Value };
  for (let i = 0; i < count; i += 1) {
    const key = readKey(cursor);
    if (key === fault || key in map || rules.refusedKeys.has(key)) return fault;
    const value = read(cursor, depth, rules);
    if (value === fault) return fault;
    map[key] = value;
  }
  return map;
}

/** A key as text. A key that is an integer counts as its digits; other kinds of key are refused. */
export function readKey(cursor: Cursor): string | Fault {
  const start = cursor.offset;
  const behind = measure(cursor.bytes, start, cursor.end);
  if (behind === undefined || head.inside >= 0 || behind + head.bytes > cursor.end) return fault;
  const length = head.bytes;
  cursor.offset = behind + length;
  const value = readScalar(cursor.bytes, cursor.bytes[start] ?? 0xc1, start, behind, length);
  if (typeof value === 'string') return value;
  return (typeof value === 'number' && Number.isInteger(value)) || typeof value === 'bigint' ? String(value) : fault;
}

function readScalar(bytes: Uint8Array, tag: number, start: number, behind: number, length: number): Value | Fault {
  if (tag < 0x80) return tag;
  if (tag >= 0xe0) return tag - 0x100;
  if ((tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb)) return readText(bytes, behind, behind + length);
  switch (tag) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return bytes.slice(behind, behind + length);
    case 0xc7:
    case 0xc8:
    case 0xc9:
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return { extension: ((bytes[behind] ?? 0) << 24) >> 24, data: bytes.slice(behind + 1, behind + length) };
    default:
      return readNumber(bytes, tag, start + 1);
  }
}

function readNumber(bytes: Uint8Array, tag: number, at: number): number | bigint {
  switch (tag) {
    case 0xcc:
      return bytes[at] ?? 0;
    case 0xcd:
      return unsigned(bytes, at, 2);
    case 0xce:
      return u32(bytes, at);
    case 0xcf: {
      const near = approximate64(bytes, at);
      return Number.isSafeInteger(near) ? near : u64(bytes, at);
    }
    case 0xd0:
      return ((bytes[at] ?? 0) << 24) >> 24;
    case 0xd1:
      return (unsigned(bytes, at, 2) << 16) >> 16;
    case 0xd2:
      return u32(bytes, at) | 0;
    case 0xd3: {
      const exact = BigInt.asIntN(64, u64(bytes, at));
      const near = Number(exact);
      return Number.isSafeInteger(near) ? near : exact;
    }
    default: {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, tag === 0xca ? 4 : 8);
      return tag === 0xca ? view.getFloat32(0) : view.getFloat64(0);
    }
  }
}

const { latin1Slice } = Buffer.prototype;

/** Strict UTF-8; short ASCII, which is nearly all there is, goes without the decoder. */
function readText(bytes: Uint8Array, start: number, end: number): string | Fault {
  if (end - start > asciiBytesMax) return decodeText(bytes, start, end);
  for (let i = start; i < end; i += 1) if ((bytes[i] ?? 0) >= 0x80) return decodeText(bytes, start, end);
  if (end - start > 8) return latin1Slice.call(bytes, start, end);
  let text = '';
  for (let i = start; i < end; i += 1) text += String.fromCharCode(bytes[i] ?? 0);
  return text;
}

/** Looking at each byte first pays up to here. */
const asciiBytesMax = 128;

function decodeText(bytes: Uint8Array, start: number, end: number): string | Fault {
  try {
    return strictText.decode(bytes.subarray(start, end));
  } catch {
    return fault;
  }
}
