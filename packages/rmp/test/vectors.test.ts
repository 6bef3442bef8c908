/** The golden vectors, whole and cut at every place, and what a decoder must survive. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createDecoder, createRegistry, type Decoded, type Decoder } from '../src/index.ts';

type Vector = { readonly name: string; readonly hex: string; readonly now_ms: number; readonly outcome: string };
const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden/rmp-vectors.json'), 'utf8')) as {
  readonly body_bytes_max: number;
  readonly vectors: readonly Vector[];
};

const decoderAt = (nowMs: number): Decoder =>
  createDecoder({ registry: createRegistry(), nowMs: () => nowMs, bodyBytesMax: golden.body_bytes_max });

function drain(decoder: Decoder): Decoded[] {
  const all: Decoded[] = [];
  for (let item = decoder.next(); item !== undefined; item = decoder.next()) all.push(item);
  return all;
}

/** The outcome in the vectors' words. */
function outcome(vector: Vector, cuts: readonly number[]): string {
  const bytes = Buffer.from(vector.hex, 'hex');
  const decoder = decoderAt(vector.now_ms);
  const items: Decoded[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    decoder.push(bytes.subarray(from, to));
    items.push(...drain(decoder));
    from = to;
  }
  if (items.length > 1) return `${items.length} items`;
  const item = items[0];
  if (item === undefined) return 'incomplete';
  if (item.type === 'error') return item.code;
  expect(Buffer.from(item.raw).toString('hex')).toBe(vector.hex);
  return 'ok';
}

describe('vectors', () => {
  test.each(golden.vectors.map((vector) => [vector.name, vector] as const))('%s', (_name, vector) => {
    const length = vector.hex.length / 2;
    expect(outcome(vector, [])).toBe(vector.outcome);
    for (let cut = 1; cut < length; cut += 1) expect(outcome(vector, [cut]), `cut at ${cut}`).toBe(vector.outcome);
    expect(
      outcome(
        vector,
        Array.from({ length }, (_, i) => i),
      ),
      'one byte at a time',
    ).toBe(vector.outcome);
  });

  test('the frozen error report, field by field', () => {
    const decoder = decoderAt(1731465601000);
    decoder.push(Buffer.from(golden.vectors[0]?.hex ?? '', 'hex'));
    const frame = decoder.next();
    if (frame?.type !== 'frame') throw new Error('the golden vector did not decode');
    expect(frame.header).toEqual({
      schemaId: 10,
      bodyLen: 96,
      createdAtMs: 1731465600123n,
      ttlMs: 60000n,
      traceId: '112233445566778899aabbccddeeff00',
      msgId: 42n,
    });
    expect(frame.envelope.type).toBe('error.report.v1');
    expect(frame.payload()).toEqual({ code: 'tool.unavailable', message: 'mailer offline' });
    expect(frame.meta).toEqual({ opening_id: 1234 });
    const [start, end] = frame.payloadRange;
    expect(frame.body[start]).toBe(0x82);
    expect(end).toBeLessThan(frame.body.length);
  });
});

describe('the end of the stream', () => {
  const bytes = Buffer.from(golden.vectors[0]?.hex ?? '', 'hex');
  const check = (length: number, expected: string | undefined): void => {
    const decoder = decoderAt(1731465601000);
    decoder.push(bytes.subarray(0, length));
    drain(decoder);
    expect(decoder.end()?.code, `cut after ${length} bytes`).toBe(expected);
  };
  test('is clean at a frame, else says where it was cut', () => {
    check(0, undefined);
    check(bytes.length, undefined);
    for (let length = 1; length < 68; length += 1) check(length, 'TruncatedHeader');
    for (let length = 68; length < bytes.length; length += 1) check(length, 'LengthMismatch');
  });
});

describe('after a fault', () => {
  const byName = (name: string): Buffer =>
    Buffer.from(golden.vectors.find((vector) => vector.name === name)?.hex ?? '', 'hex');
  const good = byName('golden error report');

  const survivors = ['flags 1', 'schema 999', 'ttl 0', 'body is an array', 'type of another family'];
  test.each(survivors)('%s: the next frame is read', (name) => {
    const stream = Buffer.concat([byName(name), good]);
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const decoder = decoderAt(1731465601000);
      const seen: string[] = [];
      for (const part of [stream.subarray(0, cut), stream.subarray(cut)]) {
        decoder.push(part);
        seen.push(...drain(decoder).map((item) => (item.type === 'frame' ? 'ok' : `${item.code} ${item.fatal}`)));
      }
      expect(seen).toEqual([`${golden.vectors.find((v) => v.name === name)?.outcome} false`, 'ok']);
      expect(decoder.end()).toBeUndefined();
    }
  });

  test.each(['frame_len 63', 'magic XMP0', 'header_version 1', 'body_len one over the limit'])(
    '%s: nothing more is read',
    (name) => {
      const decoder = decoderAt(1731465601000);
      decoder.push(Buffer.concat([byName(name), good]));
      expect(drain(decoder).map((item) => item.type === 'error' && item.fatal)).toEqual([true]);
      decoder.push(good);
      expect(drain(decoder)).toEqual([]);
      expect(decoder.heldBytes).toBe(0);
    },
  );
});
