/** What a provider can do to us, on raw sockets: each ends in an answer or in a failure that says what it was, once, and leaves nothing open. */
import { getEventListeners, once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { type JsonObject, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { memoryLog, startFakeProvider } from '@runloop/testkit';
import { describe, expect, test, vi } from 'vitest';
import { type Broker, type CallContext, createBroker, parseBrokerConfig, undiciHttp } from '../src/index.ts';
import { callNameCharsMax } from '../src/limits.ts';

const never = new AbortController().signal;
const ctx: CallContext = { run: 'r', node: 'n', agent: 'a' };
const ask = (stream = false): Parameters<Broker['complete']>[0] => ({
  messages: [{ role: 'user', content: 'hi' }],
  max_tokens: 50,
  stream,
});
const make = (provider: JsonObject, secret = 'sk-secret'): Broker =>
  createBroker(
    {
      clock: systemClock,
      random: systemRandom,
      log: memoryLog(),
      http: undiciHttp(),
      secrets: { resolve: () => Promise.resolve(ok(secret)), scrub: (text) => text.replaceAll(secret, '[secret]') },
    },
    unwrap(
      parseBrokerConfig({ default: 'p:m', broker: { providers: [{ id: 'p', kind: 'http', ...provider }] } }),
      'a configuration',
    ),
  );
/** What came of it, as one line. */
async function outcome(broker: Broker, stream = false, signal = never): Promise<string> {
  const done = await broker.complete(ask(stream), ctx, signal);
  if (!done.ok) return `${done.error.code}: ${done.error.message}`;
  const calls = done.value.tool_calls.map(({ id, name, arguments: args }) => ` ${id}=${name}(${args})`).join('');
  return `${done.value.text}${calls}`;
}

type Write = (socket: Socket) => void;
/** Writes bytes to whoever has asked something. */
async function startServer(
  write: Write,
): Promise<AsyncDisposable & { readonly url: string; readonly asked: () => number }> {
  const sockets = new Set<Socket>();
  let asked = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (!data.includes('POST ')) return;
      asked += 1;
      write(socket);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const said = '{"choices":[{"message":{"content":"well"},"finish_reason":"stop"}]}';
const answer = (body: string, headers = '', status = '200 OK'): string =>
  `HTTP/1.1 ${status}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const says =
  (...bytes: readonly (string | Buffer)[]): Write =>
  (socket) =>
    bytes.forEach((one) => socket.write(one));
const saysAndResets =
  (bytes: string): Write =>
  (socket) =>
    void socket.write(bytes, () => socket.resetAndDestroy());
const zipped = gzipSync(said);
const broke = /^ProviderFailed: the connection to provider "p" broke/;

describe('bytes', () => {
  test.each<[string, Write, RegExp, number]>([
    ['103 comes before the answer', says('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n', answer(said)), /^well$/, 1],
    ['100 that nobody asked for', says('HTTP/1.1 100 Continue\r\n\r\n', answer(said)), broke, 3],
    [
      '101: it changes the protocol',
      says('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
      broke,
      3,
    ],
    ['204', says('HTTP/1.1 204 No Content\r\n\r\n'), /malformed: not JSON/, 1],
    [
      'a trailer',
      says(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n${chunk(said)}0\r\nx: y\r\n\r\n`),
      /^well$/,
      1,
    ],
    ['another content-type', says(answer(said, 'content-type: image/png\r\n')), /^well$/, 1],
    [
      'gzip that nobody asked for',
      says(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${zipped.length}\r\n\r\n`, zipped),
      /malformed: not JSON/,
      1,
    ],
    ['headers without end', says(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}`), broke, 3],
    ['a reset in the status line', saysAndResets('HTTP/1.1 2'), broke, 3],
    ['a reset in the headers', saysAndResets('HTTP/1.1 200 OK\r\nx: '), broke, 3],
    ['a reset in a body of known length', saysAndResets(answer(said).slice(0, -5)), broke, 3],
    ['a reset in a chunk', saysAndResets('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{'), broke, 3],
    ['two lengths', says(`HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab`), broke, 3],
    ...['-1', 'Infinity', '1e3', '99999999999', 'NaN', 'Sat, 21 Nov 2099 00:00:00 GMT'].map(
      (after): [string, Write, RegExp, number] => [
        `Retry-After: ${after}`,
        says(answer('{}', `retry-after: ${after}\r\n`, '503 Service Unavailable')),
        /answered 503/,
        3,
      ],
    ),
  ])('%s', async (_, write, expected, requests) => {
    await using server = await startServer(write);
    await using broker = make({ base_url: server.url });
    expect(await outcome(broker)).toMatch(expected);
    expect(server.asked()).toBe(requests);
    expect(broker.spending('r').run).toMatchObject({ reserved: { tokens: 0, calls: 0 } });
  });
});

/** A stream of one piece for each. */
const events = (...pieces: readonly JsonObject[]): string =>
  `${pieces.map((one) => `data: ${JSON.stringify(one)}\n\n`).join('')}data: [DONE]\n\n`;
const callPieces = (...calls: readonly JsonObject[]): string =>
  events({ choices: [{ delta: { tool_calls: calls } }] }, { choices: [{ finish_reason: 'tool_calls' }] });
const callPiece = (name: string, more: JsonObject): JsonObject => ({ ...more, function: { name, arguments: '' } });
const called = (...calls: readonly JsonObject[]): string =>
  JSON.stringify({ choices: [{ message: { tool_calls: calls }, finish_reason: 'tool_calls' }] });
const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`;
const long = 'x'.repeat(callNameCharsMax + 1);

describe('answers', () => {
  test.each<[string, string, string, boolean, RegExp]>([
    ['an error with status 200', 'http', '{"error":{"message":"no credits"}}', false, /broke off: .*no credits/],
    ['an error in a choice', 'http', '{"choices":[{"error":{"message":"upstream"}}]}', false, /broke off: .*upstream/],
    [
      'an error in a choice of a stream',
      'http',
      events({ choices: [{ error: 'upstream' }] }),
      true,
      /broke off: .*upstream/,
    ],
    ['no error, by name', 'http', `{"error":null,${said.slice(1)}`, false, /^well$/],
    [
      'no error, by name, in a stream',
      'http',
      events({ error: null, choices: [{ delta: { content: 'well' } }] }),
      true,
      /^well$/,
    ],
    [
      'an error with status 200',
      'http_anthropic',
      '{"type":"error","error":{"message":"busy"}}',
      false,
      /broke off: .*busy/,
    ],
    [
      'no error, by name',
      'http_gemini',
      '{"error":null,"candidates":[{"content":{"parts":[{"text":"well"}]},"finishReason":"STOP"}]}',
      false,
      /^well$/,
    ],
    ['no error, by name', 'ollama', '{"error":null,"message":{"content":"well"},"done":true}', false, /^well$/],
    ['a secret in it', 'http', '{"error":{"message":"bad sk-secret"}}', false, /bad \[secret\]/],
    ['JSON 10,000 deep', 'http', `{"choices":${deep}}`, false, /malformed/],
    ['an error 10,000 deep', 'http', `{"error":${deep}}`, false, /nested too deep/],
    [
      'arguments 10,000 deep',
      'http_anthropic',
      `{"content":[{"type":"tool_use","id":"i","name":"n","input":${deep}}]}`,
      false,
      /nested too deep/,
    ],
    [
      'arguments 10,000 deep',
      'ollama',
      `{"message":{"tool_calls":[{"function":{"name":"n","arguments":${deep}}}]},"done":true}`,
      false,
      /nested too deep/,
    ],
    [
      'arguments that are no JSON',
      'http',
      called({ id: 'i', function: { name: 'n', arguments: '{"a":' } }),
      false,
      /^ i=n\(\{"a":\)$/,
    ],
    ['a call without a name', 'http', called({ id: 'i', function: {} }), false, /no name/],
    ['a name that is too long', 'http', called({ id: 'i', function: { name: long } }), false, /over 256 characters/],
    ['an id that is too long', 'http', called({ id: long, function: { name: 'n' } }), false, /over 256 characters/],
    [
      'two calls with one id',
      'http',
      called({ id: 'i', function: { name: 'a' } }, { id: 'i', function: { name: 'b' } }),
      false,
      /have one id/,
    ],
    [
      'pieces without a place',
      'http',
      callPieces(callPiece('a', { id: 'i' }), callPiece('', {}), callPiece('b', { id: 'j' })),
      true,
      /^ i=a\(\) j=b\(\)$/,
    ],
    [
      'two calls in one place',
      'http',
      callPieces(callPiece('a', { id: 'i', index: 0 }), callPiece('b', { id: 'j', index: 0 })),
      true,
      /out of order/,
    ],
    ['a piece of no call', 'http', callPieces(callPiece('a', {})), true, /out of order/],
  ])('%s (%s)', async (_, kind, body, stream, expected) => {
    await using fake = await startFakeProvider();
    await using broker = make({ kind, base_url: fake.url, secret_id: 'runloop/models/p' });
    fake.script({ type: 'raw', body });
    expect(await outcome(broker, stream)).toMatch(expected);
    expect(fake.requests.length).toBe(1);
  });

  test.each(['gpt-5-mini', 'o3', 'gpt-4o', 'local-gpt-5'])('the length is asked for as %s takes it', async (model) => {
    await using fake = await startFakeProvider();
    await using broker = make({ base_url: fake.url });
    unwrap(await broker.complete({ ...ask(), model: `p:${model}` }, ctx, never), 'an answer');
    const { max_tokens, max_completion_tokens } = fake.requests[0]?.body ?? {};
    expect([max_tokens, max_completion_tokens]).toEqual(/^(?:o|gpt-5)/.test(model) ? [undefined, 50] : [50, undefined]);
  });

  test.each(['two\nlines', 'sp ace', 'ключ', ''])(
    'a secret that no header takes (%j) is said to be one, and nothing is sent',
    async (secret) => {
      await using fake = await startFakeProvider();
      await using broker = make({ base_url: fake.url, secret_id: 'runloop/models/p' }, secret);
      expect(await outcome(broker)).toMatch(/^ProviderUnavailable: .*the value of runloop\/models\/p has characters/);
      expect([fake.requests.length, broker.spending('r').run?.spent.calls]).toEqual([0, 0]);
    },
  );

  test.each([
    ['https://user:pass@api.test', false],
    ['https://api.test/v1?api-version=1', false],
    ['https://api.test/v1#x', false],
    ['ftp://api.test', false],
    ['http://[::1]:11434/', true],
    ['https://api.test/some/path/v1/', true],
  ])('base_url: %s', (base_url, isTaken) => {
    const parsed = parseBrokerConfig({ broker: { providers: [{ id: 'p', kind: 'http', base_url }] } });
    expect(parsed.ok).toBe(isTaken);
    if (!parsed.ok) expect(parsed.error.message).not.toContain('pass@');
  });
});

describe('signals', () => {
  test('ten thousand calls leave no listener on any signal', async () => {
    const add = vi.spyOn(EventTarget.prototype, 'addEventListener');
    try {
      await using broker = make({ kind: 'echo' });
      const abort = new AbortController();
      for (let i = 0; i < 100; i += 1)
        await Promise.all(Array.from({ length: 100 }, () => outcome(broker, false, abort.signal)));
      const signals = new Set<unknown>(add.mock.contexts);
      expect(signals.has(abort.signal)).toBe(true);
      const listening = [...signals].filter(
        (one) => one instanceof AbortSignal && getEventListeners(one, 'abort').length > 0,
      );
      expect(listening).toEqual([]);
    } finally {
      add.mockRestore();
    }
  });

  test('closing ends what is under way, at the server too', async () => {
    await using fake = await startFakeProvider();
    const broker = make({ base_url: fake.url });
    fake.script({ type: 'stall' });
    const answer = outcome(broker, true);
    while (fake.requests.length === 0) await new Promise(setImmediate);
    await broker.close();
    expect(await answer).toMatch(/^Cancelled/);
    while (fake.aborted === 0) await new Promise(setImmediate);
  });
});
