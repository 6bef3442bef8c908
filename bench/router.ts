/**
 * The router: one decision in this process, and `rlp route` as a whole process, paired with `node -e 0`.
 *
 * Needs built JavaScript (`tsc -b`): type stripping is no part of what users wait for.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { route } from '@runloop/router';
import type { BenchRow } from './types.ts';

const root = join(import.meta.dirname, '..');
const rounds = 5;
const spawns = 40;

const percentile = (sorted: readonly number[], share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
const ascending = (a: number, b: number): number => a - b;

function decisions(): number[] {
  const lines = ['commands.txt', 'sentences.txt'].flatMap((name) =>
    readFileSync(join(root, 'packages/router/test/corpus', name), 'utf8').split('\n'),
  );
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const line of lines) {
      const from = performance.now();
      route({ line, isCommand: (word) => word.length < 6, isFile: () => false });
      if (round > 0) times.push((performance.now() - from) * 1000);
    }
  }
  return times.sort(ascending);
}

function wall(argv: readonly string[]): number {
  const from = performance.now();
  spawnSync(process.execPath, argv, { stdio: 'ignore' });
  return performance.now() - from;
}

export function rows(): Promise<BenchRow[]> {
  const times = decisions();
  const bare: number[] = [];
  const whole: number[] = [];
  const main = join(root, 'packages/cli/dist/main.js');
  for (let index = 0; index < spawns; index += 1) {
    bare.push(wall(['-e', '0']));
    whole.push(wall([main, 'route', 'find the bug in my parser']));
  }
  for (const list of [bare, whole]) list.sort(ascending);
  const long = 'find the bug in my parser, '.repeat(2400);
  const from = performance.now();
  route({ line: long, isCommand: () => true, isFile: () => false });
  const longMs = performance.now() - from;
  const row = (share: number, name: string, goal: string): BenchRow => ({
    name: `rlp route, whole process, ${name}`,
    value: Number(percentile(whole, share).toFixed(1)),
    unit: 'ms',
    floor: Number(percentile(bare, share).toFixed(1)),
    ratio: percentile(whole, share) / percentile(bare, share),
    goal,
  });
  return Promise.resolve([
    { name: 'route decision p50', value: Number(percentile(times, 0.5).toFixed(1)), unit: 'us' },
    { name: 'route decision p99', value: Number(percentile(times, 0.99).toFixed(1)), unit: 'us', goal: '<= 1000' },
    { name: 'route decision, 64 KiB line', value: Number(longMs.toFixed(2)), unit: 'ms' },
    row(0.5, 'p50', '<= 1.4 x node -e 0'),
    row(0.95, 'p95', '<= 60 ms'),
  ]);
}
