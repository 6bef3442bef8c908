/**
 * Reading and writing the WebAssembly binary format's atoms.
 *
 * 1. Reading past the end or a LEB128 that is too long throws `Malformed`; whoever walks a binary turns it into a failure.
 */
export class Malformed extends Error {}

export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    if (end > bytes.length || at > end) throw new Malformed('a part reaches past the end');
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  byte(): number {
    if (this.at >= this.end) throw new Malformed('the binary ends too early');
    return this.bytes[this.at++] ?? 0;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffffffff) throw new Malformed('an integer is too large');
        return value;
      }
    }
    throw new Malformed('an integer is too long');
  }

  /** Skips any LEB128 of at most 64 bits, signed or not. */
  skipLeb(): void {
    for (let i = 0; i < 10; i += 1) if (this.byte() < 0x80) return;
    throw new Malformed('an integer is too long');
  }

  skip(count: number): void {
    if (count > this.end - this.at) throw new Malformed('a part reaches past the end');
    this.at += count;
  }

  name(bytesMax: number): string {
    const length = this.u32();
    if (length > bytesMax) throw new Malformed(`a name of ${length} bytes is longer than ${bytesMax}`);
    const start = this.at;
    this.skip(length);
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, length).toString('utf8');
  }

  /** A reader over the next `count` bytes, which this one then stands behind. */
  part(count: number): Reader {
    const start = this.at;
    this.skip(count);
    return new Reader(this.bytes, start, this.at);
  }
}

export function u32Leb(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value >>> 0;
  do {
    const byte = rest & 0x7f;
    rest >>>= 7;
    out.push(rest === 0 ? byte : byte | 0x80);
  } while (rest !== 0);
  return Uint8Array.from(out);
}

/** Signed LEB128 of a 64-bit integer. */
export function s64Leb(value: bigint): Uint8Array {
  const out: number[] = [];
  for (let rest = value; ;) {
    const byte = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (byte & 0x40) === 0) || (rest === -1n && (byte & 0x40) !== 0);
    out.push(done ? byte : byte | 0x80);
    if (done) return Uint8Array.from(out);
  }
}

export type Section = { readonly id: number; readonly start: number; readonly end: number };

/** The sections of a core module or component, whose eight-byte preamble is at `reader`. */
export function sections(reader: Reader, preamble: readonly number[]): Section[] {
  for (const expected of preamble)
    if (reader.byte() !== expected) throw new Malformed('the preamble is not the expected one');
  const found: Section[] = [];
  while (!reader.done) {
    const id = reader.byte();
    const size = reader.u32();
    const start = reader.at;
    reader.skip(size);
    found.push({ id, start, end: reader.at });
  }
  return found;
}

export const corePreamble: readonly number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
export const componentPreamble: readonly number[] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
