/** Round trips, strictness of the envelope, bounded memory, and bytes that nobody meant. */
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { decode as referenceDecode, encode as referenceEncode } from '@msgpack/msgpack';
import type { TraceId } from '@runloop/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Decoded,
  type Frame,
  bodyDepthMax,
  createDecoder,
  createEnvelopeReader,
  createRegistry,
  encodeMessage,
  encodeValue,
  readPayload,
  registeredSchemasMax,
  reserveBytesMax,
  typeBytesMax,
} from '../src/index.ts';

const registry = createRegistry();
const trace = '00112233445566778899aabbccddeeff' as TraceId;
const now = 1_731_465_600_000;

function frameOf(payload: unknown, meta?: { readonly [key: string]: unknown }, schemaId = 1): Uint8Array {
  const message = { schemaId, payload, createdAtMs: now, ttlMs: 1000, traceId: trace, msgId: 7n };
  const encoded = encodeMessage(registry, meta === undefined ? message : { ...message, meta });
  if (!encoded.ok) throw new Error(encoded.error.message);
  return encoded.value;
}

function decodeAll(bytes: Uint8Array, cuts: readonly number[] = []): Decoded[] {
  const decoder = createDecoder({ registry, nowMs: () => now });
  const all: Decoded[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    decoder.push(bytes.subarray(from, to));
    for (let item = decoder.next(); item !== undefined; item = decoder.next()) all.push(item);
    from = to;
  }
  return all;
}

function only(bytes: Uint8Array): Frame {
  const [item, ...more] = decodeAll(bytes);
  expect(more).toEqual([]);
  if (item?.type !== 'frame') throw new Error(`not a frame: ${JSON.stringify(item)}`);
  return item;
}

const json = fc.jsonValue({ maxDepth: 5 }).filter((value) => !JSON.stringify(value).includes('__proto__'));
/** The reader gives null-prototype maps; comparing by JSON leaves the prototype out. */
const same = (a: unknown, b: unknown): void =>
  expect(JSON.parse(JSON.stringify(a))).toEqual(JSON.parse(JSON.stringify(b)));

describe('round trip', () => {
  test('any JSON payload, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(json, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(2000), { maxLength: 5 }),
        (payloads, cuts) => {
          const stream = Buffer.concat(payloads.map((payload) => frameOf(payload, { topic: 'a/b' })));
          const sorted = cuts.filter((cut) => cut < stream.length).sort((a, b) => a - b);
          const items = decodeAll(stream, sorted);
          expect(items.length).toBe(payloads.length);
          items.forEach((item, i) => {
            if (item.type !== 'frame') throw new Error(item.code);
            same(item.payload(), payloads[i]);
            same(item.meta, { topic: 'a/b' });
          });
          expect(Buffer.concat(items.map((item) => (item.type === 'frame' ? item.raw : new Uint8Array())))).toEqual(
            stream,
          );
        },
      ),
    );
  });

  test('bytes, and integers of 64 bits, exactly', () => {
    const payload = {
      a: new Uint8Array([1, 2, 255]),
      b: 2n ** 63n,
      c: -(2n ** 63n),
      d: 2 ** 53 - 1,
      e: -5_000_000_000,
      f: 1.5,
    };
    const read = only(frameOf(payload)).payload() as typeof payload;
    expect({ ...read, a: [...read.a] }).toEqual({ ...payload, a: [1, 2, 255] });
    expect((only(frameOf({ at: now })).payload() as { at: number }).at).toBe(now);
  });

  test('the reader agrees with the reference library on every value both know', () => {
    fc.assert(
      fc.property(json, (value) => {
        const bytes = referenceEncode(value);
        same(readPayload(bytes, 0, bytes.length), referenceDecode(bytes));
      }),
    );
    for (const value of [
      0,
      127,
      128,
      255,
      256,
      65535,
      65536,
      2 ** 32 - 1,
      2 ** 32,
      -1,
      -32,
      -33,
      -128,
      -129,
      -32769,
      -2147483649,
      0.1,
    ]) {
      const bytes = referenceEncode(value);
      expect(readPayload(bytes, 0, bytes.length)).toBe(value);
    }
    for (const length of [0, 31, 32, 255, 256, 65535, 65536]) {
      for (const value of ['x'.repeat(length), new Uint8Array(length), Array.from({ length }, () => 1)]) {
        const bytes = referenceEncode(value);
        expect(readPayload(bytes, 0, bytes.length)).toEqual(value);
      }
    }
  });
});

describe('the envelope', () => {
  const body = (hex: string): string => {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    const envelope = createEnvelopeReader().read(bytes, 0, bytes.length, registry.row(1));
    return envelope === undefined ? 'BodyDecodeError' : 'ok';
  };
  const text = (value: string): string => Buffer.from(referenceEncode(value)).toString('hex');
  const type = text('type') + text('observation.generic.v1');
  const payload = text('payload');
  const meta = text('meta');
  const check = (name: string, hex: string, expected: 'ok' | 'BodyDecodeError'): void => {
    test(name, () => expect(body(hex)).toBe(expected));
  };

  check('type and payload', `82 ${type} ${payload} c0`, 'ok');
  check('keys in another order', `83 ${meta} 80 ${payload} 01 ${type}`, 'ok');
  check(
    'a key spelled with a longer length',
    `82 d904${text('type').slice(2)} ${text('observation.generic.v1')} ${payload} c0`,
    'ok',
  );
  check(
    'that key a second time',
    `82 d904${text('type').slice(2)} ${text('observation.generic.v1')} ${type}`,
    'BodyDecodeError',
  );
  check('meta null', `83 ${type} ${payload} c0 ${meta} c0`, 'ok');
  check('meta a list', `83 ${type} ${payload} c0 ${meta} 90`, 'BodyDecodeError');
  check('type twice', `82 ${type} ${type}`, 'BodyDecodeError');
  check('payload twice', `83 ${type} ${payload} c0 ${payload} c0`, 'BodyDecodeError');
  check('an unknown key', `83 ${type} ${payload} c0 ${text('extra')} 9101`, 'ok');
  check('an unknown key twice', `84 ${type} ${payload} c0 ${text('x')} 01 ${text('x')} 01`, 'BodyDecodeError');
  check(
    'a key of meta twice',
    `83 ${type} ${payload} c0 ${meta} 82 ${text('a')} 01 ${text('a')} 02`,
    'BodyDecodeError',
  );
  check('__proto__ in meta', `83 ${type} ${payload} c0 ${meta} 81 ${text('__proto__')} 80`, 'BodyDecodeError');
  check('constructor in meta', `83 ${type} ${payload} c0 ${meta} 81 ${text('constructor')} 80`, 'BodyDecodeError');
  check('prototype in meta', `83 ${type} ${payload} c0 ${meta} 81 ${text('prototype')} 80`, 'BodyDecodeError');
  check('__proto__ in the payload, which is not built', `82 ${type} ${payload} 81 ${text('__proto__')} 80`, 'ok');
  check('type a number', `82 ${text('type')} 01 ${payload} c0`, 'BodyDecodeError');
  check('type not UTF-8', `82 ${text('type')} a2ff41 ${payload} c0`, 'BodyDecodeError');
  check('trailing byte', `82 ${type} ${payload} c0 c0`, 'BodyDecodeError');
  check('the byte MsgPack never uses', `82 ${type} ${payload} c1`, 'BodyDecodeError');
  check('a map that claims 2^32 - 1 pairs', `82 ${type} ${payload} dfffffffff`, 'BodyDecodeError');
  check('a text that claims 2^32 - 1 bytes', `82 ${type} ${payload} dbffffffff`, 'BodyDecodeError');
  // The envelope's own map is the first container.
  check('A10: nested as deep as may be', `82 ${type} ${payload} ${'91'.repeat(bodyDepthMax - 2)} 90`, 'ok');
  check('A10: nested one deeper', `82 ${type} ${payload} ${'91'.repeat(bodyDepthMax - 1)} 90`, 'BodyDecodeError');
  check(
    'A10: meta nested one deeper',
    `82 ${type} ${meta} 81 ${text('a')} ${'91'.repeat(bodyDepthMax - 2)} 90`,
    'BodyDecodeError',
  );
  check(
    'A10: a type longer than any',
    `82 ${text('type')} ${text('observation.generic.v1'.padEnd(typeBytesMax + 9, '0'))} ${payload} c0`,
    'BodyDecodeError',
  );

  test('A9: keys and types of a newer version pass', () => {
    const frame = only(frameOf({ v: 2, more: [] }, { topic: 'a', from_the_future: { x: 1 } }));
    expect(frame.type).toBe('frame');
    const newer = encodeMessage(registry, {
      schemaId: 10,
      type: 'error.report.v9',
      payload: {},
      createdAtMs: now,
      ttlMs: 1,
      traceId: trace,
      msgId: 1n,
    });
    expect(newer.ok && only(newer.value).envelope.type).toBe('error.report.v9');
  });

  test('__proto__ in a payload is refused when somebody builds it', () => {
    const bytes = Buffer.from(`81${text('__proto__')}80`, 'hex');
    expect(readPayload(bytes, 0, bytes.length)).toBeUndefined();
  });
});

describe('the registry', () => {
  const check = (id: number, type: string, expected: boolean): void => {
    test(`register ${id} ${type.slice(0, 40)}`, () => expect(createRegistry().register(id, type).ok).toBe(expected));
  };
  check(128, 'intent.mine.v1', true);
  check(1023, 'artifact.a.b.c.v12', true);
  check(4096, 'observation.acme.v1', true);
  check(65535, 'observation.acme.v1', true);
  check(127, 'intent.mine.v1', false);
  check(1024, 'intent.mine.v1', false);
  check(4095, 'intent.mine.v1', false);
  check(65536, 'intent.mine.v1', false);
  check(200, 'intent.mine.v1', false);
  check(200, 'intent.contacts.resolve.v1', true);
  check(300, 'wish.mine.v1', false);
  check(300, 'intent.mine.v0', false);
  check(300, 'intent.mine', false);
  check(300, `intent.${'x'.repeat(typeBytesMax)}.v1`, false);

  test('A10: the registry takes no more than its limit', () => {
    const full = createRegistry();
    for (let i = 0; i < registeredSchemasMax; i += 1) expect(full.register(5000 + i, `intent.x${i}.v1`).ok).toBe(true);
    expect(full.register(60_000, 'intent.y.v1').ok).toBe(false);
  });

  test('a vendor frame must carry vendor and schema_hash', () => {
    registry.register(5000, 'intent.acme.v1');
    const outcome = (payload: unknown): string => {
      const item = decodeAll(frameOf(payload, undefined, 5000))[0];
      return item?.type === 'error' ? item.code : 'ok';
    };
    expect(outcome({ vendor: 'acme', schema_hash: 'ff', x: [1, { vendor: 2 }] })).toBe('ok');
    expect(outcome({ vendor: 'acme', x: { schema_hash: 1 } })).toBe('BodyDecodeError');
    expect(outcome('vendor')).toBe('BodyDecodeError');
  });
});

describe('memory', () => {
  test('A10: a length that only claims reserves no more than reserveBytesMax', () => {
    const bytes = Buffer.from(frameOf(new Uint8Array(4_000_000)));
    const decoder = createDecoder({ registry, nowMs: () => now });
    decoder.push(bytes.subarray(0, 100));
    expect(decoder.next()).toBeUndefined();
    expect(decoder.heldBytes).toBeLessThanOrEqual(reserveBytesMax);
    decoder.push(bytes.subarray(100, 1_000_000));
    expect(decoder.next()).toBeUndefined();
    expect(decoder.heldBytes).toBeLessThanOrEqual(2_000_000);
    decoder.push(bytes.subarray(1_000_000));
    expect(decoder.next()?.type).toBe('frame');
    expect(decoder.heldBytes).toBe(0);
  });

  test('a refused frame is skipped, not held', () => {
    const bytes = Buffer.from(frameOf(new Uint8Array(1_000_000)));
    bytes.writeUInt16BE(999, 16);
    const decoder = createDecoder({ registry, nowMs: () => now });
    decoder.push(bytes.subarray(0, 68));
    expect(decoder.next()).toMatchObject({ code: 'UnknownSchema', fatal: false });
    for (let at = 68; at < bytes.length; at += 5000) {
      decoder.push(bytes.subarray(at, at + 5000));
      expect(decoder.next()).toBeUndefined();
      expect(decoder.heldBytes).toBe(0);
    }
    decoder.push(frameOf(1));
    expect(decoder.next()?.type).toBe('frame');
  });
});

describe('any bytes', () => {
  const survives = (bytes: Uint8Array, cuts: readonly number[]): void => {
    const whole = decodeAll(bytes).map((item) =>
      item.type === 'frame' ? Buffer.from(item.raw).toString('hex') : item.code,
    );
    const cut = decodeAll(bytes, cuts).map((item) =>
      item.type === 'frame' ? Buffer.from(item.raw).toString('hex') : item.code,
    );
    expect(cut).toEqual(whole);
  };
  const everyByte = (bytes: Uint8Array): number[] => Array.from({ length: bytes.length }, (_, i) => i);

  test('never throw, and mean the same in one piece and in single bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => survives(bytes, everyByte(bytes))));
    const seed = frameOf({ a: [1, 'two', { three: 3 }] }, { topic: 'a/b', ack: true });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const bytes = Uint8Array.from([...seed, ...seed]);
          for (const [at, value] of changes) bytes[at] = value;
          survives(bytes, everyByte(bytes));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a body of any bytes is an envelope or BodyDecodeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        createEnvelopeReader().read(bytes, 0, bytes.length, undefined);
        const value = readPayload(bytes, 0, bytes.length);
        if (value !== undefined && bytes.length > 0)
          expect(encodeValue(value).ok || typeof value === 'object').toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  const corpus = join(import.meta.dirname, 'golden/fuzz');
  test.each(readdirSync(corpus))('corpus %s', (name) => {
    const bytes = Buffer.from(readFileSync(join(corpus, name), 'utf8').replaceAll(/\s/g, ''), 'hex');
    survives(bytes, everyByte(bytes));
  });

  test('a megabyte of noise', () => {
    const bytes = randomBytes(1_000_000);
    expect(decodeAll(bytes).length).toBeLessThanOrEqual(bytes.length / 4);
  });

  test('what cannot be written is a failure, not a throw', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(encodeValue(loop).ok).toBe(false);
    expect(encodeValue(() => 1).ok).toBe(false);
    expect(
      encodeMessage(registry, { schemaId: 999, payload: 1, createdAtMs: now, ttlMs: 1, traceId: trace, msgId: 1n }).ok,
    ).toBe(false);
  });
});
