/** Every fault that a provider can have, against real sockets: its own clear error, or the next provider's answer with the fault's name beside it. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { type ErrorCode, type JsonObject, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { type FakeReply, memoryLog, startFakeProvider } from '@runloop/testkit';
import { describe, expect, test } from 'vitest';
import { type Broker, type CallContext, createBroker, parseBrokerConfig, undiciHttp } from '../src/index.ts';

const never = new AbortController().signal;
const ctx: CallContext = { run: 'r', node: 'n', agent: 'a' };
const ask = (stream: boolean): Parameters<Broker['complete']>[0] => ({
  messages: [{ role: 'user', content: 'hi' }],
  max_tokens: 50,
  stream,
});
const http = (id: string, url: string, more: JsonObject = {}): JsonObject => ({
  id,
  kind: 'http',
  base_url: url,
  ...more,
});
const make = (providers: readonly JsonObject[]): Broker =>
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
        default: 'm',
        broker: {
          providers,
          route: [{ pattern: '*', provider: 'a', fallback: providers.slice(1).map(({ id }) => String(id)) }],
        },
      }),
      'a configuration',
    ),
  );

type Fault = {
  readonly replies?: readonly FakeReply[];
  /** In place of the fake's own. */
  readonly url?: (url: string) => string;
  readonly config?: JsonObject;
  readonly code: ErrorCode;
  readonly says: RegExp;
  readonly hint?: RegExp;
  /** How often the provider is asked. */
  readonly requests: number;
  /** Whether it may have been charged, and is booked at its bound, each time. */
  readonly paid?: boolean;
  /** `false` where nothing else can mend it. */
  readonly fallback?: false;
  readonly only?: 'whole' | 'stream';
};

const status = (code: number, more: object = {}): FakeReply => ({ type: 'status', status: code, ...more });
const thrice = (reply: FakeReply): readonly FakeReply[] => [reply, reply, reply];
const usedUp = status(429, { body: '{"error":{"code":"insufficient_quota"}}' });
const faults: { readonly [name: string]: Fault } = {
  ...Object.fromEntries(
    [408, 409, 500, 502, 503, 529].map((code): [string, Fault] => [
      String(code),
      {
        replies: thrice(status(code, { retryAfter: '0' })),
        code: 'ProviderFailed',
        says: new RegExp(`"a" answered ${code}`),
        requests: 3,
      },
    ]),
  ),
  400: { replies: [status(400)], code: 'ProviderFailed', says: /answered 400/, requests: 1, fallback: false },
  401: { replies: [status(401)], code: 'ProviderFailed', says: /answered 401/, hint: /key is refused/, requests: 1 },
  403: { replies: [status(403)], code: 'ProviderFailed', says: /answered 403/, hint: /key is refused/, requests: 1 },
  404: { replies: [status(404)], code: 'ProviderFailed', says: /answered 404/, hint: /target_model/, requests: 1 },
  '429 without Retry-After': {
    replies: thrice(status(429)),
    code: 'ProviderFailed',
    says: /answered 429/,
    hint: /concurrency/,
    requests: 3,
  },
  '429 that asks to wait an hour': {
    replies: [status(429, { retryAfter: '3600' })],
    code: 'ProviderFailed',
    says: /answered 429/,
    requests: 1,
  },
  'a quota that is used up': {
    replies: [usedUp],
    code: 'ProviderFailed',
    says: /insufficient_quota/,
    hint: /quota of the account/,
    requests: 1,
  },
  'a redirect': {
    replies: [status(307, { location: 'http://192.0.2.1/' })],
    code: 'ProviderFailed',
    says: /answered 307/,
    hint: /not followed/,
    requests: 1,
  },
  'a refused connection': {
    url: () => 'http://127.0.0.1:1',
    code: 'ProviderUnavailable',
    says: /provider "a" is unavailable: .*ECONNREFUSED/,
    hint: /Start it/,
    requests: 0,
  },
  'a host that is not there': {
    url: () => 'http://no-such-host.invalid',
    config: { clearance: 'private' },
    code: 'ProviderUnavailable',
    says: /provider "a" is unavailable: .*(?:ENOTFOUND|EAI_AGAIN)/,
    hint: /base_url/,
    requests: 0,
  },
  'TLS to a plain port': {
    url: (url) => url.replace('http:', 'https:'),
    code: 'ProviderUnavailable',
    says: /provider "a" is unavailable: .*SSL/,
    hint: /without TLS is http/,
    requests: 0,
  },
  'a connection closed without a word': {
    replies: thrice({ type: 'drop' }),
    code: 'ProviderFailed',
    says: /connection to provider "a" broke/,
    requests: 3,
    paid: true,
  },
  'an answer cut in the middle': {
    replies: thrice({ type: 'cut' }),
    code: 'ProviderFailed',
    says: /connection to provider "a" broke/,
    requests: 3,
    paid: true,
  },
  'a stream that ends before it says so': {
    replies: [{ type: 'stream', pieces: ['half'], broken: true }],
    code: 'ProviderFailed',
    says: /stream/,
    requests: 1,
    paid: true,
    only: 'stream',
  },
  'no first token': {
    replies: [{ type: 'stall' }],
    config: { first_token_ms: 150 },
    code: 'DeadlineExceeded',
    says: /"a" did not begin to answer within 150 ms/,
    requests: 1,
    paid: true,
  },
  'no answer at all': {
    replies: [{ type: 'hang' }],
    config: { timeout_ms: 150 },
    code: 'DeadlineExceeded',
    says: /"a" did not answer within 150 ms/,
    requests: 1,
    paid: true,
  },
  'a byte at a time, without an end': {
    replies: [{ type: 'trickle' }],
    config: { timeout_ms: 250 },
    code: 'DeadlineExceeded',
    says: /"a" did not answer within 250 ms/,
    requests: 1,
    paid: true,
  },
  'an endless body': {
    replies: [{ type: 'flood' }],
    code: 'OutputTooLarge',
    says: /over 4194304 bytes/,
    requests: 1,
    paid: true,
  },
  'no JSON': {
    replies: [{ type: 'raw', body: '<html>Bad gateway</html>' }],
    code: 'ProviderFailed',
    says: /malformed: not JSON/,
    requests: 1,
    paid: true,
    only: 'whole',
  },
  'JSON of another shape': {
    replies: [{ type: 'raw', body: '{"choices":"none"}' }],
    code: 'ProviderFailed',
    says: /malformed/,
    requests: 1,
    paid: true,
    only: 'whole',
  },
  'no events in a stream': {
    replies: [{ type: 'raw', body: '{"choices":[]}' }],
    code: 'ProviderFailed',
    says: /stream/,
    requests: 1,
    paid: true,
    only: 'stream',
  },
  'an event that is no JSON': {
    replies: [{ type: 'raw', body: 'data: {"choices":\n\n' }],
    code: 'ProviderFailed',
    says: /malformed: a piece of the stream is not JSON/,
    requests: 1,
    paid: true,
    only: 'stream',
  },
};
/** Tokens of one call at most: 34 of its prompt, 50 of its answer. */
const bound = 84;

async function check(fault: Fault, stream: boolean): Promise<void> {
  await using fake = await startFakeProvider();
  await using good = await startFakeProvider('from b');
  const { replies = [], url = String, config, code, says, hint, requests, paid = false } = fault;
  const broken = http('a', url(fake.url), config);
  fake.script(...replies);
  await using alone = make([broken]);
  const spent: number[] = [];
  const telling = {
    ...ctx,
    onSpent: ({ tokens_in, tokens_out }: { tokens_in: number; tokens_out: number }) =>
      spent.push(tokens_in + tokens_out),
  };
  const refused = await alone.complete(ask(stream), telling, never);
  expect(refused).toMatchObject({ ok: false, error: { code } });
  if (refused.ok) return;
  expect(refused.error.message).toMatch(says);
  if (hint !== undefined) expect(refused.error.hint).toMatch(hint);
  expect(fake.requests.length).toBe(requests);
  // Every attempt that may have been charged, and no other, is booked, and told to whoever keeps the books.
  const expected = paid ? Array.from({ length: requests }, () => bound) : [];
  expect(spent).toEqual(expected);
  expect(alone.spending('r').run).toMatchObject({
    spent: { tokens: expected.length * bound, calls: expected.length },
    reserved: { tokens: 0, calls: 0 },
  });
  fake.script(...replies);
  await using routed = make([broken, http('b', good.url)]);
  const answer = await routed.complete(ask(stream), ctx, never);
  if (fault.fallback === false) expect(answer.ok).toBe(false);
  else
    expect(answer).toMatchObject({
      value: { text: 'from b', called: { provider: 'b', fallback_from: [`a:${code}`] } },
    });
}

describe.concurrent.each(Object.entries(faults))('%s', (_, fault) => {
  test.skipIf(fault.only === 'stream')('whole', () => check(fault, false));
  test.skipIf(fault.only === 'whole')('streamed', () => check(fault, true));
});

describe('what is mended by itself', () => {
  test.each<[string, readonly FakeReply[], number]>([
    ['429, then an answer, after the wait that it asks for', [status(429, { retryAfter: '0.05' })], 2],
    ['503 twice', [status(503, { retryAfter: '0' }), status(503, { retryAfter: '0' })], 3],
    ['a dropped connection', [{ type: 'drop' }], 2],
  ])('%s', async (_, replies, requests) => {
    await using fake = await startFakeProvider('well');
    await using broker = make([http('a', fake.url)]);
    fake.script(...replies);
    expect(await broker.complete(ask(false), ctx, never)).toMatchObject({ value: { text: 'well' } });
    expect(fake.requests.length).toBe(requests);
  });

  test.each<[string, object, number]>([
    ['negative', { prompt_tokens: -1, completion_tokens: -5 }, bound],
    ['not whole', { prompt_tokens: 1.5, completion_tokens: 0.5 }, bound],
    ['beyond all reason', { prompt_tokens: 1e300, completion_tokens: 1e300 }, bound],
    ['a word', { prompt_tokens: 'seven', completion_tokens: '3' }, bound],
    ['left out', {}, bound],
    ['right', { prompt_tokens: 7, completion_tokens: 3 }, 10],
  ])('a usage that is %s: booked at the bound unless it is right', async (_, usage, booked) => {
    await using fake = await startFakeProvider();
    await using broker = make([http('a', fake.url)]);
    fake.script({ type: 'raw', body: JSON.stringify({ choices: [{ message: { content: 'x' } }], usage }) });
    expect((await broker.complete(ask(false), ctx, never)).ok).toBe(true);
    expect(broker.spending('r').run?.spent.tokens).toBe(booked);
  });
});

/** Says something that is no HTTP, to whoever connects. */
async function startMumbler(): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => socket.end('\x15\x03\x01\x00\x02\x02\x46'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('what speaks no HTTP is said to, and is not asked again', async () => {
  await using mumbler = await startMumbler();
  await using broker = make([http('a', mumbler.url)]);
  const answer = await broker.complete(ask(false), ctx, never);
  expect(answer).toMatchObject({
    error: {
      code: 'ProviderFailed',
      message: expect.stringContaining('speaks no HTTP'),
      hint: expect.stringContaining('https'),
    },
  });
});

test.each([false, true])('a cancelled call closes its connection at the server (streamed: %s)', async (stream) => {
  await using fake = await startFakeProvider();
  await using broker = make([http('a', fake.url)]);
  fake.script({ type: stream ? 'stall' : 'hang' });
  const abort = new AbortController();
  const answer = broker.complete(ask(stream), ctx, abort.signal);
  while (fake.requests.length === 0) await new Promise(setImmediate);
  abort.abort();
  expect(await answer).toMatchObject({ error: { code: 'Cancelled' } });
  while (fake.aborted === 0) await new Promise(setImmediate);
  expect(broker.spending('r').run).toMatchObject({ spent: { tokens: bound }, reserved: { tokens: 0 } });
});
