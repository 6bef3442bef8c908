/**
 * Many agents in one cell, all of them in a host call at the same time: what they hold, and that all of them finish.
 */
import { readFile } from 'node:fs/promises';
import {
  type Bundle,
  type CellsDeps,
  type CellsOptions,
  type HostAnswer,
  type HostCalls,
  createCells,
} from '../packages/runtime/src/index.ts';

export type Crowd = { readonly size: number; readonly mib: number; readonly ms: number };

export async function crowd(deps: CellsDeps, options: CellsOptions, bundle: Bundle, size: number): Promise<Crowd> {
  await using cells = createCells(deps, options);
  const everybody = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<HostAnswer>();
  let waiting = 0;
  const host: HostCalls = {
    call: () => {
      waiting += 1;
      if (waiting === size) everybody.resolve();
      return gate.promise;
    },
    log: () => {},
    stdout: () => {},
    stderr: () => {},
  };
  const start = performance.now();
  const identity = { trace_id: 'ab'.repeat(16), run_id: 'run_1', node: 'n', attempt: 1, seed: '00', accepted_ms: 0 };
  const all = Array.from({ length: size }, () =>
    cells.run(
      {
        bundle,
        run: { ...identity, deadline_ms: 120_000 },
        request: { with: { query: 'x' }, inputs: {} },
        limits: { ...bundle.caps.limits, wall_ms: 120_000 },
        share: 'crowd',
      },
      host,
      new AbortController().signal,
    ),
  );
  await everybody.promise;
  const sizes = await Promise.all(cells.pids().map(residentMib));
  gate.resolve({ type: 'value', value: { rows: [], hits: [] } });
  for (const outcome of await Promise.all(all))
    if (outcome.type !== 'succeeded') throw new Error(JSON.stringify(outcome));
  return { size, mib: sizes.reduce((sum, one) => sum + one, 0), ms: performance.now() - start };
}

async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}
