/** A provider that plays a tape: what is on it is answered as it was, what is not is said by its digest. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JsonObject, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { memoryLog } from '@runloop/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Broker, createBroker, parseBrokerConfig, undiciHttp } from '../src/index.ts';
import { requestDigest } from '../src/record-provider.ts';

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rl-'));
  file = join(dir, 'tape.ndjson');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const never = new AbortController().signal;
const ctx = { run: 'r', node: 'n', agent: 'a' };
const make = (): Broker =>
  createBroker(
    {
      clock: systemClock,
      random: systemRandom,
      log: memoryLog(),
      http: undiciHttp(),
      secrets: { resolve: () => Promise.resolve(ok('unused')), scrub: (text) => text },
    },
    unwrap(
      parseBrokerConfig({
        default: 'tape:m',
        broker: { providers: [{ id: 'tape', kind: 'record', file }], budgets: { day: { usd: 0 } } },
      }),
      'a configuration',
    ),
  );
const ask = (content: string, more: object = {}): Parameters<Broker['complete']>[0] => ({
  messages: [{ role: 'user', content }],
  ...more,
});
const answer = (text: string): JsonObject => ({
  text,
  tool_calls: [],
  finish_reason: 'stop',
  usage: { tokens_in: 3, tokens_out: 2 },
  model_version: 'once-1',
});
const taped = (op: string, args: JsonObject, value: JsonObject, isOk = true): string =>
  JSON.stringify({ event: { kind: 'effect.result', payload: { meta: { op, ok: isOk, args, value } } }, hash: '' });
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64');

test('plain lines and those of an exported run, whichever model was asked; in turn, and then the last again', async () => {
  const lines = [
    JSON.stringify({ runloop_tape: 1, trace_id: 'ab' }),
    JSON.stringify({ request: ask('one'), answer: answer('first') }),
    JSON.stringify({ request: ask('one', { model: 'other', stream: true }), answer: answer('second') }),
    taped('model.complete', { blob: 'a1' }, { json: answer('from a run') }),
    taped('model.complete', { json: { messages: [] } }, { json: answer('of no request') }),
    taped('model.complete', { json: { messages: [{ role: 'user', content: 'lost' }] } }, {}, false),
    taped('model.embed', { json: { texts: ['a'] } }, { json: { vectors: [[1, 2]], dimension: 2 } }),
    taped('kb.search', { json: {} }, { json: {} }),
    JSON.stringify({ blob: 'a1', base64: base64(ask('two', { seed: 4 })) }),
    JSON.stringify({ of_a_newer_version: true }),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  await using broker = make();
  const pieces: string[] = [];
  const said = async (request: Parameters<Broker['complete']>[0]): Promise<string> => {
    const done = await broker.complete(request, { ...ctx, onDelta: (text) => pieces.push(text) }, never);
    return done.ok ? done.value.text : `${done.error.code}: ${done.error.message}`;
  };
  expect([await said(ask('one')), await said(ask('one')), await said(ask('one', { stream: true }))]).toEqual([
    'first',
    'second',
    'second',
  ]);
  expect(pieces).toEqual(['second']);
  expect(await said(ask('two', { seed: 4, model: 'tape:x' }))).toBe('from a run');
  const digest = requestDigest(ask('lost'));
  // However often: the provider is well.
  for (let i = 0; i < 6; i += 1)
    expect(await said(ask('lost'))).toBe(
      `ProviderUnavailable: the tape of provider "tape" has no answer to request ${digest}`,
    );
  expect(await said(ask('one'))).toBe('second');
  expect(await broker.embed({ texts: ['a'] }, ctx, never)).toMatchObject({
    value: { vectors: [[1, 2]], dimension: 2 },
  });
});

test.each([
  ['is not there', undefined, /ENOENT/],
  ['is no tape', 'not json\n', /line 1 is no JSON object/],
  ['holds no call', '{"runloop_tape":1}\n', /holds no model call/],
])('a file that %s: ProviderUnavailable, with its name', async (_, text, why) => {
  if (text !== undefined) writeFileSync(file, text);
  await using broker = make();
  const done = await broker.complete(ask('one'), ctx, never);
  expect(done).toMatchObject({ ok: false, error: { code: 'ProviderUnavailable' } });
  if (done.ok) return;
  expect(done.error.message).toContain(file);
  expect(done.error.message).toMatch(why);
});

test.each([[undefined], ['relative.ndjson'], [5]])('file: %j is refused', (given) => {
  const one = { id: 'tape', kind: 'record', ...(given === undefined ? {} : { file: given }) };
  expect(parseBrokerConfig({ broker: { providers: [one] } })).toMatchObject({
    ok: false,
    error: { code: 'InvalidConfig', message: expect.stringContaining('file is not the absolute path') },
  });
});
