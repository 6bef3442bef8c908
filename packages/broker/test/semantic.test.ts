/** The semantic cache: near questions share an answer within one agent, label set and conversation, and nowhere else. */
import { err, failure, ok, systemClock, systemRandom, unwrap, type JsonObject } from '@runloop/core';
import { memoryLog, simulatedClock, startFakeProvider, type FakeProvider } from '@runloop/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Broker,
  type CallContext,
  type CompletionRequest,
  createBroker,
  type ModelCalled,
  parseBrokerConfig,
  undiciHttp,
} from '../src/index.ts';
import {
  semanticBytesMax,
  semanticDimensionMax,
  semanticGroupMax,
  semanticTextCharsMax,
  semanticWaitMs,
} from '../src/limits.ts';
import { createSemanticCache, questionOf } from '../src/semantic-cache.ts';

const never = new AbortController().signal;
const ctx: CallContext = { run: 'r', node: 'n', agent: 'a', owner: 'a', secrecy: 'private', trust: 'trusted' };
const angle = (degrees: number): readonly number[] => [
  Math.cos((degrees * Math.PI) / 180),
  Math.sin((degrees * Math.PI) / 180),
];
/** The number in a text is the direction of its vector. */
const directionOf = (text: string): readonly number[] => angle(Number(/-?\d+(?:\.\d+)?/.exec(text)?.[0] ?? 180));
const turn = (text: string, more: Partial<CompletionRequest> = {}): CompletionRequest => ({
  messages: [{ role: 'user', content: text }],
  temperature: 0,
  ...more,
});

let fake: FakeProvider;
let nth = 0;
beforeEach(async () => {
  fake = await startFakeProvider();
  fake.embedBy(directionOf);
  nth = 0;
  fake.answerBy((body) => ({ type: 'text', text: `answer ${'messages' in body ? (nth += 1) : 'of none'}` }));
});
afterEach(() => fake[Symbol.asyncDispose]());

const make = (semantic: JsonObject = {}, broker: JsonObject = {}): Broker =>
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
        default: 'fake:m',
        broker: {
          providers: [
            { id: 'fake', kind: 'http', base_url: fake.url },
            { id: 'far', kind: 'http', base_url: fake.url, clearance: 'public' },
          ],
          prices: [
            { pattern: 'e', input: 1, output: 1 },
            { pattern: 'm', input: 10, output: 10 },
          ],
          cache: { semantic: { enabled: true, model: 'fake:e', ...semantic } },
          ...broker,
        },
      }),
      'a configuration',
    ),
  );
const said = async (broker: Broker, request: CompletionRequest, more: Partial<CallContext> = {}): Promise<string> => {
  const done = await broker.complete(request, { ...ctx, ...more }, never);
  return done.ok ? `${done.value.called.cache}: ${done.value.text}` : done.error.code;
};
const embeddings = (): number => fake.requests.filter(({ path }) => path.endsWith('/embeddings')).length;

test('a near question gets the answer that is there; it costs its embedding, which is booked, and says what it saved', async () => {
  await using broker = make();
  const beside: ModelCalled[] = [];
  const own = { ...ctx, onCalled: (one: ModelCalled) => beside.push(one) };
  expect(await said(broker, turn('how warm is 10?'), own)).toBe('miss: answer 1');
  expect(beside).toMatchObject([{ model: 'e', cache: 'miss', tokens_in: 7, tokens_out: 0, usd_nano: 7_000 }]);
  const before = broker.spending('r').run?.spent;
  const done = unwrap(await broker.complete(turn('what warmth has 12?'), own, never), 'an answer');
  expect(done).toMatchObject({
    text: 'answer 1',
    called: { model: 'm', cache: 'semantic', tokens_in: 0, tokens_out: 0, usd_nano: 0, saved_usd_nano: 100_000 },
  });
  expect(beside).toHaveLength(2);
  expect(broker.spending('r').run?.spent).toMatchObject({
    calls: (before?.calls ?? 0) + 1,
    tokens: (before?.tokens ?? 0) + 7,
    usd_nano: (before?.usd_nano ?? 0) + 7_000,
  });
  // Asked again it is found the same way, and by the embedding that is kept.
  expect(await said(broker, turn('what warmth has 12?'), own)).toBe('semantic: answer 1');
  expect(beside.at(-1)).toMatchObject({ cache: 'hit', usd_nano: 0 });
  // Equal ones need no embedding.
  expect(await said(broker, turn('how warm is 10?'), own)).toBe('hit: answer 1');
  expect([embeddings(), nth, beside.length]).toEqual([2, 1, 3]);
});

test('likeness does not go on from one to the next: 10 answers 22, and 22 does not answer 34', async () => {
  await using broker = make();
  expect(await said(broker, turn('10'))).toBe('miss: answer 1');
  expect(await said(broker, turn('22'))).toBe('semantic: answer 1');
  expect(await said(broker, turn('34'))).toBe('miss: answer 2');
  // The nearest of two.
  expect(await said(broker, turn('23'))).toBe('semantic: answer 2');
});

test('the threshold: what is as near as it is shares, what is a little farther does not', async () => {
  fake.embedBy((text) => (text === 'one' ? [1, 0] : text === 'edge' ? [0.6, 0.8] : [0.5999, 0.8001]));
  await using broker = make({ threshold: 0.6 });
  expect(await said(broker, turn('one'))).toBe('miss: answer 1');
  expect(await said(broker, turn('edge'))).toBe('semantic: answer 1');
  expect(await said(broker, turn('beyond'))).toBe('miss: answer 2');
});

describe('never beyond', () => {
  const base: CompletionRequest = {
    ...turn('10'),
    messages: [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: '10' },
    ],
  };
  const near = { role: 'user', content: '11' } as const;
  const check = async (
    expected: 'miss' | 'semantic',
    request: Partial<CompletionRequest>,
    more: Partial<CallContext> = {},
  ): Promise<void> => {
    await using broker = make();
    expect(await said(broker, base)).toBe('miss: answer 1');
    const messages = [{ role: 'system', content: 'be brief' } as const, near];
    expect((await said(broker, { ...base, messages, ...request }, more)).split(':')[0]).toBe(expected);
  };
  const image = { type: 'image', media_type: 'image/png', data_base64: 'aGk=' } as const;
  const tool = { name: 't', parameters: {} };
  test.each<['miss' | 'semantic', string, Partial<CompletionRequest>, Partial<CallContext>?]>([
    ['semantic', 'nothing else', {}],
    ['semantic', 'another run and node of the agent', {}, { run: 'r2', node: 'n2' }],
    ['semantic', 'a stream', { stream: true }],
    ['miss', 'another agent', {}, { owner: 'b', agent: 'b' }],
    ['miss', 'another secrecy', {}, { secrecy: 'public' }],
    ['miss', 'another trust', {}, { trust: 'untrusted' }],
    ['miss', 'another model', { model: 'fake:m2' }],
    ['miss', 'another system message', { messages: [{ role: 'system', content: 'be long' }, near] }],
    ['miss', 'no system message', { messages: [near] }],
    [
      'miss',
      'an image beside it',
      {
        messages: [
          { role: 'system', content: 'be brief' },
          { ...near, content: [{ type: 'text', text: '11' }, image] },
        ],
      },
    ],
    ['miss', 'another seed', { seed: 2 }],
    ['miss', 'another limit', { max_tokens: 9 }],
    ['miss', 'a tool', { tools: [tool] }],
    ['miss', 'a form', { response_format: { type: 'json_object' } }],
    ['miss', 'a temperature', { temperature: 0.2, cache: true }],
    ['miss', 'one provider alone', {}, { only: 'fake' }],
  ])('%s with %s', (expected, _, request, more) => check(expected, request, more));
});

test.each<[string, Partial<CompletionRequest>, Partial<CallContext>?]>([
  ['a temperature that leaves it to chance', { temperature: 0.5 }],
  ['no temperature', { temperature: undefined }],
  ['a word against the cache', { cache: false }],
  [
    'a result of a tool at the end',
    {
      messages: [
        { role: 'user', content: '10' },
        { role: 'assistant', content: '', tool_calls: [{ id: 'c', name: 't', arguments: '{}' }] },
        { role: 'tool', content: '11', tool_call_id: 'c' },
      ],
    },
  ],
  ['what is private, agreed to go where it is not cleared', { model: 'far:m' }, { agreed: true }],
])('%s is neither compared nor embedded', async (_, request, more) => {
  await using broker = make();
  expect(await said(broker, turn('10', request), more)).toBe('miss: answer 1');
  expect(embeddings()).toBe(0);
});

test('a request that chance plays a part in is compared where it asks for the cache', async () => {
  await using broker = make();
  const warm = { temperature: 1, cache: true };
  expect(await said(broker, turn('10', warm))).toBe('miss: answer 1');
  expect(await said(broker, turn('11', warm))).toBe('semantic: answer 1');
});

test('which requests have a question', () => {
  const call = { role: 'assistant', content: '', tool_calls: [{ id: 'c', name: 't', arguments: '{}' }] } as const;
  const result = { role: 'tool', content: 'x', tool_call_id: 'c' } as const;
  const asked = { role: 'user', content: 'q' } as const;
  const check = (messages: CompletionRequest['messages'], expected: string | undefined): void =>
    expect(questionOf({ messages })?.text).toBe(expected);
  check([asked], 'q');
  check([asked, call, result, asked], 'q');
  check([asked, call, asked], undefined);
  check([asked, call, result], undefined);
  check([{ role: 'user', content: ' ' }], undefined);
  check(
    [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
    ],
    'a\nb',
  );
  check([{ role: 'user', content: 'x'.repeat(semanticTextCharsMax) }], 'x'.repeat(semanticTextCharsMax));
  check([{ role: 'user', content: 'x'.repeat(semanticTextCharsMax + 1) }], undefined);
});

test('an embedding that no budget has room for, that nobody may make or that fails is a plain miss', async () => {
  await using broker = make({}, { budgets: { run: { calls: 2 } } });
  expect(await said(broker, turn('10'))).toBe('miss: answer 1');
  expect(broker.spending('r').run?.spent.calls).toBe(2);
  expect(await said(broker, turn('11'))).toBe('BudgetExceeded');
  const prices = [
    { pattern: 'm', input: 0, output: 0 },
    { pattern: 'e', input: 1, output: 0 },
  ];
  await using second = make({}, { prices });
  expect(await said(second, turn('10'), { budgets: { agent: { usd_nano: 0 } } })).toBe('miss: answer 2');
  expect(embeddings()).toBe(1);
  await using third = make({ model: 'far:e' });
  expect(await said(third, turn('10'))).toBe('miss: answer 3');
  expect(embeddings()).toBe(1);
  expect(await said(third, turn('10'), { secrecy: 'public' })).toBe('miss: answer 4');
  expect(embeddings()).toBe(2);
  fake.script({ type: 'status', status: 400 });
  expect(await said(third, turn('11'), { secrecy: 'public' })).toBe('miss: answer 5');
});

test('a purge forgets what a near question would have found, and what is on its way', async () => {
  await using broker = make();
  expect(await said(broker, turn('10'))).toBe('miss: answer 1');
  broker.purgeCache();
  expect(await said(broker, turn('11'))).toBe('miss: answer 2');
  fake.answerBy(() => {
    broker.purgeCache();
    return { type: 'text', text: 'late' };
  });
  expect(await said(broker, turn('50'))).toBe('miss: late');
  fake.answerBy(() => ({ type: 'text', text: 'anew' }));
  expect(await said(broker, turn('51'))).toBe('miss: anew');
});

test('an answer that is too old, or had to make room, answers no near one', async () => {
  await using broker = make({}, { cache: { capacity: 1, semantic: { enabled: true, model: 'fake:e' } } });
  expect(await said(broker, turn('10'))).toBe('miss: answer 1');
  expect(await said(broker, turn('90'))).toBe('miss: answer 2');
  expect(await said(broker, turn('11'))).toBe('miss: answer 3');
});

test('a call whose answer a crash has lost is booked with the embedding that it may have made', async () => {
  await using broker = make();
  await using plain = make({ enabled: false });
  const bound = (one: Broker, request: CompletionRequest): number | undefined => one.forfeit(request, ctx)?.tokens_in;
  expect(bound(broker, turn('hello'))).toBe((bound(plain, turn('hello')) ?? 0) + 5 + 2);
  expect(bound(broker, turn('hello', { temperature: 1 }))).toBe(bound(plain, turn('hello', { temperature: 1 })));
});

test('an abort while the embedding is made ends the call, which is then not made', async () => {
  await using broker = make();
  const going = new AbortController();
  fake.script({ type: 'hang' });
  const done = broker.complete(turn('10'), ctx, going.signal);
  while (fake.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
  going.abort();
  expect(await done).toMatchObject({ ok: false, error: { code: 'Cancelled' } });
  expect(fake.requests).toHaveLength(1);
});

test('an embedding that takes too long is not waited for', async () => {
  const clock = simulatedClock();
  let begun = 0;
  const cache = createSemanticCache<string>({
    clock,
    log: memoryLog(),
    threshold: 0.9,
    answerOf: () => undefined,
    embed: (_, __, signal) =>
      new Promise((resolve) => {
        begun += 1;
        signal.addEventListener('abort', () => resolve(err(failure('Cancelled', 'late'))), { once: true });
      }),
  });
  const looked = cache.look({ text: 'q', rest: { messages: [] } }, 'g', ctx, never);
  expect(begun).toBe(1);
  await clock.advance(semanticWaitMs);
  expect(await looked).toBeUndefined();
});

test('A10: a group, the bytes of all vectors and the numbers of one are bounded; the least recent go first', async () => {
  const held = new Set<string>();
  let vector: readonly number[] = [];
  const cache = createSemanticCache<string>({
    clock: systemClock,
    log: memoryLog(),
    threshold: 0.99999,
    answerOf: (key) => (held.has(key) ? key : undefined),
    embed: () => Promise.resolve(ok({ by: 'p:m', values: vector })),
  });
  const ask = async (values: readonly number[], group: string, key?: string): Promise<string | undefined> => {
    vector = values;
    const looked = await cache.look({ text: 'q', rest: { messages: [] } }, group, ctx, never);
    if (key !== undefined && looked?.answer === undefined) {
      held.add(key);
      looked?.keep(key);
    }
    return looked?.answer;
  };
  for (let i = 0; i <= semanticGroupMax; i += 1) {
    await ask(angle(i / 2), 'g', `k${i}`);
    if (i === 5) expect(await ask(angle(0), 'g')).toBe('k0');
  }
  expect([await ask(angle(0), 'g'), await ask(angle(0.5), 'g'), await ask(angle(1), 'g')]).toEqual([
    'k0',
    undefined,
    'k2',
  ]);
  expect(
    await ask(
      Array.from({ length: semanticDimensionMax + 1 }, () => 1),
      'large',
      'l',
    ),
  ).toBeUndefined();
  expect(
    await ask(
      Array.from({ length: semanticDimensionMax + 1 }, () => 1),
      'large',
    ),
  ).toBeUndefined();
  for (const wrong of [[], [0, 0], [1.7e308, 1.7e308]]) {
    await ask(wrong, 'wrong', 'w');
    expect(await ask(wrong, 'wrong')).toBeUndefined();
  }
  const big = Array.from({ length: semanticDimensionMax }, () => 1);
  const many = semanticBytesMax / (8 * semanticDimensionMax);
  for (let i = 0; i < many; i += 1) await ask(big, `g${i}`, `b${i}`);
  expect([await ask(big, 'g0'), await ask(big, `g${many - 1}`)]).toEqual(['b0', `b${many - 1}`]);
  expect(await ask(angle(0), 'g')).toBeUndefined();
});

describe('the configuration', () => {
  const check = (semantic: unknown, expected: RegExp | object): void => {
    const parsed = parseBrokerConfig({
      broker: { providers: [{ id: 'echo', kind: 'echo' }], cache: { semantic: semantic as JsonObject } },
    });
    if (!(expected instanceof RegExp)) return expect(unwrap(parsed, 'it').cache).toMatchObject(expected);
    expect(parsed).toMatchObject({ ok: false, error: { code: 'InvalidConfig', hint: expect.any(String) } });
    if (!parsed.ok) expect(parsed.error.message).toMatch(expected);
  };
  test.each<[unknown, RegExp | object]>([
    [{ enabled: true, model: 'echo:e' }, { semantic: { threshold: 0.97, model: 'echo:e' } }],
    [{ enabled: true, model: 'echo:e', threshold: 1 }, { semantic: { threshold: 1 } }],
    [{ enabled: true }, /semantic\.model is not set/],
    [{ enabled: true, model: 'nobody:e' }, /no route leads from "nobody:e"/],
    [{ enabled: 'yes' }, /enabled is neither/],
    [{ threshold: 0 }, /threshold is not a number/],
    [{ threshold: 1.1 }, /threshold is not a number/],
    [{ treshold: 0.9 }, /treshold is not known/],
    [true, /is not a map/],
  ])('%j', check);
  test('off where it is left out, and where it says so', () => {
    for (const semantic of [undefined, { enabled: false }, { threshold: 0.9 }])
      expect(
        unwrap(parseBrokerConfig({ broker: { cache: semantic === undefined ? {} : { semantic } } }), 'it').cache,
      ).not.toHaveProperty('semantic');
  });
});
