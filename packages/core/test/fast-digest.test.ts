/**
 * BLAKE3 in WASM: the digests of the JavaScript one, whatever the size and however many are asked for at once.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestBytes, digestJson, digestLarge, digestText, hashInWasm, loadBlake3, toHex } from '@runloop/core';

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31) % 251);

describe('BLAKE3 in WASM', () => {
  test.each([0, 1, 1023, 1024, 1025, 64 * 1024, 64 * 1024 + 1, 300_000])('%d bytes', async (length) => {
    const bytes = bytesOf(length);
    expect(await digestLarge(bytes)).toBe(digestBytes(bytes));
  });

  test('several at once do not mix', async () => {
    const all = [200_000, 2000, 150_000, 10].map(bytesOf);
    expect(await Promise.all(all.map(digestLarge))).toEqual(all.map(digestBytes));
  });

  test('a process that has it gives the digests that it gave before', async () => {
    const values = [null, '', 'é\ud800', { a: ['x'.repeat(3_000)] }];
    const all = (): readonly string[] => [
      ...[0, 1, 1024, 1025, 70_000].map((length) => digestBytes(bytesOf(length))),
      ...values.filter((value) => typeof value === 'string').map(digestText),
      ...values.filter((value) => typeof value !== 'string').map(digestJson),
    ];
    const before = all();
    await hashInWasm();
    expect(all()).toEqual(before);
  });

  test('parts of short messages', async () => {
    const blake3 = await loadBlake3();
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array())), (parts) => {
        const whole = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
        expect(toHex(blake3.digest(...parts))).toBe(digestBytes(whole));
      }),
    );
  });
});
