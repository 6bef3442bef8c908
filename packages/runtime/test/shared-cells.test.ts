/** Many attempts in one cell: apart from one another, and none of them able to hold up or take down the rest for long. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AttemptOutcome, Bundle, HostAnswer, HostCalls } from '../src/index.ts';
import { type Bench, buildTestAgent, run, tableHost, workbench } from './fixture.ts';

let bench: Bench;
let agent: Bundle;

beforeAll(async () => {
  bench = await workbench(0);
  agent = await buildTestAgent(bench, 'neighbour', {
    out: 'out = ["artifact.generic.v1"]',
    caps: '[limits]\ncpu_ms = 2000\n',
    body: `
      const { ask, n } = request.with;
      const give = (value: any) => ({ out: [{ type: 'artifact.generic.v1', value }] });
      const spin = (turns: number) => { let x = 0; for (let i = 0; i < turns; i += 1) x += i % 7; return x; };
      if (ask === 'state') { (globalThis as any).seen = ((globalThis as any).seen ?? 0) + 1; return give((globalThis as any).seen); }
      if (ask === 'loop') for (;;) {}
      if (ask === 'work') { spin(n); return give(true); }
      if (ask === 'turns') { for (let i = 0; i < n; i += 1) { host.kb.search({ i }); spin(20_000); } return give(true); }
      if (ask === 'stack') { const f = (d: number): number => f(d + 1) + 1; return give(f(0)); }
      if (ask === 'hog') { const a: any[] = []; for (;;) a.push(new Uint8Array(1 << 20)); }
      if (ask === 'throw') throw new TypeError('a bug');
      if (ask === 'flood') { for (let i = 0; i < 3_000; i += 1) console.log('x'.repeat(200)); return give(true); }
      if (ask === 'two') return give([host.kb.search({ n }), host.kb.search({ n: n + 1 })]);
      return give(host.kb.search({ n }));`,
  });
});
afterAll(() => bench[Symbol.asyncDispose]());

type Ask = { readonly [key: string]: never | string | number | boolean };
type More = {
  readonly host?: HostCalls;
  readonly share?: string;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
};
const shared = (ask: Ask, more: More = {}): Promise<AttemptOutcome> =>
  run(bench, agent, { with: ask, share: more.share ?? 'same', ...more });
const gives = (value: unknown): object => ({ type: 'succeeded', outputs: { out: [{ value }] } });
const echo = (): HostCalls => tableHost({ 'kb.search': (args) => ({ type: 'value', value: args }) });

test('all of them are in one cell, and each has its own state and its own answers', async () => {
  const before = bench.cells.stats().started;
  const all = await Promise.all([
    ...Array.from({ length: 20 }, () => shared({ ask: 'state' })),
    ...Array.from({ length: 20 }, (_, n) => shared({ ask: 'call', n }, { host: echo() })),
  ]);
  for (const outcome of all.slice(0, 20)) expect(outcome).toMatchObject(gives(1));
  all.slice(20).forEach((outcome, n) => expect(outcome).toMatchObject(gives({ n })));
  expect(bench.cells.stats().started - before).toBeLessThanOrEqual(2);
});

test('another key, another cell', async () => {
  await shared({ ask: 'state' }, { share: 'one' });
  const before = bench.cells.stats().started;
  await shared({ ask: 'state' }, { share: 'one' });
  expect(bench.cells.stats().started).toBe(before);
  await shared({ ask: 'state' }, { share: 'other' });
  expect(bench.cells.stats().started).toBe(before + 1);
});

test('A10: hundreds wait for their host at once and all finish', async () => {
  const gate = Promise.withResolvers<HostAnswer>();
  const everybody = Promise.withResolvers<void>();
  let waiting = 0;
  const all = Array.from({ length: 200 }, () => {
    const host = tableHost({
      'kb.search': () => {
        waiting += 1;
        if (waiting === 200) everybody.resolve();
        return gate.promise;
      },
    });
    return shared({ ask: 'call', n: 1 }, { host, share: 'crowd' });
  });
  await everybody.promise;
  gate.resolve({ type: 'value', value: 'go' });
  for (const outcome of await Promise.all(all)) expect(outcome).toMatchObject(gives('go'));
});

test.each<[string, Ask, object]>([
  ['a stack overflow', { ask: 'stack' }, { type: 'failed', reason: expect.stringMatching(/stack/i) }],
  ['all of its memory', { ask: 'hog' }, { type: 'failed', code: 'OutOfMemory' }],
  ['an exception', { ask: 'throw' }, { type: 'failed', reason: 'TypeError: a bug' }],
  ['a flood of lines', { ask: 'flood' }, gives(true)],
])('%s ends its instance alone', async (_what, ask, expected) => {
  const gate = Promise.withResolvers<HostAnswer>();
  const neighbour = shared(
    { ask: 'two', n: 1 },
    { share: 'apart', host: tableHost({ 'kb.search': () => gate.promise }) },
  );
  const before = bench.cells.stats().started;
  expect(await shared(ask, { share: 'apart' })).toMatchObject(expected);
  gate.resolve({ type: 'value', value: 7 });
  expect(await neighbour).toMatchObject(gives([7, 7]));
  expect(bench.cells.stats().started - before).toBeLessThanOrEqual(2);
});

test('a turn begins anew with each host call, the whole allowance does not', async () => {
  expect(await shared({ ask: 'turns', n: 40 }, { host: echo() })).toMatchObject(gives(true));
  const outcome = await shared({ ask: 'turns', n: 5_000 }, { host: echo() });
  expect(outcome).toMatchObject({ type: 'failed', code: 'OutOfFuel' });
  expect(outcome.usage.fuel).toBeGreaterThan(2000 * 400_000);
});

test('a deadline and a cancellation end one that waits, and nobody else', async () => {
  const never = (): HostCalls => tableHost({ 'kb.search': () => new Promise(() => {}) });
  const late = shared({ ask: 'call', n: 1 }, { host: never(), deadlineMs: 300 });
  const abort = new AbortController();
  const stopped = shared({ ask: 'call', n: 1 }, { host: never(), signal: abort.signal });
  const gate = Promise.withResolvers<HostAnswer>();
  const other = shared({ ask: 'call', n: 1 }, { host: tableHost({ 'kb.search': () => gate.promise }) });
  expect(await late).toMatchObject({ type: 'failed', code: 'DeadlineExceeded' });
  abort.abort();
  expect(await stopped).toMatchObject({ type: 'cancelled' });
  gate.resolve({ type: 'value', value: 1 });
  expect(await other).toMatchObject(gives(1));
});

test('A12: when the cell is lost, who waited is a bystander and its call is brought to its end first', async () => {
  const gate = Promise.withResolvers<HostAnswer>();
  const asked = Promise.withResolvers<void>();
  const host = tableHost({
    'kb.search': () => {
      asked.resolve();
      return gate.promise;
    },
  });
  const waiting = shared({ ask: 'call', n: 1 }, { share: 'doomed', host });
  await asked.promise;
  const pids = bench.cells.pids();
  process.kill(pids.at(-1) ?? 0, 'SIGKILL');
  let over = false;
  void waiting.then(() => (over = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(over).toBe(false);
  gate.resolve({ type: 'value', value: 1 });
  expect(await waiting).toMatchObject({ type: 'suspended', reason: 'bystander' });
});

test('one that computes past its turn is sent elsewhere; its neighbours are not', async () => {
  const neighbours = Array.from({ length: 5 }, (_, n) => shared({ ask: 'two', n }, { share: 'turns', host: echo() }));
  expect(await shared({ ask: 'loop' }, { share: 'turns' })).toMatchObject({ type: 'suspended', reason: 'elsewhere' });
  // Its kind has a cell of its own from now on: this one may compute for as long as its allowance lasts.
  expect(await shared({ ask: 'work', n: 10_000_000 }, { share: 'turns' })).toMatchObject(gives(true));
  const all = await Promise.all(neighbours);
  all.forEach((outcome, n) => expect(outcome).toMatchObject(gives([{ n }, { n: n + 1 }])));
});
