/** A crash before and after every change that a run makes: it ends as if nothing had happened. */
import { afterAll, describe, expect, test } from 'vitest';
import { digestText, fromHex, seededRandom, unwrap } from '../../packages/core/src/index.ts';
import { playOnce, torture } from '../../packages/daemon/src/torture/index.ts';
import type { HostPerformer } from '../../packages/daemon/src/runs/ports.ts';
import { generate } from './generate.ts';
import { asked, parts } from './parts.ts';

/** Nodes of a generated opening, its seed, and one in how many of its places is crashed at; `RUNLOOP_TORTURE=whole` tries all. */
const openings = [
  [3, 'b', 1],
  [5, 'c', 1],
  [8, 'c', 1],
  [12, 'b', 1],
  [20, 'e', 1],
  [30, 'd', 1],
  [40, 'c', 2],
  [60, 'c', 2],
  [100, 'b', 8],
  [200, 'c', 17],
] as const;
const crashesMin = 2_000;
let crashes = 0;
const isWhole = process.env['RUNLOOP_TORTURE'] === 'whole';

describe.concurrent('a crash before and after every append and every effect', () => {
  afterAll(() => expect(crashes).toBeGreaterThanOrEqual(crashesMin));

  test.each(openings)(
    'a generated opening of %i nodes (%s), one place in %i',
    { timeout: 3_600_000 },
    async (size, salt, every) => {
      const opening = generate(seededRandom(fromHex(digestText(`opening ${size} ${salt}`))), size);
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
      crashes += report.crashes;
    },
  );
});

test('what is edited before it is approved, and a budget that is used up again and again: nothing is lost or done twice', async () => {
  const opening = generate(seededRandom(fromHex(digestText('opening 20'))), 20, { budget_tokens: 20 });
  const answers = (op: string): 'approve' | 'edit' => (op === 'mail.send' ? 'edit' : 'approve');
  const all = { ...parts('schedule 20'), answers, every: isWhole ? 1 : 3 };
  const plain = unwrap(await playOnce(all, [asked(opening)], []), 'a play');
  const kinds = plain.rows.flat().map(({ kind, payload }) => `${kind} ${JSON.stringify(payload)}`);
  for (const one of [/^budget\.raised/, /^action\.decided.*"edited"/, /^effect\.intent.*"performed"/])
    expect([one, kinds.filter((kind) => one.test(kind)).length > 0]).toEqual([one, true]);
  const report = unwrap(await torture(all, asked(opening)), 'a report');
  expect(report.faults.slice(0, 5)).toEqual([]);
  expect(report.ending.state).toBe('succeeded');
});

test('it can fail: a host that takes every call for one that may be made twice does things twice', async () => {
  const opening = generate(seededRandom(fromHex(digestText('opening 8 c'))), 8);
  const broken = { ...parts('schedule 8'), around: (real: HostPerformer) => ({ ...real, repeats: () => true }) };
  const report = unwrap(await torture(broken, asked(opening)), 'a report');
  expect(report.faults.flatMap((fault) => fault.broken)).toContainEqual(expect.stringMatching(/was done 2 times/));
});
