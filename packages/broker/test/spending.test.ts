/** Ways to spend over a cap that were looked for: what a prompt can hide, days that turn over, tapes that lie, answers that a crash lost. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, type JsonObject, type JsonValue, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { memoryLog, startFakeProvider } from '@runloop/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Broker,
  type CallContext,
  type CompletionRequest,
  createBroker,
  parseBrokerConfig,
  parseCompletion,
  undiciHttp,
} from '../src/index.ts';
import { anthropic } from '../src/dialects/anthropic.ts';
import { gemini } from '../src/dialects/gemini.ts';
import { ollama } from '../src/dialects/ollama.ts';
import { openai } from '../src/dialects/openai.ts';
import { promptTokensMax } from '../src/estimate.ts';
import { callNameCharsMax } from '../src/limits.ts';
import { findPrice, readPriceTable } from '../src/prices.ts';

const never = new AbortController().signal;
const ctx: CallContext = { run: 'r', node: 'n', agent: 'a', secrecy: 'public' };
const make = (broker: JsonObject, clock: Clock = systemClock): Broker =>
  createBroker(
    {
      clock,
      random: systemRandom,
      log: memoryLog(),
      http: undiciHttp(),
      secrets: { resolve: () => Promise.resolve(ok('unused')), scrub: (text) => text },
    },
    unwrap(parseBrokerConfig({ default: 'm', broker }), 'a configuration'),
  );
const http = (id: string, url: string, more: JsonObject = {}): JsonObject => ({
  id,
  kind: 'http',
  base_url: url,
  ...more,
});
const everything = (provider: string, ...fallback: string[]): JsonObject[] => [{ pattern: '*', provider, fallback }];
const ask = (text = 'hi', more: Partial<CompletionRequest> = {}): CompletionRequest => ({
  messages: [{ role: 'user', content: text }],
  max_tokens: 50,
  ...more,
});
const codeOf = async (broker: Broker, more: Partial<CallContext> = {}, request = ask()): Promise<string> => {
  const done = await broker.complete(request, { ...ctx, ...more }, never);
  return done.ok ? 'ok' : done.error.code;
};

describe('the bound of a prompt', () => {
  /** Every text that a body carries. */
  const textsOf = (value: JsonValue): readonly string[] => {
    if (typeof value === 'string') return [value];
    return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
  };
  const text = fc.string({ unit: 'binary', maxLength: 300 });
  const name = fc.string({ maxLength: callNameCharsMax, size: 'max' });
  const call = fc.record({ id: name, name, arguments: fc.oneof(text, fc.json()) });
  const message = fc.oneof(
    fc.record({ role: fc.constantFrom('system', 'user', 'assistant'), content: text }),
    fc.record({ role: fc.constant('assistant'), content: text, tool_calls: fc.array(call, { maxLength: 3 }) }),
    fc.record({ role: fc.constant('tool'), content: text, tool_call_id: name }),
  );

  test('covers all the words that any dialect sends, whatever is repeated with the result of a tool', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 8 }), fc.nat(3), (messages, repeats) => {
        const calls = messages.flatMap((one) => ('tool_calls' in one ? one.tool_calls : []));
        const results = calls.flatMap(({ id }) =>
          Array.from({ length: repeats }, () => ({ role: 'tool', content: '', tool_call_id: id })),
        );
        const request = unwrap(parseCompletion({ messages: [...messages, ...results] }), 'a request');
        for (const dialect of [openai, anthropic, gemini, ollama]) {
          const body = JSON.parse(dialect.complete(request, '', 1).body) as JsonValue;
          const bytes = textsOf(body).reduce((sum, one) => sum + Buffer.byteLength(one), 0);
          expect(bytes).toBeLessThanOrEqual(promptTokensMax(request));
        }
      }),
    );
  });

  test.each<[string, JsonObject]>([
    ['messages[0].tool_calls[0].name', { role: 'assistant', tool_calls: [{ id: 'i', name: 'x', arguments: '' }] }],
    ['messages[0].tool_calls[0].id', { role: 'assistant', tool_calls: [{ name: 'n', id: 'x', arguments: '' }] }],
    ['messages[0].tool_call_id', { role: 'tool', content: '', tool_call_id: 'x' }],
  ])('A10: %s, which is said again with each result, is short', (where, message) => {
    const long = (chars: number): JsonObject =>
      JSON.parse(JSON.stringify({ messages: [message] }).replace('"x"', `"${'x'.repeat(chars)}"`)) as JsonObject;
    expect(parseCompletion(long(callNameCharsMax)).ok).toBe(true);
    expect(parseCompletion(long(callNameCharsMax + 1))).toMatchObject({
      error: { code: 'InvalidParams', message: expect.stringContaining(`${where} is over ${callNameCharsMax}`) },
    });
  });

  test('holds what the model takes for an image', async () => {
    await using fake = await startFakeProvider();
    const prices = readPriceTable().prices.filter(({ pattern }) => pattern.startsWith('gpt-4o'));
    await using broker = make({ providers: [http('a', fake.url)], prices });
    const image = { type: 'image', media_type: 'image/png', data_base64: 'iVBORw0KGgo=' } as const;
    const see = (model: string, tokens_in: number): Promise<string> =>
      codeOf(
        broker,
        { budgets: { call: { tokens_in } } },
        ask('', { model: `a:${model}`, messages: [{ role: 'user', content: [image] }] }),
      );
    expect(findPrice(prices, 'gpt-4o-mini')?.image_tokens).toBe(2_833 + 8 * 5_667);
    expect(await see('gpt-4o', 5_000)).toBe('ok');
    expect(await see('gpt-4o-mini', 48_000)).toBe('BudgetExceeded');
    expect(await see('gpt-4o-mini', 49_000)).toBe('ok');
  });
});

describe('a day', () => {
  const night = Date.UTC(2026, 10, 21, 23, 59);
  const morning = night + 120_000;
  const turning = (): { at: number; readonly clock: Clock } => {
    const time = { at: night, clock: systemClock };
    return { ...time, clock: { ...systemClock, nowMs: () => turned.at } };
  };
  let turned = turning();

  test('has its cap, however often the clock is set back over midnight and on again', async () => {
    turned = turning();
    await using fake = await startFakeProvider();
    await using broker = make(
      { providers: [http('a', fake.url)], route: everything('a'), budgets: { day: { calls: 1 } } },
      turned.clock,
    );
    const codes: string[] = [];
    for (const at of [night, morning, night, morning, night]) {
      turned.at = at;
      codes.push(await codeOf(broker));
    }
    expect(codes).toEqual(['ok', 'ok', 'BudgetExceeded', 'BudgetExceeded', 'BudgetExceeded']);
  });

  test('is that on which a call is made, not that on which it began to wait', async () => {
    turned = turning();
    await using fake = await startFakeProvider();
    const providers = [http('a', fake.url, { concurrency: 1 })];
    await using broker = make({ providers, route: everything('a'), budgets: { day: { calls: 1 } } }, turned.clock);
    fake.script({ type: 'hang' });
    const abort = new AbortController();
    const first = broker.complete(ask(), ctx, abort.signal);
    while (fake.requests.length === 0) await new Promise(setImmediate);
    const second = codeOf(broker, { agent: 'b' });
    turned.at = morning;
    abort.abort();
    expect([(await first).ok, await second, await codeOf(broker)]).toEqual([false, 'ok', 'BudgetExceeded']);
    expect(broker.spending().day).toMatchObject({ key: 'day:2026-11-22', spent: { calls: 1 } });
  });

  test('that is over is told of as frozen no more', async () => {
    turned = turning();
    await using fake = await startFakeProvider();
    await using broker = make(
      { providers: [http('a', fake.url)], route: everything('a'), budgets: { day: { tokens: 1_000 } } },
      turned.clock,
    );
    fake.script({ type: 'text', text: 'x', tokensOut: 900 });
    expect(await codeOf(broker)).toBe('ok');
    expect(broker.frozen().map(({ key }) => key)).toEqual(['day:2026-11-21']);
    turned.at = morning;
    expect(await codeOf(broker)).toBe('ok');
    expect(broker.frozen()).toEqual([]);
  });
});

test('a run that ends while its call is under way: the day keeps what it used, the run is forgotten', async () => {
  await using fake = await startFakeProvider();
  await using broker = make({ providers: [http('a', fake.url)], route: everything('a') });
  fake.script({ type: 'stall' });
  const abort = new AbortController();
  const answer = broker.complete(ask('hi', { stream: true }), ctx, abort.signal);
  while (fake.requests.length === 0) await new Promise(setImmediate);
  broker.endRun('r');
  abort.abort();
  expect((await answer).ok).toBe(false);
  expect(broker.spending('r')).toMatchObject({ day: { spent: { calls: 1, tokens: 84 }, reserved: { tokens: 0 } } });
  expect(broker.spending('r').run).toBeUndefined();
});

test('what a tape says of its usage is no credit', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'rl-'));
  try {
    const file = join(dir, 'tape.ndjson');
    const answer = { text: 'x', usage: { tokens_in: -1_000_000, tokens_out: '7' } };
    writeFileSync(file, JSON.stringify({ request: { messages: ask().messages, max_tokens: 50 }, answer }));
    await using broker = make({ providers: [{ id: 'tape', kind: 'record', file }], route: everything('tape') });
    const done = unwrap(await broker.complete(ask(), ctx, never), 'an answer');
    expect(done).toMatchObject({ text: 'x', tool_calls: [], usage: { tokens_in: 34, tokens_out: 50 } });
    expect(broker.spending('r').run?.spent).toMatchObject({ tokens: 84, tokens_in: 34, tokens_out: 50 });
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('an answer that a crash lost is booked at the dearest provider of its route', async () => {
  await using broker = make({
    providers: [
      http('local', 'http://127.0.0.1:1'),
      http('far', 'https://192.0.2.1'),
      http('other', 'https://192.0.2.2'),
    ],
    route: everything('local', 'far:dear', 'other:cheap'),
    prices: [
      { pattern: 'dear', input: 10, output: 10 },
      { pattern: 'cheap', input: 1, output: 1 },
    ],
  });
  expect(broker.forfeit(ask(), ctx)).toMatchObject({ provider: 'far', model: 'dear', usd_nano: 84 * 10_000 });
});

test('no price is the trouble of whose dollars are capped, not of who asks the same at the same time', async () => {
  await using fake = await startFakeProvider();
  // This machine by a name of it that is not known as such, so that its models have no price.
  await using broker = make({
    providers: [http('a', fake.url.replace('127.0.0.1', '0.0.0.0'))],
    route: everything('a'),
  });
  const capped = { run: { usd_nano: 1e9 } };
  const kept = ask('hi', { temperature: 0 });
  const codes = await Promise.all([codeOf(broker, { budgets: capped }, kept), codeOf(broker, { run: 'other' }, kept)]);
  expect(codes).toEqual(['UnknownPrice', 'ok']);
});
