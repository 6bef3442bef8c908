/** Random bytes, small and large: as many as were asked for, and never the same twice. */
import { expect, test } from 'vitest';
import { systemRandom, toHex } from '../src/index.ts';

test.each([16, 32, 500, 512, 513, 100_000])('%i bytes, again and again', (length) => {
  const drawn = Array.from({ length: 600 }, () => systemRandom.bytes(length));
  expect(drawn.every((bytes) => bytes.length === length && bytes.buffer.byteLength === length)).toBe(true);
  expect(new Set(drawn.map((bytes) => toHex(bytes.subarray(0, 16)))).size).toBe(drawn.length);
  const ones = drawn.reduce((sum, bytes) => sum + bytes.reduce((all, byte) => all + (byte & 1), 0), 0);
  expect(ones / (drawn.length * length)).toBeCloseTo(0.5, 1);
});

test('nothing of no length', () => {
  expect(systemRandom.bytes(0)).toEqual(new Uint8Array(0));
});
