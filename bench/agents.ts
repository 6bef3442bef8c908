/**
 * Agents: warm in a cell of its own, cold beside `node -e 0`, a host call's round trip, memory of a cell.
 */
import type { BenchRow } from './types.ts';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom, unwrap } from '../packages/core/src/index.ts';
import {
  type Bundle,
  type Cells,
  type HostCalls,
  buildAgent,
  createCells,
  hostKey,
} from '../packages/runtime/src/index.ts';
import { buildHostile, held } from './agents-held.ts';
import { crowd } from './agents-shared.ts';

const deps = { clock: systemClock, random: systemRandom, log: { log: () => {} } } as const;
const root = join(import.meta.dirname, '..');
const host: HostCalls = {
  call: async () => ({ type: 'value', value: { rows: [], hits: [], event_id: 1 } }),
  log: () => {},
  stdout: () => {},
  stderr: () => {},
};

async function median(count: number, work: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)] ?? 0;
}

type Timed = (work: () => Promise<void>) => Promise<void>;

/** The medians of several works that take turns; each says what of it is timed. */
async function medians(
  count: number,
  works: readonly [(timed: Timed) => Promise<void>, (timed: Timed) => Promise<void>],
): Promise<readonly [number, number]> {
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < count; i += 1) {
    for (const at of [0, 1] as const) {
      await works[at](async (work) => {
        const start = performance.now();
        await work();
        times[at].push(performance.now() - start);
      });
    }
  }
  const middle = (list: number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
  return [middle(times[0]), middle(times[1])];
}

async function once(
  cells: Cells,
  bundle: Bundle,
  given: { readonly [key: string]: string },
  share?: string,
): Promise<void> {
  const run = {
    trace_id: 'ab'.repeat(16),
    run_id: 'run_1',
    node: 'n',
    attempt: 1,
    seed: '00',
    accepted_ms: 0,
    deadline_ms: 20_000,
  };
  const outcome = await cells.run(
    { bundle, run, request: { with: given, inputs: {} }, ...(share === undefined ? {} : { share }) },
    host,
    new AbortController().signal,
  );
  if (outcome.type !== 'succeeded') throw new Error(JSON.stringify(outcome));
}

function bareNode(): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore', env: {} });
    child.on('error', reject);
    child.on('close', () => resolve());
  });
}

async function childMemory(): Promise<number> {
  const children = (await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8'))
    .trim()
    .split(' ')
    .filter(Boolean);
  const sizes = await Promise.all(
    children.map(async (pid) =>
      Number(/^Pss:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0) / 1024 / Math.max(1, sizes.length);
}

export async function rows(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'runloop-bench-'));
  try {
    const signWith = unwrap(await hostKey(join(dir, 'state')), 'a host key');
    const sdkDir = join(root, 'packages/agent-sdk');
    const build = async (name: string): Promise<Bundle> =>
      unwrap(
        await buildAgent(deps, join(root, 'agents', name), { outDir: join(dir, name), signWith, sdkDir }),
        `${name} builds`,
      );
    const greeter = await build('greeter');
    const resolver = await build('contact_resolver');
    const options = { cacheDir: join(dir, 'cache'), spares: 0 };
    await using cells = createCells({ ...deps, hostKey: signWith }, options);
    await once(cells, greeter, {});
    const warm = await median(100, () => once(cells, greeter, {}));
    await once(cells, resolver, { query: 'x' });
    const calling = await median(100, () => once(cells, resolver, { query: 'x' }));
    const memory = await childMemory();
    // Each beside the other: the machine's noise falls on both.
    const [cold, floor] = await medians(25, [
      async (timed) => {
        await using fresh = createCells({ ...deps, hostKey: signWith }, options);
        await timed(() => once(fresh, greeter, {}));
      },
      (timed) => timed(bareNode),
    ]);
    const spare = await median(10, async () => {
      await using fresh = createCells({ ...deps, hostKey: signWith }, options);
      await fresh.warm(greeter);
      const start = performance.now();
      await once(fresh, greeter, {});
      spareMs.push(performance.now() - start);
    }).then(() => spareMs.sort((a, b) => a - b)[Math.floor(spareMs.length / 2)] ?? 0);
    const all = { ...deps, hostKey: signWith };
    const hostile = await buildHostile(all, join(dir, 'hostile'), sdkDir);
    const holding = await held(all, options, hostile, host, { loops: 10, hogs: 10 });
    const loops = await held(all, options, hostile, host, { loops: 20, hogs: 0 });
    const fifty = await held(all, options, hostile, host, { loops: 50, hogs: 0 });
    const sharing = await median(200, () => once(cells, greeter, {}, 'same'));
    const crowds = [];
    for (const size of [10, 100, 1000]) crowds.push(await crowd(all, options, resolver, size));
    return [
      { name: 'agent, warm cell of its own, p50', value: warm, unit: 'ms', goal: '≤ 8 ms' },
      { name: 'agent, first run of a spare, p50', value: spare, unit: 'ms', goal: '≤ 20 ms' },
      { name: 'agent with two host calls, warm, p50', value: calling, unit: 'ms' },
      {
        name: 'agent, cold, build cached, p50',
        value: cold,
        unit: 'ms',
        floor,
        ratio: cold / floor,
        goal: '≤ 1.8 × node -e 0',
      },
      { name: 'memory of a cell (proportional set)', value: memory, unit: 'MiB' },
      {
        name: '10 loops and 10 hogs: event loop delay of this process, p99',
        value: holding.delayP99Ms,
        unit: 'ms',
        goal: '≤ 10 ms',
      },
      { name: '10 loops and 10 hogs: one that behaves, beside them', value: holding.besideMs, unit: 'ms' },
      { name: '20 loops: from the deadline to the last outcome', value: loops.lateMs, unit: 'ms', goal: '≤ 50 ms' },
      { name: '20 loops: from the last outcome to no process', value: loops.goneMs, unit: 'ms', goal: '≤ 50 ms' },
      { name: '20 loops: one that behaves, beside them', value: loops.besideMs, unit: 'ms' },
      { name: '50 loops: from the deadline to the last outcome', value: fifty.lateMs, unit: 'ms', goal: '≤ 50 ms' },
      { name: '50 loops: one that behaves, beside them', value: fifty.besideMs, unit: 'ms' },
      { name: 'agent, warm, shared cell, p50', value: sharing, unit: 'ms', goal: '≤ 1 ms' },
      ...crowds.flatMap(({ size, mib, ms }) => [
        {
          name: `${size} agents in one cell, each in a host call: memory`,
          value: mib,
          unit: 'MiB',
          ...(size === 1000 ? { goal: '≤ 954 MiB (1 GB)' } : {}),
        },
        { name: `${size} agents in one cell: from the first request to the last answer`, value: ms, unit: 'ms' },
      ]),
    ];
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const spareMs: number[] = [];
