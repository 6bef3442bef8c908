/** rlp torture: what people run on their own openings, here on the one that is shipped. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Home } from './home.ts';

test('compose_email survives a crash wherever one was tried, and nothing of it is left', async () => {
  await using home = new Home();
  const john = { contact: 'contact:john', name: 'John', email: 'john@acme.example', confidence: 1, trust: 'trusted' };
  const known = await home.rlp('kb', 'propose', '--kind', 'contact.upserted', '--payload', JSON.stringify(john));
  expect(known.code).toBe(0);
  const { code, out, err } = await home.rlp('torture', 'compose_email', '--every', '9', '--json');
  expect({ code, err }).toMatchObject({ code: 0 });
  const report = JSON.parse(out) as { boundaries: number; crashes: number; deeds: number; faults: unknown[] };
  expect(report.faults).toEqual([]);
  expect(report.boundaries).toBeGreaterThan(12);
  expect(report.crashes).toBeGreaterThanOrEqual(Math.floor((2 * report.boundaries) / 9));
  expect(report.deeds).toBe(1);
  // It ran beside the home: no run, no letter, no scratch space.
  expect(await home.json('runs')).toEqual([]);
  expect(readdirSync(home.path).filter((name) => name.includes('torture'))).toEqual([]);
  expect(readdirSync(join(home.path)).includes('outbox')).toBe(false);
});

test.each<[string, readonly string[], number, RegExp]>([
  ['no such opening', ['nothing_here'], 66, /nothing_here/],
  ['a share that is none', ['compose_email', '--every', '0'], 2, /--every must be a whole number from 1/],
  ['a parameter that is none', ['compose_email', '-p', 'topic'], 2, /topic/],
])('%s is said', async (_, args, code, words) => {
  await using home = new Home();
  const done = await home.rlp('torture', ...args);
  expect(done).toMatchObject({ code, err: expect.stringMatching(words) });
});
