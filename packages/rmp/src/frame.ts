/**
 * One decoded frame: the bytes it came in, and views on them made only when somebody asks.
 *
 * 1. `source` from `start` to `end` is the whole frame, prefix included, byte for byte as it arrived.
 * 2. Routing needs the scalar fields and the envelope alone; `header`, `body` and `raw` allocate.
 */
import type { TraceId } from '@runloop/core';
import type { Envelope, Meta } from './envelope.ts';
import type { Value } from './values.ts';
import { readPayload } from './envelope.ts';
import { type Header, bodyOffset, createdAt, readHeader, schemaIdAt, ttlAt } from './header.ts';

export class Frame {
  readonly type = 'frame';
  /** The buffer that the frame stands in; other frames may stand in it too. */
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly envelope: Envelope;
  readonly schemaId: number;
  /** Milliseconds as a double, exact below 2^53; `header` has them exact always. */
  readonly createdAtMs: number;
  readonly expiresAtMs: number;

  constructor(source: Uint8Array, start: number, end: number, envelope: Envelope) {
    this.source = source;
    this.start = start;
    this.end = end;
    this.envelope = envelope;
    this.schemaId = schemaIdAt(source, start);
    this.createdAtMs = createdAt(source, start);
    this.expiresAtMs = this.createdAtMs + ttlAt(source, start);
  }

  get header(): Header {
    return readHeader(this.source, this.start);
  }

  get traceId(): TraceId {
    return this.header.traceId;
  }

  get meta(): Meta | undefined {
    return this.envelope.meta;
  }

  get body(): Uint8Array {
    return this.source.subarray(this.start + bodyOffset, this.end);
  }

  get raw(): Uint8Array {
    return this.source.subarray(this.start, this.end);
  }

  get byteLength(): number {
    return this.end - this.start;
  }

  /** Where the payload stands in `body`. */
  get payloadRange(): readonly [start: number, end: number] {
    const bodyStart = this.start + bodyOffset;
    return [this.envelope.payloadStart - bodyStart, this.envelope.payloadEnd - bodyStart];
  }

  /** The payload as a value; undefined where it repeats a key or names `__proto__`. */
  payload(): Value | undefined {
    return readPayload(this.source, this.envelope.payloadStart, this.envelope.payloadEnd);
  }
}
