/** Programs that say anything in a cell's place: this process goes on, and the cell is lost. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock, unwrap } from '@runloop/core';
import { type AttemptOutcome, defaultAgentLimits, type HostAnswer } from '../src/index.ts';
import { runAttempt } from '../src/attempt.ts';
import { OwnSeat } from '../src/seat.ts';
import { SharedCell } from '../src/shared-cell.ts';
import { CellProcess } from '../src/cell-process.ts';
import { createChannel, say } from '../src/channel.ts';
import { channelBodyBytesMax, hotCodeBytesMax } from '../src/limits.ts';
import { rehearse } from '../src/rehearsal.ts';
import { tableHost } from './fixture.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'runloop-hostile-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const frames = (...messages: readonly (readonly [number, { readonly [key: string]: unknown }])[]): string => {
  const channel = createChannel(1024 * 1024);
  const bytes = messages.map(([id, payload]) => {
    const frame = channel.frame(id, payload);
    return frame.ok ? Buffer.from(frame.value) : Buffer.alloc(0);
  });
  return `require('fs').writeSync(3, Buffer.from('${Buffer.concat(bytes).toString('hex')}', 'hex'));`;
};
const wait = 'setInterval(() => {}, 1000);';
const call = (index: number): readonly [number, { readonly [key: string]: unknown }] => [
  say.hostcall,
  { v: 1, index, op: 'kb.search', args: '{}' },
];

test.each<[string, string, object]>([
  ['random bytes', `require('fs').writeSync(3, require('crypto').randomBytes(4096));${wait}`, { code: 'CellLost' }],
  [
    'a length of 4 GiB',
    `require('fs').writeSync(3, Buffer.alloc(64, 0xff));${wait}`,
    { code: 'CellLost', reason: expect.stringMatching(/BodyTooLarge/) },
  ],
  ['an end at once', 'process.exit(0)', { code: 'CellLost', retryable: true }],
  ['a crash', 'process.abort()', { code: 'CellLost' }],
  [
    'a thrown error',
    'throw new Error("inside")',
    { code: 'CellLost', reason: expect.stringMatching(/ended unexpectedly/) },
  ],
  ['silence', wait, { code: 'DeadlineExceeded' }],
  ['an answer without outcome', frames([say.response, { v: 1 }]) + wait, { code: 'CellLost' }],
  [
    'an answer that is no JSON',
    frames([say.response, { v: 1, outcome: { type: 'answered', answer: '{' } }]) + wait,
    { code: 'AgentFailed' },
  ],
  [
    'a prototype in an answer',
    frames([say.response, { v: 1, outcome: { type: 'answered', answer: '{"__proto__": [{"type":"x","value":1}]}' } }]) +
      wait,
    { code: 'AgentFailed' },
  ],
  ['a payload that is a list', frames([say.response, [1, 2] as never]) + wait, { code: 'CellLost' }],
  ['a call out of order', frames(call(3)) + wait, { code: 'CellLost', reason: expect.stringMatching(/does not fit/) }],
  ['two calls at once', frames(call(0), call(1)) + wait, { code: 'CellLost' }],
  [
    'usage that lies',
    frames([
      say.response,
      { v: 1, outcome: { type: 'failed', reason: 'x', retryable: false }, usage: { fuel: 'many', hostcalls: null } },
    ]) + wait,
    { code: 'AgentFailed' },
  ],
])('A7, A12: %s', async (what, source, expected) => {
  const program = join(dir, `${what.replaceAll(' ', '-')}.cjs`);
  await writeFile(program, source);
  const cell = new CellProcess(program, dir, 'key');
  const host = tableHost({ 'kb.search': () => new Promise(() => {}) });
  const run = {
    trace_id: 'ab'.repeat(16),
    run_id: 'run_1',
    node: 'n',
    attempt: 1,
    seed: '00',
    accepted_ms: 0,
    deadline_ms: 3_000,
  };
  const attempt = {
    bundle: { ports: { in: {}, out: { out: ['*'] } } },
    run,
    request: { with: {}, inputs: {} },
    limits: defaultAgentLimits,
    wallMs: 3_000,
    endMs: systemClock.monotonicMs() + 3_000,
  };
  const { outcome } = await runAttempt(
    systemClock,
    new OwnSeat(systemClock, cell),
    attempt,
    host,
    new AbortController().signal,
  );
  expect(outcome).toMatchObject({ type: 'failed', ...expected });
  cell.kill();
  await cell.closed;
});

test.each([
  ['A10: more machine code than is kept', hotCodeBytesMax + 1, undefined],
  ['machine code', hotCodeBytesMax, { module: 'b' }],
])('%s', async (what, bytes, expected) => {
  const program = join(dir, `${what.replaceAll(/\W/g, '-')}.cjs`);
  const frame = createChannel(channelBodyBytesMax).frame(say.response, {
    v: 1,
    outcome: { type: 'rehearsed', code: new Uint8Array(bytes) },
  });
  await writeFile(`${program}.cache`, unwrap(frame, 'a frame'));
  const send = `for (let at = 0; at < bytes.length;) at += fs.writeSync(3, bytes, at);`;
  await writeFile(
    program,
    `const fs = require('fs'); const bytes = fs.readFileSync(__filename + '.cache'); ${send}${wait}`,
  );
  const files = {
    code_sha256: '',
    cache_sha256: '',
    modules_sha256: '',
    layout: [
      { name: 'a', offset: 0, bytes: 1 },
      { name: 'b', offset: 1, bytes: 2 },
    ],
  };
  const prepared = { key: 'key', dir, files, memoryBytes: 0, fuel: 0n };
  const code = await rehearse({ clock: systemClock }, program, dir, prepared);
  if (expected === undefined) expect(code).toBe(undefined);
  else expect(code).toMatchObject(expected);
});

/** Two attempts in one cell: the first waits for its host, the second is asked and computes. */
async function neighbours(
  source: string,
  meanwhile: (cell: CellProcess) => Promise<void>,
): Promise<readonly AttemptOutcome[]> {
  const program = join(dir, `shared-${source.length}.cjs`);
  await writeFile(program, source);
  const cell = new CellProcess(program, dir, 'key');
  const shared = new SharedCell(systemClock, cell, 'key');
  const gate = Promise.withResolvers<HostAnswer>();
  const asked = Promise.withResolvers<void>();
  const host = tableHost({
    'kb.search': () => {
      asked.resolve();
      return gate.promise;
    },
  });
  const attempt = {
    bundle: { ports: { in: {}, out: { out: ['*'] } } },
    run: {
      trace_id: 'ab'.repeat(16),
      run_id: 'run_1',
      node: 'n',
      attempt: 1,
      seed: '00',
      accepted_ms: 0,
      deadline_ms: 15_000,
    },
    request: { with: {}, inputs: {} },
    limits: defaultAgentLimits,
    wallMs: 15_000,
    endMs: systemClock.monotonicMs() + 15_000,
  };
  const start = async (): Promise<AttemptOutcome> => {
    const seat = shared.seat(() => undefined);
    return (await runAttempt(systemClock, seat, attempt, host, new AbortController().signal)).outcome;
  };
  const first = start();
  await asked.promise;
  const second = start();
  await meanwhile(cell);
  gate.resolve({ type: 'value', value: 1 });
  const outcomes = await Promise.all([first, second]);
  cell.kill();
  await cell.closed;
  return outcomes;
}

const ready = frames(
  [say.hello, { v: 1, ready: true }],
  [say.hostcall, { v: 1, slot: 1, index: 0, op: 'kb.search', args: '{}' }],
);
const answer = (slot: number): string =>
  frames([say.response, { v: 1, slot, outcome: { type: 'answered', answer: '{}' } }]);

test('a shared cell that computes without a word is killed; who waited is a bystander', async () => {
  const outcomes = await neighbours(`${ready}for (;;) {}`, (cell) => cell.closed);
  expect(outcomes).toMatchObject([
    { type: 'suspended', reason: 'bystander' },
    { type: 'suspended', reason: 'elsewhere' },
  ]);
});

test('a shared cell that gets no processor is not killed for it', async () => {
  const source = `${ready}setTimeout(() => { ${answer(1)}${answer(2)} }, 700);${wait}`;
  const outcomes = await neighbours(source, async (cell) => {
    process.kill(cell.pid ?? 0, 'SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 600));
    process.kill(cell.pid ?? 0, 'SIGCONT');
  });
  expect(outcomes).toMatchObject([{ type: 'succeeded' }, { type: 'succeeded' }]);
});
