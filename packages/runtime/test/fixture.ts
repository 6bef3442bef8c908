/** Small agents built for real, once per test file, and a host that answers from a table. */
import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Log, systemClock, systemRandom, unwrap } from '@runloop/core';
import {
  type AttemptOutcome,
  type Bundle,
  type Cells,
  type HostAnswer,
  type HostCalls,
  type HostKey,
  buildAgent,
  createCells,
  hostKey,
} from '../src/index.ts';

export const silent: Log = { log: () => {} };
export const deps = { clock: systemClock, random: systemRandom, log: silent } as const;
export const sdkDir: string = join(import.meta.dirname, '../../agent-sdk');

export type Bench = AsyncDisposable & { readonly dir: string; readonly key: HostKey; readonly cells: Cells };

export async function workbench(spares = 0): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'runloop-runtime-'));
  const key = unwrap(await hostKey(join(dir, 'state')), 'a host key');
  const cells = createCells({ ...deps, hostKey: key }, { cacheDir: join(dir, 'cache'), spares });
  return {
    dir,
    key,
    cells,
    async [Symbol.asyncDispose]() {
      await cells.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export type Source = { readonly body: string; readonly caps?: string; readonly out?: string };

/** `body` is the inside of `handle(request, host)`. */
export async function buildTestAgent(bench: Bench, name: string, source: Source): Promise<Bundle> {
  const dir = join(bench.dir, 'agents', name);
  await mkdir(join(dir, 'src'), { recursive: true });
  await mkdir(join(dir, 'node_modules/@runloop'), { recursive: true });
  await symlink(sdkDir, join(dir, 'node_modules/@runloop/agent'));
  await writeFile(
    join(dir, 'manifest.toml'),
    `[agent]\nname = "${name}"\nversion = "0.1.0"\n[ports]\nin = { in = ["*"] }\nout = { ${source.out ?? 'out = ["*"]'} }\n`,
  );
  await writeFile(join(dir, 'policy.caps'), source.caps ?? '');
  await writeFile(
    join(dir, 'src/agent.ts'),
    `import { defineAgent, AgentFailure } from '@runloop/agent';\nvoid AgentFailure;\nexport default defineAgent({ handle(request: any, host: any): any {\n${source.body}\n} });\n`,
  );
  return unwrap(await buildAgent(deps, dir, { signWith: bench.key }), `agent ${name} builds`);
}

export type Recorded = { readonly op: string; readonly args: unknown };

export function tableHost(
  answers: { readonly [op: string]: (args: never) => HostAnswer | Promise<HostAnswer> } = {},
): HostCalls & { readonly calls: Recorded[]; readonly lines: string[] } {
  const calls: Recorded[] = [];
  const lines: string[] = [];
  return {
    calls,
    lines,
    async call(op, args) {
      calls.push({ op, args });
      const answer = answers[op];
      if (answer === undefined)
        return { type: 'error', code: 'CapabilityDenied', message: `no grant for ${op}`, retryable: false };
      return answer(args as never);
    },
    log: (level, text) => void lines.push(`${level}: ${text}`),
    stdout: (text) => void lines.push(`stdout: ${text}`),
    stderr: (text) => void lines.push(`stderr: ${text}`),
  };
}

export type RunOptions = {
  readonly with?: { readonly [key: string]: never | string | number | boolean };
  readonly seed?: string;
  readonly deadlineMs?: number;
  readonly host?: HostCalls;
  readonly signal?: AbortSignal;
  readonly share?: string;
};

export function run(bench: Bench, bundle: Bundle, options: RunOptions = {}): Promise<AttemptOutcome> {
  const identity = {
    trace_id: 'ab'.repeat(16),
    run_id: 'run_test',
    node: 'node',
    attempt: 1,
    seed: options.seed ?? '00'.repeat(32),
    accepted_ms: 1_700_000_000_000,
    deadline_ms: options.deadlineMs ?? 20_000,
  };
  const request = { with: options.with ?? {}, inputs: {} };
  return bench.cells.run(
    { bundle, run: identity, request, ...(options.share === undefined ? {} : { share: options.share }) },
    options.host ?? tableHost(),
    options.signal ?? new AbortController().signal,
  );
}
