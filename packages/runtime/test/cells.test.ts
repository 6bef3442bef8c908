/** Agents built for real, run in real cells. */
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AttemptOutcome, type Bundle, createCells } from '../src/index.ts';
import { longTurnNice } from '../src/limits.ts';
import { type Bench, type RunOptions, buildTestAgent, deps, run, tableHost, workbench } from './fixture.ts';

let bench: Bench;
let agent: Bundle;
let small: Bundle;

beforeAll(async () => {
  bench = await workbench(0);
  agent = await buildTestAgent(bench, 'probe', {
    out: 'out = ["artifact.generic.v1"]',
    body: `
      const ask = request.with.ask;
      const give = (value: any) => ({ out: [{ type: 'artifact.generic.v1', value }] });
      if (ask === 'echo') return give(request.with.text);
      if (ask === 'call') return give(host.model.complete({ prompt: request.with.text }));
      if (ask === 'refused') { try { host.http.fetch({ url: 'https://x' }); } catch (e: any) { return give([e.name, e.code, e.message, e.retryable]); } }
      if (ask === 'uncaught') return give(host.http.fetch({ url: 'https://x' }));
      if (ask === 'fail') throw new AgentFailure('cannot today', { retryable: true });
      if (ask === 'throw') throw new TypeError('a bug');
      if (ask === 'string') throw 'just text';
      if (ask === 'stack') { const f = (n: number): number => f(n + 1) + 1; return give(f(0)); }
      if (ask === 'half') { host.log('info', 'log \\ud83d'); console.log('console \\udc00x'); throw new AgentFailure('because \\ud83d', { retryable: false }); }
      if (ask === 'long') { try { host.kb.search({ text: 'x'.repeat(2_000_000) }); } catch (e: any) { return give([e.code, host.kb.search({ text: 'y' })]); } }
      if (ask === 'loop') for (;;) {}
      if (ask === 'hog') { const a: any[] = []; for (;;) a.push(new Uint8Array(1 << 20)); }
      if (ask === 'objects') { const a: any[] = []; for (;;) a.push({ a: 'x' + a.length }); }
      if (ask === 'flood') { for (let i = 0; i < 100_000; i += 1) console.log('x'.repeat(100)); return give(true); }
      if (ask === 'line') { console.log('y'.repeat(100_000)); return give(true); }
      if (ask === 'large') return give('z'.repeat(2_000_000));
      if (ask === 'calls') { for (let i = 0; i < 20; i += 1) host.kb.search({ i }); return give(true); }
      if (ask === 'port') return { nowhere: [{ type: 'artifact.generic.v1', value: 1 }] };
      if (ask === 'type') return { out: [{ type: 'artifact.other.v1', value: 1 }] };
      if (ask === 'async') return Promise.resolve({});
      if (ask === 'seeded') return give([Math.random(), Math.random(), Date.now(), host.run.seed]);
      if (ask === 'world') return give({ env: typeof (globalThis as any).process, require: typeof (globalThis as any).require, fetch: typeof (globalThis as any).fetch, std: typeof (globalThis as any).std, os: typeof (globalThis as any).os });
      if (ask === 'api') return give([new TextDecoder().decode(new TextEncoder().encode('né€😀')), new URL('../a?b=c d', 'https://h:443/x/y').href, structuredClone({ a: [1] })]);
      if (ask === 'state') { (globalThis as any).n = ((globalThis as any).n ?? 0) + 1; return give((globalThis as any).n); }
      return {};`,
  });
  small = await buildTestAgent(bench, 'small', {
    caps: '[limits]\nmemory_mib = 16\ncpu_ms = 200\nhostcalls = 5\noutput_kib = 1\n',
    body: `
      if (request.with.ask === 'loop') for (;;) {}
      if (request.with.ask === 'hog') { const a: any[] = []; for (;;) a.push(new Uint8Array(1 << 20)); }
      if (request.with.ask === 'calls') { for (let i = 0; i < 6; i += 1) host.kb.search({ i }); }
      if (request.with.ask === 'large') return { out: [{ type: 'a.b.v1', value: 'z'.repeat(2000) }] };
      return {};`,
  });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

test('half a character in a log line or a reason is shown as one that is missing, and traps nobody', async () => {
  const host = tableHost();
  await check({ with: { ask: 'half' }, host }, { type: 'failed', code: 'AgentFailed', reason: 'because \ufffd' });
  expect(host.lines).toEqual(['info: log \ufffd', 'info: console \ufffdx']);
});

test('A10: arguments that are too long are refused, and the next call is made', async () => {
  const host = tableHost({ 'kb.search': () => ({ type: 'value', value: 1 }) });
  await check({ with: { ask: 'long' }, host }, gives(['LimitExceeded', 1]));
  expect(host.calls).toHaveLength(1);
});

/** The outcome without its usage. */
async function check(options: RunOptions, expected: object, bundle: Bundle = agent): Promise<AttemptOutcome> {
  const outcome = await run(bench, bundle, options);
  expect(outcome).toMatchObject(expected);
  return outcome;
}
const gives = (value: unknown): object => ({
  type: 'succeeded',
  outputs: { out: [{ type: 'artifact.generic.v1', value }] },
});
const fails = (code: string, reason: RegExp | string): object => ({
  type: 'failed',
  code,
  reason: typeof reason === 'string' ? reason : expect.stringMatching(reason),
});

describe('answers', () => {
  test('an answer comes back on its ports', () => check({ with: { ask: 'echo', text: 'hé' } }, gives('hé')));
  test('no answer is an answer', () => check({ with: { ask: 'nothing' } }, { type: 'succeeded', outputs: {} }));
  test('what QuickJS lacks is there', () =>
    check({ with: { ask: 'api' } }, gives(['né€😀', 'https://h/a?b=c d', { a: [1] }])));
  test('a host call is answered over the channel', async () => {
    const host = tableHost({ 'model.complete': () => ({ type: 'value', value: { text: 'hello' } }) });
    await check({ with: { ask: 'call', text: 'hi' }, host }, gives({ text: 'hello' }));
    expect(host.calls).toEqual([{ op: 'model.complete', args: { prompt: 'hi' } }]);
  });
  test('a refused call is an error that the agent can catch', () =>
    check({ with: { ask: 'refused' } }, gives(['HostError', 'CapabilityDenied', 'no grant for http.fetch', false])));
});

describe('failures arrive as what they were', () => {
  test('a reason', () =>
    check({ with: { ask: 'fail' } }, { ...fails('AgentFailed', 'cannot today'), retryable: true }));
  test('an uncaught refusal', () =>
    check({ with: { ask: 'uncaught' } }, fails('AgentFailed', 'CapabilityDenied: no grant for http.fetch')));
  test('a thrown error', () =>
    check({ with: { ask: 'throw' } }, { ...fails('AgentFailed', 'TypeError: a bug'), retryable: false }));
  test('a thrown text', () => check({ with: { ask: 'string' } }, fails('AgentFailed', 'just text')));
  test('a stack overflow', () => check({ with: { ask: 'stack' } }, fails('AgentTrapped', 'stack overflow')));
  test('an undeclared port', () =>
    check({ with: { ask: 'port' } }, fails('AgentFailed', /"nowhere" that the manifest does not declare/)));
  test('an undeclared type', () => check({ with: { ask: 'type' } }, fails('AgentFailed', /gave artifact.other.v1/)));
  test('an async handle', () => check({ with: { ask: 'async' } }, fails('AgentFailed', /cannot be async/)));
  test('a host that throws', () =>
    check(
      {
        with: { ask: 'call', text: '' },
        host: tableHost({
          'model.complete': () => {
            throw new Error('down');
          },
        }),
      },
      fails('Internal', /down/),
    ));
});

describe('A10: limits are reached', () => {
  test('fuel', () => check({ with: { ask: 'loop' } }, fails('OutOfFuel', /CPU/), small));
  test('memory, by arrays', () =>
    check({ with: { ask: 'hog' } }, fails('OutOfMemory', /^out of memory at 1[3-6] MiB$/), small));
  test('memory, by objects', () =>
    check({ with: { ask: 'objects' } }, fails('OutOfMemory', /^out of memory at 6\d MiB$/)));
  test('host calls', () =>
    check(
      { with: { ask: 'calls' }, host: tableHost({ 'kb.search': () => ({ type: 'value', value: [] }) }) },
      fails('AgentFailed', /LimitExceeded: more than 5 host calls/),
      small,
    ));
  test('output', () => check({ with: { ask: 'large' } }, fails('OutputTooLarge', /more than 1024 bytes/), small));
  test('output of a megabyte', () =>
    check({ with: { ask: 'large' } }, fails('OutputTooLarge', /more than 1048576 bytes/)));
  test('the wall deadline kills what does not end', async () => {
    const host = tableHost({ 'model.complete': () => new Promise(() => {}) });
    await check({ with: { ask: 'call', text: '' }, host, deadlineMs: 150 }, fails('DeadlineExceeded', /within 150 ms/));
    await check({ with: { ask: 'loop' }, deadlineMs: 150 }, fails('DeadlineExceeded', /within 150 ms/));
  });
  test('a flood of log lines is cut and counted', async () => {
    const host = tableHost();
    const outcome = await check({ with: { ask: 'flood' }, host }, gives(true));
    expect(host.lines.join('').length).toBeLessThan(400 * 1024);
    expect(outcome.usage.log_bytes_dropped).toBe(100_000 * 100 - 256 * 1024);
  });
  test('one long line is cut', async () => {
    const host = tableHost();
    await check({ with: { ask: 'line' }, host }, gives(true));
    expect(host.lines).toEqual([`info: ${'y'.repeat(8192)}…`]);
  });
});

describe('A7: a cell is closed', () => {
  test('no environment, no Node, no network', () =>
    check(
      { with: { ask: 'world' } },
      gives({ env: 'undefined', require: 'undefined', fetch: 'undefined', std: 'undefined', os: 'undefined' }),
    ));
  test('the process has an empty environment and no descriptors but its own', async () => {
    let seen: { environ: string; descriptors: string[]; args: string } | undefined;
    const host = tableHost({
      'model.complete': async () => {
        const children = (await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8'))
          .trim()
          .split(' ');
        for (const pid of children) {
          const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
          if (!args.includes('cell-') || !existsSync(`/proc/${pid}/fd/3`)) continue;
          seen = {
            args,
            environ: await readFile(`/proc/${pid}/environ`, 'utf8'),
            descriptors: await readdir(`/proc/${pid}/fd`),
          };
        }
        return { type: 'value', value: 1 };
      },
    });
    await check({ with: { ask: 'call', text: '' }, host }, gives(1));
    expect(seen?.environ).toBe('');
    expect(seen?.args).toContain('--permission');
    expect(seen?.args).not.toContain('allow-child-process');
  });
  test('clock and randomness are the run’s own, equal across runs', async () => {
    const first = await check({ with: { ask: 'seeded' }, seed: '01'.repeat(32) }, { type: 'succeeded' });
    const again = await check({ with: { ask: 'seeded' }, seed: '01'.repeat(32) }, { type: 'succeeded' });
    const other = await check({ with: { ask: 'seeded' }, seed: '02'.repeat(32) }, { type: 'succeeded' });
    const value = (outcome: AttemptOutcome): readonly unknown[] =>
      outcome.type === 'succeeded' ? (outcome.outputs['out']?.[0]?.value as readonly unknown[]) : [];
    expect(value(again)).toEqual(value(first));
    expect(value(first)[2]).toBe(1_700_000_000_000);
    expect(value(other).slice(0, 2)).not.toEqual(value(first).slice(0, 2));
  });
  test('nothing stays behind from one run to the next in the same process', async () => {
    const started = bench.cells.stats().started;
    await check({ with: { ask: 'state' } }, gives(1));
    await check({ with: { ask: 'state' } }, gives(1));
    expect(bench.cells.stats().started - started).toBeLessThanOrEqual(1);
  });
});

describe('the host decides', () => {
  test('suspend gives the cell up', () =>
    check(
      {
        with: { ask: 'call', text: '' },
        host: tableHost({ 'model.complete': () => ({ type: 'suspend', reason: 'approval' }) }),
      },
      { type: 'suspended', reason: 'approval' },
    ));
  test('a cancellation ends the attempt and the call under way', async () => {
    const controller = new AbortController();
    const aborted = Promise.withResolvers<void>();
    const host = tableHost();
    const waiting = {
      ...host,
      call: (_op: string, _args: unknown, signal: AbortSignal) => {
        signal.addEventListener('abort', () => aborted.resolve());
        controller.abort();
        return new Promise<never>(() => {});
      },
    };
    await check({ with: { ask: 'call', text: '' }, host: waiting, signal: controller.signal }, { type: 'cancelled' });
    await aborted.promise;
  });
  test('one that was cancelled before does not start', () =>
    check({ with: { ask: 'loop' }, signal: AbortSignal.abort() }, { type: 'cancelled' }));
});

describe('the build cache', () => {
  test('a prepared file that was changed is refused', async () => {
    await using other = await workbench(0);
    const bundle = await buildTestAgent(other, 'plain', { body: 'return {};' });
    expect(await run(other, bundle)).toMatchObject({ type: 'succeeded' });
    await other.cells.close();
    const options = { cacheDir: join(other.dir, 'cache'), spares: 0 };
    const once = async (): Promise<AttemptOutcome> => {
      await using cells = createCells({ ...deps, hostKey: other.key }, options);
      return await run({ ...other, cells }, bundle);
    };
    const [entry = ''] = await readdir(join(other.dir, 'cache/prepared'));
    for (const name of ['agent.js', 'agent.cache', 'modules.bin', 'agent.hot']) {
      const path = join(other.dir, 'cache/prepared', entry, name);
      const kept = await readFile(path);
      await writeFile(path, Buffer.concat([kept, Buffer.from(';')]));
      expect(await once()).toMatchObject(fails('CellLost', new RegExp(`${name} is not what was prepared`)));
      await writeFile(path, kept);
      expect(await once()).toMatchObject({ type: 'succeeded' });
    }
  });
  test('A10: an agent that does not end its rehearsal runs all the same, without machine code beforehand', async () => {
    await using other = await workbench(0);
    const bundle = await buildTestAgent(other, 'endless', {
      caps: '[limits]\ncpu_ms = 600000\n',
      body: `if (request.with.ask === undefined) for (;;) {} return {};`,
    });
    expect(await run(other, bundle, { with: { ask: 'x' } })).toMatchObject({ type: 'succeeded' });
    const [entry = ''] = await readdir(join(other.dir, 'cache/prepared'));
    expect(await readdir(join(other.dir, 'cache/prepared', entry))).not.toContain('agent.hot');
  });
});

describe('A10: bystanders', () => {
  test('twenty loops end at their deadline, and one that behaves is served beside them', async () => {
    const loops = Array.from({ length: 20 }, () => run(bench, agent, { with: { ask: 'loop' }, deadlineMs: 1_000 }));
    const behaves = run(bench, agent, { with: { ask: 'echo', text: 'here' } });
    for (const loop of loops) expect(await loop).toMatchObject(fails('DeadlineExceeded', /within 1000 ms/));
    expect(await behaves).toMatchObject(gives('here'));
    await check({ with: { ask: 'echo', text: 'and after' } }, gives('and after'));
  });
  test('ten that eat memory end as that, and one that behaves is served beside them', async () => {
    const hogs = Array.from({ length: 10 }, () => run(bench, small, { with: { ask: 'hog' } }));
    const behaves = run(bench, agent, { with: { ask: 'echo', text: 'here' } });
    for (const hog of hogs)
      expect(await hog).toMatchObject({
        type: 'failed',
        code: expect.stringMatching(/^OutOfMemory$|^DeadlineExceeded$/),
      });
    expect(await behaves).toMatchObject(gives('here'));
  });
  test('a guest that computes for long gives way to every other process', async () => {
    await using other = await workbench(0);
    const bundle = await buildTestAgent(other, 'busy', {
      body: `if (request.with.ask === 'loop') for (let i = 0; i < request.with.turns; i += 1); return {};`,
    });
    const work = new AbortController();
    const running = run(other, bundle, { with: { ask: 'loop', turns: 1e12 }, signal: work.signal });
    let gaveWay = false;
    while (!gaveWay) {
      const pids = (await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')).trim().split(' ');
      gaveWay = pids.some((pid) => pid !== '' && niceOf(Number(pid)) === longTurnNice);
      await new Promise((resolve) => setImmediate(resolve));
      if (other.cells.stats().started > 0 && other.cells.stats().alive === 0) break;
    }
    work.abort();
    expect(gaveWay).toBe(true);
    expect(await running).toMatchObject({ type: 'cancelled' });
  });
});

/** 0 for a process that is gone. */
function niceOf(pid: number): number {
  try {
    return getPriority(pid);
  } catch {
    return 0;
  }
}

describe('the pool', () => {
  test('spares stand ready, and close leaves no process', async () => {
    await using other = await workbench(2);
    const bundle = await buildTestAgent(other, 'plain', { body: 'return {};' });
    expect(await other.cells.warm(bundle)).toEqual({ ok: true, value: undefined });
    expect(await run(other, bundle)).toMatchObject({ type: 'succeeded' });
    expect(other.cells.stats()).toMatchObject({ alive: 2, spare: 2 });
    await other.cells.close();
    expect(other.cells.stats()).toMatchObject({ alive: 0, spare: 0 });
    expect(await run(other, bundle)).toMatchObject({ type: 'cancelled' });
  });
  test('A10: spares end when nothing has run for a while', async () => {
    await using other = await workbench(0);
    const bundle = await buildTestAgent(other, 'plain', { body: 'return {};' });
    await using pool = createCells(
      { ...deps, hostKey: other.key },
      { cacheDir: join(other.dir, 'cache'), spares: 1, spareIdleMs: 20 },
    );
    expect(await run({ ...other, cells: pool }, bundle)).toMatchObject({ type: 'succeeded' });
    await expect.poll(() => pool.stats(), { timeout: 20_000 }).toMatchObject({ alive: 0, spare: 0 });
    expect(await run({ ...other, cells: pool }, bundle)).toMatchObject({ type: 'succeeded' });
  });
  test('A10: more attempts than cells wait their turn', async () => {
    await using other = await workbench(0);
    const bundle = await buildTestAgent(other, 'plain', { body: 'return {};' });
    const pool = createCells(
      { ...deps, hostKey: other.key },
      { cacheDir: join(other.dir, 'cache'), spares: 0, cellsMax: 2 },
    );
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => run({ ...other, cells: pool }, bundle)));
    expect(outcomes.map((outcome) => outcome.type)).toEqual(Array(8).fill('succeeded'));
    expect(pool.stats().alive).toBeLessThanOrEqual(2);
    await pool.close();
  });
});

test('time spent waiting for a cell counts: who got none by the deadline is told so', async () => {
  await using cells = createCells(
    { ...deps, hostKey: bench.key },
    { cacheDir: join(bench.dir, 'cache'), spares: 0, cellsMax: 1 },
  );
  const attempt = (ask: string, deadline: number): Promise<AttemptOutcome> =>
    cells.run(
      {
        bundle: agent,
        run: {
          trace_id: 'ab'.repeat(16),
          run_id: 'run_test',
          node: 'node',
          attempt: 1,
          seed: '00'.repeat(32),
          accepted_ms: 0,
          deadline_ms: deadline,
        },
        request: { with: { ask }, inputs: {} },
      },
      tableHost(),
      new AbortController().signal,
    );
  const loop = attempt('loop', 1_500);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await attempt('nothing', 300)).toMatchObject(fails('DeadlineExceeded', /waited for a cell/));
  expect(await loop).toMatchObject(fails('DeadlineExceeded', /within 1500 ms/));
});
