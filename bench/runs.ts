/**
 * Runs in the daemon over its real ledger with an agent that does nothing, in this process: a durable node beside one bare
 * fsynced insert, effects a second under load, and the cost of a node over three sizes of opening.
 */
import { join } from 'node:path';
import { createBareLedger } from './bare-ledger.ts';
import { shapes, yamlOf } from './dags.ts';
import { InProcess } from './in-process.ts';
import { type BenchRow, median } from './types.ts';

const sizes = [100, 1_000, 10_000];

/** Milliseconds of one bare insert that waits for the disk, with the ledger's own schema and pragmas. */
async function bareMs(path: string, name: string, count: number): Promise<number[]> {
  const bare = await createBareLedger(join(path, `${name}.sqlite`), false);
  const draft = {
    ts_ms: 1,
    actor: 'bench',
    kind: 'node.finished',
    scope: 'run/bench',
    payload: { meta: { node: 'n1', state: 'succeeded', out: 'x'.repeat(200) } },
    provenance: { run: 'bench' },
    trace_id: 'ab'.repeat(16),
  };
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const began = performance.now();
    bare.insert([draft]);
    times.push(performance.now() - began);
  }
  bare.close();
  return times;
}

/** From ready to finished, as a subscriber is told of both, one node after the other. */
async function nodeMs(place: InProcess, nodes: number): Promise<number[]> {
  const times: number[] = [];
  const ready = new Map<string, number>();
  await place.run(yamlOf('chain', nodes), ({ kind, meta }) => {
    if (kind === 'node.ready') ready.set(String(meta['node']), performance.now());
    if (kind === 'node.finished') times.push(performance.now() - (ready.get(String(meta['node'])) ?? 0));
  });
  return times;
}

async function durableNode(place: InProcess): Promise<BenchRow> {
  const bare: number[] = [];
  const nodes: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    bare.push(...(await bareMs(place.path, `bare-${round}`, 100)));
    nodes.push(...(await nodeMs(place, 100)));
  }
  const [value, floor] = [median(nodes), median(bare)];
  return {
    name: 'durable node, ready to result durable, p50, beside a bare fsynced insert',
    value,
    unit: 'ms',
    floor,
    ratio: value / floor,
    goal: '<= 4 x',
  };
}

/** Each effect is a call with its intent and its result, both durable. */
async function effectsPerSecond(place: InProcess, runs: number, nodes: number, calls: number): Promise<number> {
  const text = yamlOf('fan', nodes, 'noop', `, with: { calls: ${calls} }`);
  const began = performance.now();
  await Promise.all(Array.from({ length: runs }, () => place.run(text)));
  return ((runs * nodes * calls) / (performance.now() - began)) * 1_000;
}

async function effects(place: InProcess): Promise<BenchRow[]> {
  await effectsPerSecond(place, 1, 100, 20);
  const rows: BenchRow[] = [];
  for (const runs of [1, 8]) {
    const rates: number[] = [];
    for (let round = 0; round < 3; round += 1) rates.push(await effectsPerSecond(place, runs, 480 / runs, 40));
    const name = `durable effects (intent and result), 64 nodes at once in ${runs === 1 ? 'one run' : `${runs} runs`}`;
    rows.push({ name, value: median(rates), unit: 'effects/s', goal: '>= 5000' });
  }
  return rows;
}

/** Milliseconds of a node of a run, submission and all. */
async function perNode(place: InProcess): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const shape of shapes) {
    let floor: number | undefined;
    for (const size of sizes) {
      const times: number[] = [];
      for (let round = 0; round < 2_000 / size; round += 1) {
        const began = performance.now();
        await place.run(yamlOf(shape, size));
        times.push((performance.now() - began) / size);
      }
      const value = median(times);
      rows.push({
        name: `daemon and ledger, ${shape}, a node, ${size.toLocaleString('en-US')} nodes`,
        value,
        unit: 'ms',
        ...(floor === undefined ? {} : { floor, ratio: value / floor, goal: '<= 2 x' }),
      });
      floor ??= value;
    }
  }
  return rows;
}

/** Milliseconds until a run that is half through goes on after a restart, over three sizes. */
async function recovery(place: InProcess): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  let floor: number | undefined;
  for (const size of sizes) {
    const { promise: half, resolve: reached } = Promise.withResolvers<void>();
    let finished = 0;
    const done = place.run(yamlOf('layers', size), ({ kind }) => {
      if (kind === 'node.finished') finished += 1;
      if (finished === size / 2) reached();
    });
    await half;
    const began = performance.now();
    await place.restart();
    const value = performance.now() - began;
    await done;
    rows.push({
      name: `recovery of a run that is half through, ${size.toLocaleString('en-US')} nodes`,
      value,
      unit: 'ms',
      ...(floor === undefined ? {} : { floor, ratio: value / floor }),
    });
    floor ??= value;
  }
  return rows;
}

export async function rows(): Promise<readonly BenchRow[]> {
  await using place = await InProcess.open();
  await nodeMs(place, 50);
  return [await durableNode(place), ...(await effects(place)), ...(await perNode(place)), ...(await recovery(place))];
}
