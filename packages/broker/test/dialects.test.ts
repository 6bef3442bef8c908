/** The same conversation through every dialect, against a server that refuses what the real one would refuse. */
import { type Failure, type JsonObject, ok, type Result, systemClock, systemRandom, unwrap } from '@runloop/core';
import { type FakeReply, startFakeProvider } from '@runloop/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Broker,
  type CallContext,
  type Completion,
  type CompletionRequest,
  createBroker,
  type Message,
  parseBrokerConfig,
  parseCompletion,
  undiciHttp,
} from '../src/index.ts';

const kinds = ['http', 'http_anthropic', 'http_gemini', 'ollama'] as const;
type Kind = (typeof kinds)[number];
const secret = 'sk-very-secret';
const used: string[] = [];

const over = (kind: Kind, url: string, more: JsonObject = {}): Broker =>
  createBroker(
    {
      clock: systemClock,
      random: systemRandom,
      log: { log: () => undefined },
      http: undiciHttp(),
      secrets: {
        resolve: (_, { header }) => {
          used.push(header);
          return Promise.resolve(ok(secret));
        },
        scrub: (text) => text.replaceAll(secret, '[secret]'),
      },
    },
    unwrap(
      parseBrokerConfig({
        default: 'p:some-model',
        broker: { providers: [{ id: 'p', kind, base_url: url, secret_id: 'runloop/models/p', ...more }] },
      }),
      'a configuration',
    ),
  );
const ctx: CallContext = { run: 'r', node: 'n', agent: 'a' };
const never = new AbortController().signal;
const complete = (
  broker: Broker,
  request: CompletionRequest,
  more: Partial<CallContext> = {},
): Promise<Result<Completion, Failure>> => broker.complete(request, { ...ctx, ...more }, never);

const weather = {
  name: 'weather',
  description: 'The weather at a place',
  parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
};
const schema = { type: 'object', properties: { warm: { type: 'boolean' } }, required: ['warm'] };
const script: readonly FakeReply[] = [
  {
    type: 'text',
    text: 'Let me look.',
    calls: [
      { name: 'weather', arguments: { place: 'Köln' } },
      { name: 'weather', arguments: {} },
    ],
    tokensOut: 20,
  },
  { type: 'text', text: '{"warm":true}', tokensOut: 5 },
  { type: 'text', text: 'You are welcome.' },
];

/** A talk with tools, their results, an image and a schema: all that was said, and what it was told it cost. */
async function talk(kind: Kind, isStream: boolean): Promise<readonly unknown[]> {
  await using fake = await startFakeProvider();
  await using broker = over(kind, fake.url);
  fake.script(...script);
  const messages: Message[] = [
    { role: 'system', content: 'Be brief.' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Is it warm here?' },
        { type: 'image', media_type: 'image/png', data_base64: 'iVBORw0KGgo=' },
      ],
    },
  ];
  const said: unknown[] = [];
  const turn = async (more: Partial<CompletionRequest>): Promise<Completion> => {
    const pieces: string[] = [];
    const request = { messages, tools: [weather], stream: isStream, seed: 7, temperature: 0.5, stop: ['END'], ...more };
    const done = unwrap(await complete(broker, request, { onDelta: (text) => void pieces.push(text) }), 'an answer');
    expect(pieces.join('')).toBe(isStream ? done.text : '');
    const { text, tool_calls, finish_reason, usage, model_version } = done;
    const calls = tool_calls.map(({ id, name, arguments: args }) => ({ id, name, arguments: args }));
    said.push({ text, calls, finish_reason, usage, model_version });
    messages.push({ role: 'assistant', content: text, ...(tool_calls.length > 0 ? { tool_calls } : {}) });
    return done;
  };
  const asked = await turn({});
  for (const { id } of asked.tool_calls)
    messages.push({ role: 'tool', tool_call_id: id, content: id.endsWith('0') ? '{"celsius":30}' : 'no such place' });
  await turn({ response_format: { type: 'json_schema', json_schema: { name: 'warmth', schema } } });
  messages.push({ role: 'user', content: 'Thanks.' });
  await turn({});
  expect(fake.books).toEqual({ calls: 3, tokens_in: 21, tokens_out: 28 });
  return said;
}

describe('the same conversation', () => {
  test.each(kinds.flatMap((kind) => [true, false].map((isStream) => [kind, isStream] as const)))(
    '%s, streamed: %s',
    async (kind, isStream) => {
      expect(await talk(kind, isStream)).toEqual([
        {
          text: 'Let me look.',
          calls: [
            { id: 'call_0', name: 'weather', arguments: '{"place":"Köln"}' },
            { id: 'call_1', name: 'weather', arguments: '{}' },
          ],
          finish_reason: 'tool_calls',
          usage: { tokens_in: 7, tokens_out: 20 },
          model_version: 'fake-1',
        },
        {
          text: '{"warm":true}',
          calls: [],
          finish_reason: 'stop',
          usage: { tokens_in: 7, tokens_out: 5 },
          model_version: 'fake-1',
        },
        {
          text: 'You are welcome.',
          calls: [],
          finish_reason: 'stop',
          usage: { tokens_in: 7, tokens_out: 3 },
          model_version: 'fake-1',
        },
      ]);
    },
  );
});

test.each<[Kind, string, string, string, object]>([
  [
    'http',
    '/v1/chat/completions',
    'authorization',
    `Bearer ${secret}`,
    { model: 'some-model', max_tokens: 9, seed: 7 },
  ],
  [
    'http_anthropic',
    '/v1/messages',
    'x-api-key',
    secret,
    {
      model: 'some-model',
      max_tokens: 9,
      system: 'Be brief.',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
      output_config: { format: { type: 'json_schema', schema } },
    },
  ],
  [
    'http_gemini',
    '/v1beta/models/some-model:generateContent',
    'x-goog-api-key',
    secret,
    {
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
      generationConfig: {
        maxOutputTokens: 9,
        seed: 7,
        responseMimeType: 'application/json',
        responseJsonSchema: schema,
      },
    },
  ],
  [
    'ollama',
    '/api/chat',
    'authorization',
    `Bearer ${secret}`,
    { model: 'some-model', stream: false, format: schema, options: { num_predict: 9, seed: 7 } },
  ],
])('%s asks as its provider wants it', async (kind, path, header, value, body) => {
  await using fake = await startFakeProvider();
  await using broker = over(kind, fake.url);
  const messages: Message[] = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'hi' },
  ];
  const response_format = { type: 'json_schema', json_schema: { name: 'x', schema } };
  unwrap(await complete(broker, { messages, max_tokens: 9, seed: 7, response_format }), 'an answer');
  expect(fake.requests[0]).toMatchObject({ path, headers: { [header]: value }, body });
  expect(used.at(-1)).toBe(header);
});

describe.each(kinds)('%s', (kind) => {
  const ask: CompletionRequest = { messages: [{ role: 'user', content: 'hi' }] };
  test.each<[string, readonly FakeReply[], boolean, RegExp]>([
    ['an answer that is no JSON', [{ type: 'raw', body: '<html>' }], false, /malformed/],
    ['an answer of something else', [{ type: 'raw', body: '{}' }], false, /malformed/],
    ['a stream that breaks off', [{ type: 'stream', pieces: ['half'], broken: true }], true, /malformed|broke/],
    ['a stream that is none', [{ type: 'raw', body: 'hello' }], true, /malformed/],
    ['a stream without an end', [{ type: 'flood' }], true, /over \d+ bytes/],
    [
      'a request that is refused',
      [{ type: 'status', status: 400, body: `bad ${secret}` }],
      false,
      /400: bad \[secret\]/,
    ],
    ['a key that is refused', [{ type: 'status', status: 401 }], false, /401/],
  ])('%s is a failure that says so', async (_, replies, isStream, why) => {
    await using fake = await startFakeProvider();
    await using broker = over(kind, fake.url);
    fake.script(...replies);
    expect(await complete(broker, { ...ask, stream: isStream })).toMatchObject({
      ok: false,
      error: { message: expect.stringMatching(why) },
    });
    expect(fake.requests).toHaveLength(1);
  });

  test.each([
    [true, 'stall'],
    [false, 'hang'],
  ] as const)('streamed: %s, a %s is given up when its first piece is due', async (isStream, type) => {
    await using fake = await startFakeProvider();
    await using broker = over(kind, fake.url, { timeout_ms: 60_000, first_token_ms: 100 });
    fake.script({ type });
    expect(await complete(broker, { ...ask, stream: isStream })).toMatchObject({
      ok: false,
      error: { code: 'DeadlineExceeded', message: 'provider "p" did not begin to answer within 100 ms' },
    });
  });

  const usageNames = {
    http: ['prompt_tokens', 'completion_tokens'],
    http_anthropic: ['input_tokens', 'output_tokens'],
    http_gemini: ['promptTokenCount', 'candidatesTokenCount'],
    ollama: ['prompt_eval_count', 'eval_count'],
  }[kind];
  const answerWith = (usage: object, end: string): string =>
    JSON.stringify(
      {
        http: { choices: [{ message: { content: 'x' }, finish_reason: end }], usage },
        http_anthropic: { content: [{ type: 'text', text: 'x' }], stop_reason: end, usage },
        http_gemini: { candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason: end }], usageMetadata: usage },
        ollama: { message: { content: 'x' }, done: true, done_reason: end, ...usage },
      }[kind],
    );
  const said = async (body: string): Promise<Result<Completion, Failure>> => {
    await using fake = await startFakeProvider();
    await using broker = over(kind, fake.url);
    fake.script({ type: 'raw', body });
    return await complete(broker, { ...ask, max_tokens: 77 });
  };

  test.each([-5, 1e300, 1.5, 9_007_199_254_740_991, 'many', null])(
    'A10: a usage of %j is none: what was reserved is booked',
    async (odd) => {
      const usage = Object.fromEntries(usageNames.map((name) => [name, odd]));
      const done = unwrap(await said(answerWith(usage, 'stop')), 'an answer');
      expect(done.usage.tokens_out).toBe(77);
      expect(done.usage.tokens_in).toBeGreaterThan(0);
    },
  );

  test.each(['constructor', '__proto__', 'toString'])('an end that is called %s is a word like others', async (end) => {
    const done = unwrap(await said(answerWith({}, end)), 'an answer');
    expect(done.finish_reason).toBe(end.toLowerCase());
  });

  test.each([
    ['no JSON', secret],
    ['at the place where quotes are cut', JSON.stringify({ error: `${'x'.repeat(455)}${secret}` })],
    ['earlier', JSON.stringify({ error: { message: `bad key ${secret}` } })],
  ])('no part of a secret that it quotes is told: %s', async (_, body) => {
    await using fake = await startFakeProvider();
    await using broker = over(kind, fake.url);
    for (const isStream of [false, true]) {
      fake.script({ type: 'raw', body: isStream && kind !== 'ollama' ? `data: ${body}\n\n` : `${body}\n` });
      const done = await complete(broker, { ...ask, stream: isStream });
      expect(done.ok).toBe(false);
      expect(JSON.stringify(done)).not.toContain('sk-');
    }
  });

  test('embeddings, or a word that it has none', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(kind, fake.url);
    const done = await broker.embed({ texts: ['a', 'bcd'] }, ctx, never);
    expect(done).toMatchObject(
      kind === 'http_anthropic'
        ? { ok: false, error: { code: 'ProviderUnavailable', message: expect.stringContaining('has no embeddings') } }
        : {
            ok: true,
            value: {
              dimension: 3,
              vectors: [
                [1, 1, 0],
                [3, 1, 0],
              ],
            },
          },
    );
  });

  test('whatever bytes come, and however they are cut, it is an answer or a failure', async () => {
    await using fake = await startFakeProvider();
    await using broker = over(kind, fake.url);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), fc.boolean(), async (body, isStream) => {
        fake.script({ type: 'raw', body: isStream ? `data: ${body}\n\n${body}\n` : body });
        const done = await complete(broker, { ...ask, stream: isStream });
        if (!done.ok) expect(['ProviderFailed', 'Busy', 'ProviderUnavailable']).toContain(done.error.code);
      }),
      { numRuns: 60 },
    );
  });
});

describe('options of a provider', () => {
  test('reach the kind that they are for, and no other', async () => {
    await using fake = await startFakeProvider();
    await using broker = over('ollama', fake.url);
    const provider_options = { ollama: { num_ctx: 8192, think: false }, http: { reasoning_effort: 'low' } };
    unwrap(await complete(broker, { messages: [{ role: 'user', content: 'hi' }], provider_options }), 'an answer');
    expect(fake.requests[0]?.body).toMatchObject({ think: false, options: { num_ctx: 8192 } });
    expect(JSON.stringify(fake.requests[0]?.body)).not.toContain('reasoning_effort');
  });

  test.each<[JsonObject, RegExp]>([
    [{ http: { store: true } }, /provider_options\.http\.store is not allowed; allowed are: /],
    [{ http_gemini: { tools: [{ googleSearch: {} }] } }, /http_gemini\.tools is not allowed/],
    [{ http_anthropic: { mcp_servers: [] } }, /mcp_servers is not allowed/],
    [{ openai: {} }, /there is no kind "openai"; there are http,/],
    [{ __proto__: null, constructor: {} }, /there is no kind "constructor"/],
    [{ http: 3 }, /provider_options\.http is not a map/],
  ])('%j is refused before anything is sent', async (provider_options, why) => {
    await using fake = await startFakeProvider();
    await using broker = over('http', fake.url);
    const done = await complete(broker, { messages: [{ role: 'user', content: 'hi' }], provider_options });
    expect(done).toMatchObject({ ok: false, error: { code: 'Usage', message: expect.stringMatching(why) } });
    expect(fake.requests).toEqual([]);
  });
});

describe('what an agent sends', () => {
  const hi = [{ role: 'user', content: 'hi' }];
  test.each<[JsonObject, RegExp | undefined]>([
    [{ messages: hi }, undefined],
    [{ messages: hi, tools: [weather], stop: 'x', cache: true, stream: false }, undefined],
    [{ messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] }, undefined],
    [{}, /messages must be a list/],
    [{ messages: [] }, /messages must be a list/],
    [{ messages: hi, n: 5 }, /there is no "n"; there are model, messages/],
    [{ messages: ['hi'] }, /messages\[0\] is not/],
    [{ messages: [{ role: 'developer', content: 'x' }] }, /messages\[0\]\.role is none of/],
    [{ messages: [{ role: 'tool', content: 'x' }] }, /tool_call_id names the call/],
    [{ messages: [{ role: 'user', content: 7 }] }, /messages\[0\]\.content must be a list/],
    [{ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'https://evil.test/' }] }] }, /is neither/],
    [
      { messages: [{ role: 'user', content: [{ type: 'image', media_type: 'image/png', data_base64: 'https://e' }] }] },
      /is not base64/,
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'image', media_type: 'text/html', data_base64: 'AA==' }] }] },
      /no image type/,
    ],
    [{ messages: [{ role: 'assistant', tool_calls: [{ id: 'a', name: 'b', arguments: {} }] }] }, /each a text/],
    [{ messages: hi, tools: 5 }, /tools must be a list/],
    [{ messages: hi, tools: [{ name: 'a b', parameters: {} }] }, /tools\[0\]\.name must be/],
    [{ messages: hi, tools: [{ name: 'a' }] }, /tools\[0\]\.parameters must be a JSON Schema/],
    [{ messages: hi, temperature: 'hot' }, /temperature must be a number from 0 to 5/],
    [{ messages: hi, max_tokens: 0 }, /max_tokens must be a whole number from 1/],
    [{ messages: hi, max_tokens: 1.5 }, /whole number/],
    [{ messages: hi, stop: [1] }, /stop\[0\] must be a text/],
    [{ messages: hi, stop: Array(17).fill('x') as string[] }, /more than 16/],
    [{ messages: hi, stream: 'yes' }, /stream must be true or false/],
    [{ messages: hi, model: 3 }, /model must be a text/],
    [{ messages: hi, response_format: 'json' }, /response_format must be a map/],
  ])('%j', (given, why) => {
    const parsed = parseCompletion(given);
    if (why === undefined) expect(parsed).toMatchObject({ ok: true });
    else
      expect(parsed).toMatchObject({
        ok: false,
        error: { code: 'InvalidParams', message: expect.stringMatching(why) },
      });
  });

  test('anything at all is a request or a refusal', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('messages', 'tools', 'stop', 'seed', 'x'), fc.jsonValue()), (given) => {
        const parsed = parseCompletion(given as JsonObject);
        if (!parsed.ok) expect(parsed.error.code).toBe('InvalidParams');
      }),
    );
  });
});

test('a fallback may know the model by another name', async () => {
  await using first = await startFakeProvider();
  await using second = await startFakeProvider('from the second');
  first.script({ type: 'status', status: 401 });
  const providers = [
    { id: 'one', kind: 'http', base_url: first.url },
    { id: 'two', kind: 'ollama', base_url: second.url },
  ];
  const routes = [{ pattern: '*', provider: 'one', target_model: 'big', fallback: ['two:small:8b'] }];
  const config = unwrap(parseBrokerConfig({ default: 'x', broker: { providers, route: routes } }), 'a configuration');
  const deps = { clock: systemClock, random: systemRandom, log: { log: () => undefined }, http: undiciHttp() };
  const secrets = { resolve: () => Promise.resolve(ok(secret)), scrub: (text: string) => text };
  await using broker = createBroker({ ...deps, secrets }, config);
  const done = unwrap(await complete(broker, { messages: [{ role: 'user', content: 'hi' }] }), 'an answer');
  expect(done).toMatchObject({
    text: 'from the second',
    called: { provider: 'two', model: 'small:8b', fallback_from: ['one:ProviderFailed'] },
  });
  expect([first.requests[0]?.body['model'], second.requests[0]?.body['model']]).toEqual(['big', 'small:8b']);
});
