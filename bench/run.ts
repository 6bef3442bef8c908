/**
 * Every bench of this folder that exports `rows()`, as one table; the raw numbers go to bench/results.
 *
 * They run with the heap that the daemon has (packages/daemon/src/main.ts).
 *
 * `--only <name>` runs one of them, by the name of its file. A bench that fails is said so, and the others go on.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import type { BenchRow } from './types.ts';

setFlagsFromString('--max-semi-space-size=1');

type Bench = { rows?: () => Promise<readonly BenchRow[]> | readonly BenchRow[] };

/** Whether the goal is met; undefined where there is none. A goal that ends in `x` is of the ratio. */
export function isMet({ goal, value, ratio }: BenchRow): boolean | undefined {
  const [, sign, number] = /^(<=|>=|≤|≥) *([\d.]+)/.exec(goal ?? '') ?? [];
  if (sign === undefined) return undefined;
  // A goal that ends in x, or in × something, is one of the ratio.
  const reached = /[x×]/.test(goal ?? '') ? (ratio ?? value) : value;
  return sign === '<=' || sign === '≤' ? reached <= Number(number) : reached >= Number(number);
}

const short = (value: number | undefined): string =>
  value === undefined ? '' : value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 2 : 0 });

function show(rows: readonly BenchRow[]): string {
  const word = (met: boolean | undefined): string => (met === undefined ? '' : met ? 'yes' : 'NO');
  const head = ['name', 'value', 'unit', 'floor', 'ratio', 'goal', 'met'];
  const lines = rows.map((row) => [
    row.name,
    short(row.value),
    row.unit,
    short(row.floor),
    short(row.ratio),
    row.goal ?? '',
    word(isMet(row)),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => (line[i] ?? '').length)));
  const isNumber = (i: number): boolean => i === 1 || i === 3 || i === 4;
  const pad = (cell: string, i: number): string =>
    isNumber(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
  return [head, ...lines].map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  const own = new Set(['run.ts', 'types.ts']);
  const files = readdirSync(import.meta.dirname).filter(
    (name) => name.endsWith('.ts') && !own.has(name) && !name.endsWith('-child.ts'),
  );
  const chosen = files.filter((name) => values.only === undefined || name === `${values.only}.ts`);
  if (chosen.length === 0) {
    process.stderr.write(`there is no bench "${values.only}"; there are: ${files.join(', ')}\n`);
    return 2;
  }
  const results: { [bench: string]: readonly BenchRow[] | { readonly failed: string } } = {};
  const all: BenchRow[] = [];
  for (const name of chosen) {
    try {
      const bench = (await import(`./${name}`)) as Bench;
      if (bench.rows === undefined) continue;
      process.stderr.write(`${name} ...\n`);
      const rows = await bench.rows();
      results[name] = rows;
      all.push(...rows);
    } catch (error) {
      results[name] = { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
      process.stderr.write(`${name} failed: ${String(error)}\n`);
    }
  }
  process.stdout.write(`${show(all)}\n`);
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const at = new Date(Date.now()).toISOString();
  const machine = { node: process.version, cpus: cpus().length, cpu: cpus()[0]?.model };
  writeFileSync(
    join(folder, `${at.replaceAll(':', '-')}.json`),
    `${JSON.stringify({ at, machine, results }, undefined, 2)}\n`,
  );
  return Object.values(results).some((result) => 'failed' in result) ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) {
  process.exitCode = await main();
  // A bench that forgot a handle must not keep the others' results waiting.
  setImmediate(() => process.exit());
}
