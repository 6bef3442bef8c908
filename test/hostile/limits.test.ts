/** Each limit of an agent is reached, reported by its name, and ends that attempt alone. A10, A12. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '@runloop/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Arena, type Try } from './arena.ts';

let arena: Arena;
beforeAll(async () => {
  arena = await Arena.open('[limits]\ncpu_ms = 60000\noutput_kib = 4096\n');
});
afterAll(() => arena[Symbol.asyncDispose]());

test.each<readonly [string, JsonObject, Try, object]>([
  [
    'memory_mib',
    { memory_mib: 16 },
    { try: 'grow' },
    { code: 'OutOfMemory', reason: expect.stringMatching(/out of memory/) },
  ],
  ['cpu_ms', { cpu_ms: 200 }, { try: 'spin' }, { code: 'OutOfFuel', reason: expect.stringMatching(/CPU/) }],
  [
    'wall_ms',
    { wall_ms: 400 },
    { try: 'spin' },
    { code: 'DeadlineExceeded', reason: expect.stringMatching(/did not finish within/) },
  ],
  ['output_kib', { output_kib: 8 }, { try: 'answer', count: 9 }, { code: 'OutputTooLarge' }],
  ['the stack', {}, { try: 'recurse' }, { state: 'failed', code: expect.stringMatching(/^Agent(Trapped|Failed)$/) }],
])('%s', async (_, limits, attempt, expected) => {
  expect((await arena.play({ limits }, attempt)).end).toMatchObject(expected);
  // It is the instance that has ended: the next one runs, and faults are no longer in a row.
  expect((await arena.play({})).end).toMatchObject({ state: 'succeeded' });
});

test('hostcalls: each further call fails, and none of them leaves the cell', async () => {
  const flood = { try: 'calls', count: 5_000, op: 'mailbox.receive', args: {} };
  const { answers, end, events } = await arena.play({ limits: { hostcalls: 10 } }, flood);
  expect(end).toMatchObject({ state: 'succeeded' });
  expect(answers?.[0]).toMatchObject({
    ok: false,
    code: 'LimitExceeded',
    message: expect.stringMatching(/10 host calls/),
  });
  expect(events.length).toBeLessThan(40);
});

test('arguments of a call', async () => {
  const { answers } = await arena.play({}, { op: 'kb.search', args: { text: 'x'.repeat(200) } });
  expect(answers?.[0]).toMatchObject({ ok: false, code: 'CapabilityDenied' });
  const big = { op: 'kb.search', args: { text: 'x'.repeat(1_100_000) } };
  const { answers: none, end } = await arena
    .play({}, big)
    .catch(() => ({ answers: undefined, end: { state: 'refused' } }));
  expect(none?.[0] ?? end).toMatchObject(
    none === undefined ? { state: expect.stringMatching(/refused|failed/) } : { code: 'LimitExceeded' },
  );
});

test('a flood of log lines is cut, and the daemon answers meanwhile', async () => {
  const playing = arena.play({}, { try: 'log', count: 20_000 });
  expect((await arena.client.ping({ timeoutMs: 5_000 })).ok).toBe(true);
  expect((await playing).end).toMatchObject({ state: 'succeeded' });
  const log = join(arena.home.path, 'logs', 'agents.log');
  expect(statSync(log).size).toBeLessThan(1024 * 1024);
  expect(readFileSync(log, 'utf8')).toContain('hostile');
});
