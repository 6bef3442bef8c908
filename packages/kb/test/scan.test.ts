/** The kernel that multiplies rows of 7 bits with a query of 8: that it is what its source says, and as exact as those are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import binaryen from 'binaryen';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRowMatrix } from '../src/search/scan.ts';
import { scanWasm } from '../src/search/scan-wasm.ts';

test('scan-wasm.ts is scan.wat, assembled', () => {
  const module = binaryen.parseText(readFileSync(join(import.meta.dirname, '../src/search/scan.wat'), 'utf8'));
  module.setFeatures(binaryen.Features.SIMD128 | binaryen.Features.RelaxedSIMD);
  expect(module.validate()).toBeTruthy();
  binaryen.setOptimizeLevel(3);
  binaryen.setShrinkLevel(0);
  module.optimize();
  expect(Buffer.from(module.emitBinary()).toString('base64')).toBe(scanWasm);
});

test('products are those of the numbers, to half a step of 7 and of 8 bits', () => {
  const vectors = fc
    .tuple(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2_100 }), fc.integer())
    .map(([dim, count, seed]) => {
      let state = seed | 1;
      const next = (): number => ((state = Math.imul(state, 1_664_525) + 1_013_904_223), state / 2 ** 31);
      return Array.from({ length: count }, () => Float32Array.from({ length: dim }, next));
    });
  fc.assert(
    fc.property(vectors, (rows) => {
      const query = rows.at(-1) ?? new Float32Array(1);
      const matrix = createRowMatrix(query.length, 2 ** 24);
      for (const row of rows) expect(matrix.add(row)).toBe(true);
      const scores = matrix.scan(query);
      for (const [i, row] of rows.entries()) {
        const exact = row.reduce((sum, value, j) => sum + value * (query[j] ?? 0), 0);
        // Each number is at most half a step of 1/63 or 1/127 off, and none is larger than 1.
        expect(Math.abs((scores[i] ?? Number.NaN) - exact)).toBeLessThan(query.length * (0.5 / 63 + 0.5 / 127 + 1e-4));
      }
    }),
    { numRuns: 20 },
  );
});

test('zeros are far from everything, themselves included', () => {
  const matrix = createRowMatrix(8, 2 ** 20);
  matrix.add(new Float32Array(8));
  matrix.add(Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0));
  expect(matrix.scan(new Float32Array(8)).slice(0, 2)).toEqual(Float32Array.of(0, 0));
});

test('A10: what finds no room is refused, and what was there stays', () => {
  const matrix = createRowMatrix(384, 1_000_000);
  const row = new Float32Array(384).fill(0.05);
  let added = 0;
  while (matrix.add(row)) added += 1;
  expect([added, matrix.length]).toEqual([2_048, 2_048]);
  expect(matrix.scan(row)[added - 1]).toBeCloseTo(384 * 0.05 ** 2, 4);
});
