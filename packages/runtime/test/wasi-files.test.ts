/** Files and clocks from inside a real cell, over the real kernel and the real opener. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sleep, systemClock, unwrap } from '@runloop/core';
import {
  type AttemptOutcome,
  type Bundle,
  type CallResult,
  createFiles,
  createKernel,
  type HostCalls,
  loadBundle,
  signBundle,
  trustHost,
  type RecordedCall,
} from '../src/index.ts';
import { type Bench, buildTestAgent, workbench } from './fixture.ts';

let bench: Bench;
const root = realpathSync(mkdtempSync(join(tmpdir(), 'rl-wasi-')));
const data = join(root, 'data');
beforeAll(async () => {
  bench = await workbench();
  mkdirSync(data);
  mkdirSync(join(root, 'outside'));
  writeFileSync(join(root, 'outside/secret'), 'SECRET');
  symlinkSync(join(root, 'outside'), join(data, 'link'));
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

const ids = { agent: 'probe', run_id: 'run_test', trace_id: 'ab'.repeat(16), node: 'node', attempt: 1 };

/** The kernel with files and clocks behind it; `tape` answers where it has an answer. */
function hostFor(bundle: Bundle, tape: readonly RecordedCall[] = []): HostCalls & { readonly records: RecordedCall[] } {
  const files = createFiles({ never: [], commandDirs: [] });
  const records: RecordedCall[] = [];
  const keep = (record: RecordedCall): void => void records.push(record);
  const kernel = createKernel({
    journal: { intent: () => Promise.resolve(), result: async (record) => keep(record), note: keep },
    approvals: { ask: () => Promise.resolve('denied') },
    cleared: () => true,
    leaves: (op, args, { caps }) => files.leaves(op, args, caps.fs),
    perform: async (op, args, { call, approved, caps }, signal): Promise<CallResult> => {
      if (op === 'clock.sleep') await sleep(systemClock, (args as { ms: number }).ms, signal);
      if (op.startsWith('clock.'))
        return { ok: true, value: { wall_ms: systemClock.nowMs(), monotonic_ms: systemClock.monotonicMs() } };
      return files.perform(op, args, { id: call, approved, repeated: false, grants: caps.fs });
    },
    audit: () => undefined,
    line: () => undefined,
  });
  const mode = tape.length === 0 ? 'live' : 'replay';
  const door = kernel.open({ ...ids, caps: bundle.caps, tape, mode });
  return {
    records,
    call: (...args) => door.call(...args),
    log: () => undefined,
    stdout: () => undefined,
    stderr: () => undefined,
  };
}

function runIn(bundle: Bundle, host: HostCalls): Promise<AttemptOutcome> {
  const { fs, time } = bundle.caps;
  const run = { ...ids, seed: '00'.repeat(32), accepted_ms: 1_700_000_000_000, deadline_ms: 20_000, fs, time };
  return bench.cells.run({ bundle, run, request: { with: {}, inputs: {} } }, host, new AbortController().signal);
}

function answerOf(outcome: AttemptOutcome): unknown {
  if (outcome.type !== 'succeeded') throw new Error(JSON.stringify(outcome));
  return outcome.outputs['out']?.[0]?.value;
}

describe('a TypeScript agent', () => {
  test('reads, writes and appends below its grant, and is told what is missing', async () => {
    const bundle = await buildTestAgent(bench, 'filer', {
      caps: `fs = [{ path = "${data}", write = true }]`,
      body: `
        const { fs } = host;
        const path = '${data}/notes';
        fs.write({ path, mode: 'create', data: 'one' });
        fs.append({ path, data: ' two' });
        const code = (work: any) => { try { work(); return 'done'; } catch (error: any) { return error.code + ': ' + error.message; } };
        return { out: [{ type: 'x', value: [
          fs.read({ path }).data,
          code(() => fs.read({ path: '${data}/link/secret' })),
          code(() => fs.read({ path: '${root}/outside/secret' })),
        ] }] };`,
    });
    expect(answerOf(await runIn(bundle, hostFor(bundle)))).toEqual([
      'one two',
      `CapabilityDenied: ${data}/link is a symbolic link, and links are not followed (loop)`,
      `CapabilityDenied: agent probe may not use fs.read on ${root}/outside/secret; missing grant: fs = ["${root}/outside"]`,
    ]);
    expect(readFileSync(join(data, 'notes'), 'utf8')).toBe('one two');
  });

  test('with time its clock is real and its sleeps wait; a replay tells it the same', async () => {
    const body = `
      const before = Date.now();
      host.clock.sleep({ ms: 60 });
      return { out: [{ type: 'x', value: [before, Date.now()] }] };`;
    const bundle = await buildTestAgent(bench, 'timer', { caps: 'time = true', body });
    const startedMs = systemClock.nowMs();
    const live = hostFor(bundle);
    const told = answerOf(await runIn(bundle, live)) as [number, number];
    expect(told[0]).toBeGreaterThanOrEqual(startedMs);
    expect(told[1] - told[0]).toBeGreaterThanOrEqual(59);
    expect(told[1]).toBeLessThanOrEqual(systemClock.nowMs());
    expect(live.records.map(({ op }) => op)).toEqual(['clock.now', 'clock.sleep', 'clock.now']);
    expect(answerOf(await runIn(bundle, hostFor(bundle, live.records)))).toEqual(told);
  });

  test('a sleep lasts no longer than the deadline', async () => {
    const body = 'host.clock.sleep({ ms: 60_000 }); return {};';
    const bundle = await buildTestAgent(bench, 'sleeper', { caps: 'time = true\n[limits]\nwall_ms = 400', body });
    expect(await runIn(bundle, hostFor(bundle))).toMatchObject({ type: 'failed', code: 'DeadlineExceeded' });
  });

  test('without time its clock stands at the accepted time, and it cannot ask for another', async () => {
    const body = `
      let refused = '';
      try { host.clock.now({}); } catch (error: any) { refused = error.message; }
      return { out: [{ type: 'x', value: [Date.now(), refused] }] };`;
    const bundle = await buildTestAgent(bench, 'timeless', { body });
    expect(answerOf(await runIn(bundle, hostFor(bundle)))).toEqual([
      1_700_000_000_000,
      'agent probe may not use clock.now; missing grant: time = true',
    ]);
  });
});

/** A C program as a component, or why it cannot be made here. */
async function compile(): Promise<Uint8Array | string> {
  const source = join(import.meta.dirname, 'wasi-program');
  const core = join(root, 'files.core.wasm');
  const flags = [
    '--target=wasm32',
    '-O1',
    '-fno-builtin',
    '-nostdlib',
    '-Wl,--no-entry',
    '-Wl,--strip-all',
    '-o',
    core,
  ];
  const made = spawnSync('clang', [...flags, join(source, 'files.c')], { encoding: 'utf8' });
  if (made.status !== 0) return `no clang for wasm32 here: ${made.error?.message ?? made.stderr}`;
  const binary = readFileSync(core);
  const witSource = readFileSync(join(source, 'files.wit'), 'utf8');
  return componentNew(await componentEmbed({ binary, witSource, world: 'agent' }));
}

test('a C program: preopened directories, descriptors, streams, WASI codes, files_open', async (context) => {
  const component = await compile();
  if (typeof component === 'string') {
    context.skip(component);
    return;
  }
  const shelf = join(root, 'shelf');
  mkdirSync(shelf);
  writeFileSync(join(shelf, 'book'), 'read me');
  const dir = join(bench.dir, 'agents/cfiles');
  mkdirSync(join(dir, 'bin'), { recursive: true });
  writeFileSync(
    join(dir, 'manifest.toml'),
    '[agent]\nname = "cfiles"\nversion = "0.1.0"\n[ports]\nout = { out = ["*"] }\n',
  );
  writeFileSync(
    join(dir, 'policy.caps'),
    `fs = [{ path = "${data}", write = true }, "${shelf}"]\ntime = true\n[limits]\nfiles_open = 9\n`,
  );
  writeFileSync(join(dir, 'bin/cfiles.wasm'), component);
  unwrap(await signBundle(dir, bench.key), 'it is signed');
  const bundle = unwrap(await loadBundle(dir, trustHost(bench.key.id)), 'a bundle');
  const live = hostFor(bundle);
  const told = answerOf(await runIn(bundle, live));
  expect(
    (told as string[]).map((line) => line.replace(/ (\d+)$/, (_, code) => `: ${codes[Number(code)] ?? 'ok'}`)),
  ).toEqual([
    'create: ok',
    'write: ok',
    'stream: ok',
    'append: ok',
    'read hello there!? end',
    'stream read ello',
    'stream end: closed',
    'create again: exist',
    'open nothing: no-entry',
    'open a link: loop',
    'open above: not-permitted',
    'open absolute: not-permitted',
    'open beside: ok',
    'open to read: ok',
    'open to write: read-only',
    'open to truncate: read-only',
    'open as directory: not-directory',
    'mkdir read-only: read-only',
    'mkdir: ok',
    'rename: ok',
    'rmdir: not-empty',
    'entry d.txt',
    'no more: ok',
    'unlink: ok',
    'A10: too many: quota',
    // Of nine; three are open, and the dropped one does not count.
    'more that were open 6 then',
    'clock real',
  ]);
  // Everything that it did and was told is on the tape: once more, with nothing behind it.
  rmSync(data, { recursive: true });
  expect(answerOf(await runIn(bundle, hostFor(bundle, live.records)))).toEqual(told);
});

/** WASI's error codes by number, as far as the program meets them; 1 is a closed stream there. */
const codes: { readonly [code: number]: string } = {
  1: 'closed',
  6: 'quota',
  7: 'exist',
  15: 'loop',
  20: 'no-entry',
  24: 'not-directory',
  25: 'not-empty',
  31: 'not-permitted',
  33: 'read-only',
};
