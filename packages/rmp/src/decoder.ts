/**
 * Frames from a stream of bytes: push chunks in, pull frames and faults out.
 *
 * 1. The outcome does not depend on how the stream was cut into chunks.
 * 2. Nothing past a failed check is read, kept or decoded: a refused frame's body is skipped as it arrives.
 * 3. It holds at most one frame and one chunk; a body's room grows as its bytes arrive, not as its length claims.
 * 4. It never throws on any bytes. After a fatal fault it is dead, for where the next frame starts is unknown.
 *
 * A frame that lies whole in a chunk is not copied. Pull until `undefined` before pushing again.
 */
import { type RmpErrorCode, bodyBytesMax as defaultBodyBytesMax } from '@runloop/core';
import { createEnvelopeReader, payloadHasKeys } from './envelope.ts';
import { Frame } from './frame.ts';
import {
  type Header,
  bodyOffset,
  checkHeader,
  headerBytes,
  prefixBytes,
  readHeader,
  schemaIdAt,
  u32,
} from './header.ts';
import { reserveBytesMax } from './limits.ts';
import { type Registry, vendorIdMin } from './registry.ts';

export type DecodeFault = {
  readonly type: 'error';
  readonly code: RmpErrorCode;
  /** The stream cannot be trusted any more. */
  readonly fatal: boolean;
  /** What the header said, where the failed check came after the header's shape was found sound. */
  readonly header?: Header;
};
export type Decoded = Frame | DecodeFault;

export type DecoderOptions = {
  readonly registry: Registry;
  readonly nowMs: () => number;
  readonly bodyBytesMax?: number;
};

export interface Decoder {
  push(chunk: Uint8Array): void;
  /** The next frame or fault, or undefined when more bytes are needed. */
  next(): Decoded | undefined;
  /** Says that the stream ended: the fault of a frame cut short, or undefined for a clean end. */
  end(): DecodeFault | undefined;
  /** Bytes held for a frame that is not whole yet. */
  readonly heldBytes: number;
}

const fatalCodes: ReadonlySet<RmpErrorCode> = new Set(['TruncatedHeader', 'InvalidMagic', 'UnsupportedVersion']);
/** Faults found once magic, version and reserved fields were sound. */
const shapelessCodes: ReadonlySet<RmpErrorCode> = new Set([...fatalCodes, 'InvalidHeaderFlags']);
const vendorKeys = ['vendor', 'schema_hash'] as const;
const none = new Uint8Array(0);

export function createDecoder(options: DecoderOptions): Decoder {
  return new StreamDecoder(options);
}

class StreamDecoder implements Decoder {
  readonly #registry: Registry;
  readonly #nowMs: () => number;
  readonly #bodyBytesMax: number;
  readonly #knows: (id: number) => boolean;
  readonly #envelopes = createEnvelopeReader();
  /** The chunk being read, and how far. */
  #chunk: Uint8Array = none;
  #at = 0;
  /** The frame that began in an earlier chunk: its bytes so far, and whether its header passed. */
  #held: Uint8Array = none;
  #have = 0;
  #headerPassed = false;
  /** Bytes of a refused frame that are still to come. */
  #skip = 0;
  #skipping = false;
  #dead = false;

  constructor(options: DecoderOptions) {
    this.#registry = options.registry;
    this.#nowMs = options.nowMs;
    this.#bodyBytesMax = options.bodyBytesMax ?? defaultBodyBytesMax;
    this.#knows = (id) => id !== 0 && this.#registry.row(id) !== undefined;
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  push(chunk: Uint8Array): void {
    if (this.#dead) return;
    if (this.#at < this.#chunk.length) {
      // Pulled too little before pushing: keep the rest, in order.
      const rest = this.#chunk.subarray(this.#at);
      const both = new Uint8Array(rest.length + chunk.length);
      both.set(rest);
      both.set(chunk, rest.length);
      this.#chunk = both;
    } else {
      this.#chunk = chunk;
    }
    this.#at = 0;
  }

  next(): Decoded | undefined {
    if (this.#dead) return undefined;
    if (this.#skip > 0) this.#skipAhead();
    if (this.#skip > 0) return undefined;
    this.#skipping = false;
    if (this.#have > 0) return this.#continueHeld();
    const left = this.#chunk.length - this.#at;
    if (left === 0) return this.#release();
    const early = left >= prefixBytes ? this.#checkPrefix(this.#chunk, this.#at) : undefined;
    if (early !== undefined) return early;
    if (left >= bodyOffset) {
      const bad = this.#checkHeaderAt(this.#chunk, this.#at);
      if (bad !== undefined) return bad;
      const frameBytes = prefixBytes + u32(this.#chunk, this.#at);
      if (left >= frameBytes) {
        const start = this.#at;
        this.#at += frameBytes;
        return this.#frame(this.#chunk, start, this.#at);
      }
      this.#headerPassed = true;
    }
    this.#hold(left);
    return this.#release();
  }

  end(): DecodeFault | undefined {
    if (this.#dead) return undefined;
    this.#dead = true;
    // A frame that was refused has been answered already.
    if (this.#have === 0 || this.#skipping) return undefined;
    return { type: 'error', code: this.#have < bodyOffset ? 'TruncatedHeader' : 'LengthMismatch', fatal: true };
  }

  #release(): undefined {
    this.#chunk = none;
    this.#at = 0;
    return undefined;
  }

  #skipAhead(): void {
    const take = Math.min(this.#skip, this.#chunk.length - this.#at);
    this.#at += take;
    this.#skip -= take;
    if (this.#skip > 0) this.#release();
  }

  /** Takes `count` bytes of the chunk into the held frame, whose room grows with what arrives. */
  #hold(count: number): void {
    const need = this.#have + count;
    if (need > this.#held.length) {
      const frameBytes = this.#headerPassed
        ? prefixBytes + (this.#have > 0 ? u32(this.#held, 0) : u32(this.#chunk, this.#at))
        : bodyOffset;
      const room = Math.max(need, Math.min(frameBytes, Math.max(need * 2, reserveBytesMax)));
      const grown = Buffer.allocUnsafeSlow(room);
      grown.set(this.#held.subarray(0, this.#have));
      this.#held = grown;
    }
    this.#held.set(this.#chunk.subarray(this.#at, this.#at + count), this.#have);
    this.#have = need;
    this.#at += count;
  }

  #continueHeld(): Decoded | undefined {
    const available = this.#chunk.length - this.#at;
    if (!this.#headerPassed) {
      if (this.#have < prefixBytes) this.#hold(Math.min(prefixBytes - this.#have, available));
      const early = this.#have >= prefixBytes ? this.#checkPrefix(this.#held, 0) : undefined;
      if (early !== undefined) return early;
      this.#hold(Math.min(bodyOffset - this.#have, this.#chunk.length - this.#at));
      if (this.#have < bodyOffset) return this.#release();
      const bad = this.#checkHeaderAt(this.#held, 0);
      if (bad !== undefined) return bad;
      this.#headerPassed = true;
    }
    const frameBytes = prefixBytes + u32(this.#held, 0);
    this.#hold(Math.min(frameBytes - this.#have, this.#chunk.length - this.#at));
    if (this.#have < frameBytes) return this.#release();
    const whole = this.#held;
    this.#forget();
    return this.#frame(whole, 0, frameBytes);
  }

  #forget(): void {
    this.#held = none;
    this.#have = 0;
    this.#headerPassed = false;
  }

  #checkPrefix(bytes: Uint8Array, start: number): DecodeFault | undefined {
    const frameLen = u32(bytes, start);
    if (frameLen < headerBytes) return this.#die('TruncatedHeader');
    return frameLen > headerBytes + this.#bodyBytesMax ? this.#die('BodyTooLarge') : undefined;
  }

  #checkHeaderAt(bytes: Uint8Array, start: number): DecodeFault | undefined {
    const code = checkHeader(bytes, start, {
      bodyBytesMax: this.#bodyBytesMax,
      nowMs: this.#nowMs(),
      knows: this.#knows,
    });
    if (code === undefined) return undefined;
    if (fatalCodes.has(code)) return this.#die(code);
    const header = shapelessCodes.has(code) ? undefined : readHeader(bytes, start);
    const seen = bytes === this.#held ? this.#have : 0;
    this.#skip = prefixBytes + u32(bytes, start) - seen;
    this.#skipping = this.#skip > 0;
    this.#forget();
    return { type: 'error', code, fatal: false, ...(header === undefined ? {} : { header }) };
  }

  #die(code: RmpErrorCode): DecodeFault {
    this.#dead = true;
    this.#forget();
    this.#release();
    return { type: 'error', code, fatal: true };
  }

  /** Checks 11 and 12, on a frame that is whole. */
  #frame(source: Uint8Array, start: number, end: number): Decoded {
    const id = schemaIdAt(source, start);
    const row = this.#registry.row(id);
    const envelope = this.#envelopes.read(source, start + bodyOffset, end, row);
    const code =
      envelope === undefined || row === undefined
        ? 'BodyDecodeError'
        : !this.#registry.takes(row, envelope.type)
          ? 'BodyTypeMismatch'
          : id >= vendorIdMin && !payloadHasKeys(source, envelope.payloadStart, envelope.payloadEnd, vendorKeys)
            ? 'BodyDecodeError'
            : undefined;
    if (code === undefined && envelope !== undefined) return new Frame(source, start, end, envelope);
    return { type: 'error', code: code ?? 'BodyDecodeError', fatal: false, header: readHeader(source, start) };
  }
}
