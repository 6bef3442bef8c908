/**
 * The ledger beside bare SQLite in the same run: appends in groups, one lone append, rebuilding the views.
 *
 * The bare loops insert the same rows into the same schema with the same pragmas, one transaction a group.
 */
import type { BenchRow } from './types.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom, unwrap } from '../packages/core/src/index.ts';
import { type EventDraft, type Kb, openKb } from '../packages/kb/src/index.ts';
import { createBareLedger } from './bare-ledger.ts';

const group = 1_000;
const groups = 20;

const draftOf = (i: number): EventDraft => ({
  ts_ms: 1_000 + i,
  actor: 'daemon',
  kind: 'effect.intent',
  scope: `run/${'ab'.repeat(16)}`,
  trace_id: 'ab'.repeat(16),
  provenance: { engine: 'bench' },
  payload: {
    run_id: 'run_1',
    opening_id: 'op',
    level: 'info',
    message: 'an intent',
    meta: {
      node: 'n',
      attempt: 1,
      index: i,
      call: 'c'.repeat(64),
      op: 'http.get',
      class: 'idempotent',
      args_hash: 'd'.repeat(64),
      args: { url: `https://example.org/${i}` },
    },
  },
});

/** Runs the work in a fresh directory. */
async function inDirectory<T>(work: (path: string) => Promise<T>): Promise<T> {
  const path = mkdtempSync(join(tmpdir(), 'bench-ledger-'));
  try {
    return await work(path);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const perSecond = (events: number, beganMs: number): number => (events / (performance.now() - beganMs)) * 1_000;

async function open(rootDir: string): Promise<Kb> {
  return unwrap(
    await openKb({ clock: systemClock, random: systemRandom, log: { log: () => undefined } }, { rootDir }),
    'a knowledge base',
  );
}

/** Events a second, one append each, `group` of them at once. */
async function appendGroups(kb: Kb): Promise<number> {
  const rates: number[] = [];
  for (let g = 0; g < groups; g += 1) {
    const began = performance.now();
    await Promise.all(Array.from({ length: group }, (_, i) => kb.append([draftOf(g * group + i)])));
    rates.push(perSecond(group, began));
  }
  return median(rates);
}

async function bareGroups(path: string, name: string, hashed: boolean): Promise<number> {
  const bare = await createBareLedger(join(path, `${name}.sqlite`), hashed);
  const rates: number[] = [];
  for (let g = 0; g < groups; g += 1) {
    const began = performance.now();
    bare.insert(Array.from({ length: group }, (_, i) => draftOf(g * group + i)));
    rates.push(perSecond(group, began));
  }
  bare.close();
  return median(rates);
}

async function loneMs(count: number, act: (i: number) => unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const began = performance.now();
    await act(i);
    times.push(performance.now() - began);
  }
  return median(times);
}

export async function rows(): Promise<readonly BenchRow[]> {
  return inDirectory(async (path) => {
    const kb = await open(path);
    await appendGroups(kb);
    await bareGroups(path, 'warm', true);
    const hashed = await bareGroups(path, 'hashed', true);
    const plain = await bareGroups(path, 'plain', false);
    const append = await appendGroups(kb);
    unwrap(await kb.stats(), 'views that have caught up');
    const lone = await loneMs(300, (i) => kb.append([draftOf(i)]));
    const bare = await createBareLedger(join(path, 'lone.sqlite'), true);
    const loneBare = await loneMs(300, (i) => bare.insert([draftOf(i)]));
    bare.close();
    const rebuilt = unwrap(await kb.rebuild(), 'a rebuild');
    await kb.close();
    return [
      {
        name: 'ledger append, group commit, against a bare loop that canonicalises and hashes',
        value: append,
        unit: 'events/s',
        floor: hashed,
        ratio: append / hashed,
        goal: '>= 0.8 x',
      },
      {
        name: 'ledger append, group commit, against a bare loop that does not',
        value: append,
        unit: 'events/s',
        floor: plain,
        ratio: append / plain,
        goal: '>= 0.5 x',
      },
      { name: 'ledger append, alone, p50', value: lone, unit: 'ms', floor: loneBare, ratio: lone / loneBare },
      {
        name: 'rebuild of the views',
        value: (rebuilt.events / rebuilt.duration_ms) * 1_000,
        unit: 'events/s',
        goal: '>= 50000',
      },
    ];
  });
}
