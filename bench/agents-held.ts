/**
 * Agents that do not behave: when they end after their deadline, and what this process notices of them.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { unwrap } from '../packages/core/src/index.ts';
import {
  type AttemptOutcome,
  type Bundle,
  type CellsDeps,
  type CellsOptions,
  type HostCalls,
  buildAgent,
  createCells,
} from '../packages/runtime/src/index.ts';

const source = `import { defineAgent } from '@runloop/agent';
export default defineAgent({
  handle(request) {
    const ask = request.with['ask'];
    if (ask === 'loop') for (;;) {}
    if (ask === 'hog') { const held = []; for (;;) held.push(new Uint8Array(1 << 20)); }
    return {};
  },
});`;

export async function buildHostile(deps: CellsDeps, dir: string, sdkDir: string): Promise<Bundle> {
  await mkdir(join(dir, 'src'), { recursive: true });
  await writeFile(join(dir, 'manifest.toml'), '[agent]\nname = "hostile"\nversion = "0.1.0"\n');
  await writeFile(join(dir, 'policy.caps'), '[limits]\ncpu_ms = 60000\n');
  await writeFile(join(dir, 'src/agent.ts'), source);
  return unwrap(await buildAgent(deps, dir, { signWith: deps.hostKey, sdkDir }), 'the hostile agent builds');
}

export type Held = {
  /** From the deadline to the outcome, and to the process's end, of the slowest. */
  readonly lateMs: number;
  readonly goneMs: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** Of an agent that behaves, started beside them. */
  readonly besideMs: number;
};

const deadlineMs = 1_500;

/** `loops` and `hogs` at once, with one beside them that behaves. */
export async function held(
  deps: CellsDeps,
  options: CellsOptions,
  bundle: Bundle,
  host: HostCalls,
  given: { readonly loops: number; readonly hogs: number },
): Promise<Held> {
  await using cells = createCells(deps, options);
  const run = async (ask: string): Promise<{ readonly outcome: AttemptOutcome; readonly ms: number }> => {
    const start = performance.now();
    const identity = { trace_id: 'ab'.repeat(16), run_id: 'run_1', node: 'n', attempt: 1, seed: '00', accepted_ms: 0 };
    const outcome = await cells.run(
      {
        bundle,
        run: { ...identity, deadline_ms: ask === 'behave' ? 20_000 : deadlineMs },
        request: { with: { ask }, inputs: {} },
      },
      host,
      new AbortController().signal,
    );
    return { outcome, ms: performance.now() - start };
  };
  await run('behave');
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const loops = Array.from({ length: given.loops }, () => run('loop'));
  const hogs = Array.from({ length: given.hogs }, () => run('hog'));
  const beside = await run('behave');
  const looped = await Promise.all(loops);
  const end = performance.now();
  const hogged = await Promise.all(hogs);
  await cells.close();
  const goneMs = performance.now() - end;
  delay.disable();
  if (beside.outcome.type !== 'succeeded') throw new Error(`beside them: ${JSON.stringify(beside.outcome)}`);
  for (const { outcome } of looped) expectCode(outcome, ['DeadlineExceeded']);
  for (const { outcome } of hogged) expectCode(outcome, ['OutOfMemory', 'DeadlineExceeded']);
  return {
    lateMs: Math.max(...looped.map(({ outcome }) => outcome.usage.wall_ms - deadlineMs)),
    goneMs,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
    besideMs: beside.ms,
  };
}

function expectCode(outcome: AttemptOutcome, codes: readonly string[]): void {
  if (outcome.type !== 'failed' || !codes.includes(outcome.code)) throw new Error(JSON.stringify(outcome));
}
