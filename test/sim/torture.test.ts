/** A crash before and after every change that a run makes: it ends as if nothing had happened. */
import { describe, expect, test } from 'vitest';
import { digestText, fromHex, seededRandom, unwrap } from '../../packages/core/src/index.ts';
import { torture } from '../../packages/daemon/src/torture/index.ts';
import type { HostPerformer } from '../../packages/daemon/src/runs/ports.ts';
import { generate } from './generate.ts';
import { asked, parts } from './parts.ts';

/** Nodes of a generated opening, and every how many of its crash points are tried here; `npm run torture` tries all. */
const openings = [
  [3, 1],
  [5, 1],
  [8, 1],
  [12, 1],
  [20, 1],
  [30, 1],
  [40, 2],
  [60, 3],
  [100, 7],
  [200, 31],
] as const;
const isWhole = process.env['RUNLOOP_TORTURE'] === 'whole';

describe.concurrent('a crash before and after every append and every effect', () => {
  test.each(openings)(
    'a generated opening of %i nodes, one point in %i',
    { timeout: 3_600_000 },
    async (size, every) => {
      const opening = generate(seededRandom(fromHex(digestText(`opening ${size}`))), size);
      const report = unwrap(
        await torture({ ...parts(`schedule ${size}`), every: isWhole ? 1 : every }, asked(opening)),
        'a report',
      );
      process.stdout.write(
        `torture: ${size} nodes, ${report.boundaries} boundaries, ${report.crashes} crashes, ${report.deeds} effects outside, run ${report.ending.state}, ${report.faults.length} faults\n`,
      );
      expect(report.faults.slice(0, 5)).toEqual([]);
      expect(report.ending.state).toBe('succeeded');
      expect(report.crashes).toBeGreaterThan(20);
    },
  );
});

test('it can fail: a host that takes every call for one that may be made twice does things twice', async () => {
  const opening = generate(seededRandom(fromHex(digestText('opening 8'))), 8);
  const broken = { ...parts('schedule 8'), around: (real: HostPerformer) => ({ ...real, repeats: () => true }) };
  const report = unwrap(await torture(broken, asked(opening)), 'a report');
  expect(report.faults.flatMap((fault) => fault.broken)).toContainEqual(expect.stringMatching(/was done 2 times/));
});
