/** The broker against a real HTTP server: answers, streams, failures, fallbacks, cache, budgets. */
import { err, failure, type JsonObject, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { type FakeReply, startFakeProvider } from '@runloop/testkit';
import { describe, expect, test } from 'vitest';
import {
  type Broker,
  type CallContext,
  type CompletionRequest,
  createBroker,
  parseBrokerConfig,
  undiciHttp,
} from '../src/index.ts';
import { answerBytesMax, embedTextsMax, requestBytesMax } from '../src/limits.ts';

const secret = 'sk-very-secret';
const logged: string[] = [];
const make = (models: JsonObject): Broker =>
  createBroker(
    {
      clock: systemClock,
      random: systemRandom,
      log: { log: (_, message) => void logged.push(message) },
      http: undiciHttp(),
      secrets: {
        resolve: (id) =>
          Promise.resolve(
            id === 'runloop/models/fake' ? ok(secret) : err(failure('NotFound', `there is no secret ${id}`)),
          ),
        scrub: (text) => text.replaceAll(secret, '[secret]'),
      },
    },
    unwrap(parseBrokerConfig(models), 'a configuration'),
  );
const http = (url: string, more: JsonObject = {}): JsonObject => ({
  id: 'fake',
  kind: 'http',
  base_url: url,
  secret_id: 'runloop/models/fake',
  ...more,
});
const over = (url: string, more: JsonObject = {}): Broker =>
  make({ default: 'fake:m', broker: { providers: [http(url)], ...more } });
const ctx: CallContext = { run: 'r1', node: 'n1', agent: 'a1' };
const ask = (text = 'hi', more: Partial<CompletionRequest> = {}): CompletionRequest => ({
  messages: [{ role: 'user', content: text }],
  ...more,
});
const never = new AbortController().signal;

describe('answers', () => {
  test('whole and streamed, with usage, price and what model.called needs', async () => {
    await using fake = await startFakeProvider('hello there');
    await using broker = over(fake.url, { prices: [{ pattern: 'm', input: 1, output: 2 }] });
    const whole = unwrap(await broker.complete(ask(), ctx, never), 'an answer');
    expect(whole).toMatchObject({
      text: 'hello there',
      finish_reason: 'stop',
      model_version: 'fake-1',
      called: {
        model: 'm',
        provider: 'fake',
        tokens_in: 7,
        tokens_out: 3,
        usd_nano: 7_000 + 6_000,
        cache: 'miss',
        fallback_from: [],
      },
    });
    expect(fake.requests[0]).toMatchObject({
      path: '/v1/chat/completions',
      authorization: `Bearer ${secret}`,
      body: { model: 'm', messages: [{ role: 'user', content: 'hi' }] },
    });
    fake.script({ type: 'stream', pieces: ['o', 'n', 'e – ü'], tokensOut: 5 });
    const pieces: string[] = [];
    const streamed = unwrap(
      await broker.complete(ask('hi', { stream: true }), { ...ctx, onDelta: (text) => void pieces.push(text) }, never),
      'an answer',
    );
    expect([streamed.text, pieces, streamed.called.tokens_out]).toEqual(['one – ü', ['o', 'n', 'e – ü'], 5]);
    expect(broker.spending('r1').run?.spent).toMatchObject({
      tokens: 10 + 12,
      tokens_in: 14,
      usd_nano: 13_000 + 17_000,
      calls: 2,
    });
  });

  test('embeddings, and the echo that is plainly no model', async () => {
    await using fake = await startFakeProvider();
    await using broker = make({ broker: { providers: [http(fake.url), { id: 'echo', kind: 'echo' }] } });
    expect(unwrap(await broker.embed({ model: 'fake:e', texts: ['a', 'bcd'] }, ctx, never), 'vectors')).toMatchObject({
      vectors: [
        [1, 1, 0],
        [3, 1, 0],
      ],
      dimension: 3,
      called: { tokens_in: 7 },
    });
    expect(unwrap(await broker.complete(ask('say', { model: 'echo:x' }), ctx, never), 'an echo')).toMatchObject({
      text: 'echo: say',
      called: { usd_nano: 0 },
    });
  });
});

describe('failures', () => {
  test('with no provider, no route, no secret or nobody listening: ProviderUnavailable, at once', async () => {
    const gone = await startFakeProvider();
    await gone[Symbol.asyncDispose]();
    for (const models of [
      {},
      { default: 'x', broker: { providers: [http(gone.url)] } },
      { default: 'fake:m', broker: { providers: [http(gone.url)] } },
      { default: 'fake:m', broker: { providers: [http(gone.url, { secret_id: 'runloop/models/other' })] } },
    ]) {
      await using broker = make(models);
      const answer = await broker.complete(ask(), ctx, never);
      expect(answer).toMatchObject({ ok: false, error: { code: 'ProviderUnavailable' } });
      if (!answer.ok) expect(answer.error.hint).toBeTruthy();
      expect(broker.spending('r1').run?.spent.tokens ?? 0).toBe(0);
    }
  });

  const check = async (
    replies: readonly FakeReply[],
    code: string | undefined,
    requests: number,
    request: CompletionRequest = ask(),
  ): Promise<void> => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url);
    fake.script(...replies);
    const answer = await broker.complete(request, ctx, never);
    expect(answer).toMatchObject(code === undefined ? { ok: true } : { ok: false, error: { code } });
    expect(fake.requests.length).toBe(requests);
    expect(JSON.stringify(answer)).not.toContain(secret);
  };
  const status = (status: number, more: object = {}): FakeReply => ({
    type: 'status',
    status,
    retryAfter: '0',
    ...more,
  });
  test.each<[string, readonly FakeReply[], string | undefined, number, CompletionRequest?]>([
    ['429 and 503 are tried again', [status(429), status(503)], undefined, 3],
    ['three failures are enough', [status(500), status(500), status(500)], 'ProviderFailed', 3],
    ['a lost connection is tried again', [{ type: 'drop' }], undefined, 2],
    ['a Retry-After of an hour is not waited for', [status(429, { retryAfter: '3600' })], 'ProviderFailed', 1],
    ['400 is not tried again', [status(400)], 'ProviderFailed', 1],
    ['401 is not, and what it quotes is scrubbed', [status(401, { body: `bad key ${secret}` })], 'ProviderFailed', 1],
    ['404 is not tried again', [status(404)], 'ProviderFailed', 1],
    [
      'a quota that is used up is not',
      [status(429, { body: '{"error":{"code":"insufficient_quota"}}' })],
      'ProviderFailed',
      1,
    ],
    ['a redirect is not followed', [status(302)], 'ProviderFailed', 1],
    ['no JSON', [{ type: 'raw', body: '<html>' }], 'ProviderFailed', 1],
    ['no choices', [{ type: 'raw', body: '{}' }], 'ProviderFailed', 1],
    ['A10: an endless answer is cut off', [{ type: 'flood' }], 'OutputTooLarge', 1],
    ['A10: an endless stream is cut off', [{ type: 'flood' }], 'OutputTooLarge', 1, ask('hi', { stream: true })],
    [
      'a stream that breaks off is no answer',
      [{ type: 'stream', pieces: ['half'], broken: true }],
      'ProviderFailed',
      1,
      ask('hi', { stream: true }),
    ],
    ['A10: a request that is too large is not sent', [], 'LimitExceeded', 0, ask('x'.repeat(requestBytesMax + 1))],
    ['no message at all', [], 'Usage', 0, { messages: [] }],
  ])('%s', (_, replies, code, requests, request) => check(replies, code, requests, request));

  test('A10: an answer of the largest size still passes', () =>
    check(
      [
        {
          type: 'raw',
          body: JSON.stringify({ choices: [{ message: { content: 'x'.repeat(answerBytesMax - 100) } }] }),
        },
      ],
      undefined,
      1,
    ));

  test('A10: too many texts are refused', async () => {
    await using broker = make({});
    expect(
      await broker.embed({ texts: Array.from({ length: embedTextsMax + 1 }, () => 'x') }, ctx, never),
    ).toMatchObject({ ok: false, error: { code: 'LimitExceeded' } });
  });

  test('a provider that hangs is given up, and the next of the route answers', async () => {
    await using slow = await startFakeProvider();
    await using good = await startFakeProvider('from b');
    slow.script({ type: 'hang' });
    await using broker = make({
      default: 'm',
      broker: {
        providers: [http(slow.url, { id: 'a', timeout_ms: 100 }), http(good.url, { id: 'b' })],
        route: [{ pattern: '*', provider: 'a', fallback: ['b'], target_model: 't' }],
      },
    });
    expect(unwrap(await broker.complete(ask(), ctx, never), 'an answer')).toMatchObject({
      text: 'from b',
      called: { provider: 'b', model: 't', fallback_from: ['a:DeadlineExceeded'] },
    });
    expect(broker.models().rows.slice(0, 2)).toMatchObject([
      { provider: 'a', model: 't', clearance: 'private' },
      { provider: 'b' },
    ]);
  });

  test('a provider that keeps failing is left alone', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url);
    fake.script(...Array.from({ length: 6 }, () => status(500)));
    for (let i = 0; i < 2; i += 1) await broker.complete(ask(), ctx, never);
    const seen = fake.requests.length;
    expect(await broker.complete(ask(), ctx, never)).toMatchObject({
      ok: false,
      error: { code: 'ProviderUnavailable' },
    });
    expect(fake.requests.length).toBe(seen);
    expect(broker.models().rows[0]?.state).toBe('open');
  });

  test('cancelling ends the request at the provider', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url);
    fake.script({ type: 'hang' });
    const abort = new AbortController();
    const answer = broker.complete(ask(), ctx, abort.signal);
    await until(() => fake.requests.length === 1);
    abort.abort();
    expect(await answer).toMatchObject({ ok: false, error: { code: 'Cancelled' } });
    await until(() => fake.aborted === 1);
  });
});

describe('cache', () => {
  const exact = ask('same', { temperature: 0 });
  test('equal questions are asked once, cost once, and are told apart by owner, secrecy and parameters', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url, { prices: [{ pattern: 'm', input: 1, output: 1 }] });
    const cacheOf = async (request: CompletionRequest, more: Partial<CallContext> = {}): Promise<string> =>
      unwrap(await broker.complete(request, { ...ctx, ...more }, never), 'an answer').called.cache;
    expect(await cacheOf(exact)).toBe('miss');
    expect(unwrap(await broker.complete(exact, ctx, never), 'a hit').called).toMatchObject({
      cache: 'hit',
      usd_nano: 0,
      tokens_in: 0,
      saved_usd_nano: 10_000,
    });
    expect(await cacheOf(exact, { owner: 'other' })).toBe('miss');
    expect(await cacheOf(exact, { secrecy: 'public' })).toBe('miss');
    expect(await cacheOf({ ...exact, seed: 1 })).toBe('miss');
    expect(await cacheOf(ask('same', { temperature: 1 }))).toBe('miss');
    expect(await cacheOf(ask('same', { temperature: 1 }))).toBe('miss');
    expect(await cacheOf(ask('same', { temperature: 1, cache: true }))).toBe('miss');
    expect(await cacheOf(ask('same', { temperature: 1, cache: true }))).toBe('hit');
    expect(fake.requests.length).toBe(7);
    expect(broker.spending('r1').run?.spent.calls).toBe(7);
  });

  test('calls in flight share one; cancelling one does not stop the others; failures are not kept', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url);
    fake.script({ type: 'status', status: 404 });
    expect((await broker.complete(exact, ctx, never)).ok).toBe(false);
    const abort = new AbortController();
    const first = broker.complete(exact, ctx, abort.signal);
    const others = Array.from({ length: 20 }, () => broker.complete(exact, ctx, never));
    abort.abort();
    expect(await first).toMatchObject({ ok: false, error: { code: 'Cancelled' } });
    const states = (await Promise.all(others)).map((other) => unwrap(other, 'an answer').called.cache);
    // Whoever stays pays for it, once.
    expect(states.toSorted()).toEqual(['miss', ...Array.from({ length: 19 }, () => 'shared')]);
    expect(fake.requests.length).toBe(2);
  });

  test('A10: the oldest answer makes room', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url, { cache: { capacity: 2 } });
    for (const text of ['a', 'b', 'c', 'c', 'a']) await broker.complete(ask(text, { temperature: 0 }), ctx, never);
    expect(fake.requests.length).toBe(4);
  });
});

describe('budgets', () => {
  test('a refused budget is that of whoever began: who joined the same call makes it', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url);
    const call = (run: string, tokens: number) =>
      broker.complete(ask('hi', { temperature: 0 }), { ...ctx, run, budgets: { run: { tokens } } }, never);
    const answers = await Promise.all([call('poor', 0), call('rich', 5_000), call('rich too', 5_000)]);
    expect(answers.map((one) => (one.ok ? 'ok' : one.error.code))).toEqual(['BudgetExceeded', 'ok', 'ok']);
    expect(fake.requests.length).toBe(1);
  });

  test('a thousand calls at once do not pass a cap together', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url, { budgets: { default_tokens: 1_000 } });
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => broker.complete(ask('hi', { max_tokens: 50 }), ctx, never)),
    );
    const spent = broker.spending('r1').run?.spent.tokens ?? 0;
    expect(spent).toBeLessThanOrEqual(1_000);
    expect(answers.filter(({ ok }) => ok).length).toBe(spent / 10);
    expect(answers.some((one) => !one.ok && one.error.code === 'BudgetExceeded')).toBe(true);
  });

  test('0 means nothing; a model without a price under a cap in dollars is refused; a raise lets it go on', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url);
    const code = async (budgets: NonNullable<CallContext['budgets']>): Promise<string> => {
      const answer = await broker.complete(ask(), { ...ctx, budgets }, never);
      return answer.ok ? 'ok' : answer.error.code;
    };
    expect(await code({ node: { calls: 0 } })).toBe('BudgetExceeded');
    expect(await code({ run: { tokens: 0 } })).toBe('BudgetExceeded');
    expect(await code({ call: { tokens: 10 } })).toBe('BudgetExceeded');
    expect(await code({ node: { calls: 1 } })).toBe('ok');
    expect(await code({ node: { calls: 1 } })).toBe('BudgetExceeded');
    expect(await code({ node: { calls: 2 } })).toBe('ok');
    await using remote = make({
      default: 'p:unheard-of',
      broker: { providers: [{ id: 'p', kind: 'http', base_url: 'https://192.0.2.1' }], budgets: { day_usd: 1 } },
    });
    const open = { ...ctx, secrecy: 'public' } as const;
    expect(await remote.complete(ask(), open, never)).toMatchObject({ ok: false, error: { code: 'UnknownPrice' } });
  });

  test('parts of a run spend from one purse each, those within them too, also what was spent before a restart', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url);
    broker.restore([
      {
        ts_ms: systemClock.nowMs(),
        run: 'r2',
        node: 'a/b/n',
        agent: 'a1',
        tokens_in: 90,
        tokens_out: 0,
        usd_nano: 0,
        latency_ms: 1,
      },
    ]);
    const groups = [
      { id: 'a', calls: 3 },
      { id: 'a/b', calls: 1 },
    ];
    const code = async (node: string, more: Partial<CallContext> = {}): Promise<string> => {
      const given = { ...ctx, node, budgets: { groups }, ...more };
      const answer = await broker.complete(ask(String(Math.random())), given, never);
      return answer.ok ? 'ok' : answer.error.message;
    };
    expect(await code('a/b/n')).toBe('ok');
    expect(await code('a/b/m')).toContain('group "group:r1/a/b" has 0 calls left of 1');
    expect(await code('a/n')).toBe('ok');
    expect(await code('b/n')).toBe('ok');
    expect(await code('a/m')).toBe('ok');
    expect(await code('a/m')).toContain('group "group:r1/a" has 0 calls left of 3');
    const after = { run: 'r2', budgets: { groups: [{ id: 'a', tokens: 95 }] } };
    expect(await code('a/x', after)).toContain('has 5 tokens left of 95');
  });

  test('what is private goes to cleared providers alone, fallbacks included, unless a person agreed', async () => {
    await using fake = await startFakeProvider();
    const provider = (id: string, clearance: string): JsonObject => ({
      id,
      kind: 'http',
      base_url: fake.url,
      clearance,
    });
    await using broker = make({
      default: 'open:m',
      broker: {
        providers: [provider('open', 'public'), provider('safe', 'private')],
        route: [{ pattern: 'mixed', provider: 'open', fallback: ['safe'] }],
        budgets: {},
      },
    });
    const served = async (more: object, model?: string): Promise<string> => {
      const answer = await broker.complete(ask('hi', model === undefined ? {} : { model }), { ...ctx, ...more }, never);
      return answer.ok ? answer.value.called.provider : answer.error.code;
    };
    expect(await served({ secrecy: 'public' })).toBe('open');
    expect(await served({ secrecy: 'private' })).toBe('CapabilityDenied');
    expect(await served({})).toBe('CapabilityDenied');
    expect(await served({ secrecy: 'private', agreed: true })).toBe('open');
    expect(await served({ secrecy: 'public' }, 'mixed')).toBe('open');
    expect(await served({ secrecy: 'private' }, 'mixed')).toBe('safe');
    expect([broker.clears(undefined), broker.clears('mixed'), broker.clears('nobody')]).toEqual([false, true, true]);
  });

  test('usage beyond the reservation is booked, freezes the level, and is logged', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url, { budgets: { default_tokens: 500 } });
    fake.script({ type: 'text', text: 'long', tokensOut: 5_000 });
    expect((await broker.complete(ask('hi', { max_tokens: 10 }), ctx, never)).ok).toBe(true);
    expect(broker.spending('r1').run).toMatchObject({ spent: { tokens: 5_007 }, frozen: true });
    expect(await broker.complete(ask(), ctx, never)).toMatchObject({ ok: false, error: { code: 'BudgetExceeded' } });
    expect(logged.at(-1)).toContain('frozen');
  });

  test('what was spent before a restart counts', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(fake.url, { budgets: { default_tokens: 500 } });
    broker.restore([{ ...ctx, ts_ms: systemClock.nowMs(), tokens_in: 490, tokens_out: 0, usd_nano: 0, latency_ms: 1 }]);
    expect(await broker.complete(ask(), ctx, never)).toMatchObject({ ok: false, error: { code: 'BudgetExceeded' } });
    broker.endRun('r1');
    expect((await broker.complete(ask('hi', { max_tokens: 50 }), ctx, never)).ok).toBe(true);
  });
});

describe('configuration', () => {
  test.each<[JsonObject, RegExp]>([
    [{ broker: { providers: [{ id: 'a', kind: 'http_mistral' }] } }, /kind.*"http_mistral"/],
    [{ broker: { providers: [{ id: 'a', kind: 'http', base_url: 'ftp://x' }] } }, /base_url/],
    [
      {
        broker: {
          providers: [
            { id: 'a', kind: 'echo' },
            { id: 'a', kind: 'echo' },
          ],
        },
      },
      /twice/,
    ],
    [{ broker: { route: [{ pattern: '*', provider: 'x' }] } }, /"x", which is not configured/],
    [{ broker: { budgets: { day_usd: -1 } } }, /day_usd/],
  ])('%j is refused', (models, message) => {
    const parsed = parseBrokerConfig(models);
    expect(parsed).toMatchObject({ ok: false, error: { code: 'InvalidConfig' } });
    if (!parsed.ok) expect(parsed.error.message).toMatch(message);
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
