/**
 * Bad luck by seed: several runs at once, crashes anywhere and more than once, full disks, lost cells, a provider that is
 * overloaded. Whatever comes, no run is lost, nothing is done twice or asked twice, and no money is missing.
 */
import { describe, expect, test } from 'vitest';
import { digestText, fraction, fromHex, type Random, seededRandom, unwrap } from '../../packages/core/src/index.ts';
import { playOnce } from '../../packages/daemon/src/torture/index.ts';
import { generate } from './generate.ts';
import { asked, parts } from './parts.ts';

const seeds = process.env['RUNLOOP_TORTURE'] === 'whole' ? 400 : 40;

function unlucky(random: Random): NonNullable<Parameters<typeof playOnce>[0]['faults']> {
  const chance = (share: number): boolean => fraction(random) < share;
  let full = 0;
  return {
    diskFull() {
      // A full disk stays so for a while.
      if (full === 0 && chance(0.01)) full = 1 + Math.floor(fraction(random) * 5);
      if (full > 0) full -= 1;
      return full > 0;
    },
    cell: () => (chance(0.05) ? (chance(0.5) ? 'lost' : 'bystander') : undefined),
    provider: () => chance(0.2),
  };
}

const draw = (seed: string): Random => seededRandom(fromHex(digestText(seed)));

describe.concurrent('bad luck', () => {
  test.each(Array.from({ length: seeds }, (_, seed) => seed))('seed %i', { timeout: 600_000 }, async (seed) => {
    const luck = draw(`luck ${seed}`);
    const runs = Array.from({ length: 1 + Math.floor(fraction(luck) * 3) }, (_, nth) =>
      asked(generate(luck, 2 + Math.floor(fraction(luck) * 18)), nth),
    );
    const answers = (op: string, call: string): 'approve' | 'deny' =>
      Number.parseInt(call.slice(0, 4), 16) % 4 === 0 && op !== '' ? 'deny' : 'approve';
    const crashes = Array.from({ length: Math.floor(fraction(luck) * 6) }, () => ({
      boundary: Math.floor(fraction(luck) * 200),
      when: fraction(luck) < 0.5 ? ('before' as const) : ('after' as const),
    })).sort((a, b) => a.boundary - b.boundary);
    const play = (): ReturnType<typeof playOnce> =>
      playOnce({ ...parts(`order ${seed}`), answers, faults: unlucky(draw(`faults ${seed}`)) }, runs, crashes);
    const played = unwrap(await play(), 'a play');
    expect(played.broken).toEqual([]);
    // The same seed, the same story, to the last event.
    if (seed % 10 === 0) expect(unwrap(await play(), 'another').rows).toEqual(played.rows);
  });
});
