/** The broker in the daemon as it is shipped: budgets under kill -9, a bill that adds up, and a key that is in no file. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject, RunEvent } from '@runloop/core';
import { type FakeProvider, startFakeProvider } from '@runloop/testkit';
import { Home } from './home.ts';
import { hasKeyring, TestKeyring } from './keyring.ts';
import { agentDir } from './place.ts';

/** A state directory in which the agents are built, copied by each test. */
let built: string;

beforeAll(async () => {
  await using home = new Home();
  for (const name of ['caller', 'other']) {
    const dir = join(home.path, 'agents', name);
    cpSync(agentDir('caller'), dir, { recursive: true });
    const manifest = join(dir, 'manifest.toml');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replaceAll('caller', name));
    expect(await home.rlp('agent', 'build', dir)).toMatchObject({ code: 0 });
  }
  await home.rlp('daemon', 'stop');
  built = mkdtempSync(join(tmpdir(), 'rb-'));
  cpSync(home.path, built, { recursive: true });
});
afterAll(() => rmSync(built, { recursive: true, force: true }));

function homeWith(models: JsonObject, env: NodeJS.ProcessEnv = {}): Home {
  const home = new Home({ bare: true, env });
  cpSync(built, home.path, { recursive: true });
  writeFileSync(join(home.path, 'config.yaml'), JSON.stringify({ models, runtime: { max_parallel: 50 } }));
  return home;
}

const provider = (id: string, url: string, more: JsonObject = {}): JsonObject => ({
  id,
  kind: 'http',
  base_url: url,
  ...more,
});
const prices = [{ pattern: 'm', input: 1, output: 2 }];
const ask = (text: string, more: JsonObject = {}): JsonObject => ({
  messages: [{ role: 'user', content: text }],
  max_tokens: 50,
  ...more,
});
type Node = { readonly agent?: string; readonly asks: readonly JsonObject[]; readonly times?: number };
function openingOf(home: Home, name: string, nodes: readonly Node[]): string {
  const file = join(home.path, `${name}.yaml`);
  const list = nodes.map(({ agent = 'caller', ...given }, i) => ({ id: `n${i}`, use: `agent:${agent}`, with: given }));
  writeFileSync(file, JSON.stringify({ version: 0, name, nodes: list }));
  return file;
}
const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
};
type Sums = { readonly key: string | null; readonly [name: string]: number | string | null };
type Bill = { readonly rows: readonly Sums[]; readonly total: Sums };

describe('1 000 calls of 50 nodes, a cap that fits 100, and kill -9 in the middle: nothing is overspent', () => {
  const usage = { tokensIn: 34, tokensOut: 50 };
  test.each<[string, JsonObject]>([
    ['the day, in tokens', { day: { tokens: 8_400 } }],
    ['the opening, in dollars', { opening_day: { usd: 0.0134 } }],
  ])('%s', async (_, budgets) => {
    await using fake = await startFakeProvider();
    fake.answerBy(() => ({ type: 'text', text: 'ok', ...usage }));
    await using home = homeWith({
      default: 'fake:m',
      broker: { providers: [provider('fake', fake.url, { concurrency: 16 })], prices, budgets },
    });
    const file = openingOf(
      home,
      'many',
      Array.from({ length: 50 }, () => ({ asks: [ask('hi')], times: 20 })),
    );
    const { trace_id: run } = await home.json<{ trace_id: string }>('run', file, '--detach');
    for (const mark of [20, 60]) {
      await until(() => fake.requests.length >= mark);
      await home.kill();
      await home.rlp('daemon', 'start');
    }
    // Who is refused by its own grant is told so and ends; the others wait to be asked about.
    let before = -1;
    await until(async () => {
      const quiet = fake.requests.length === before;
      before = fake.requests.length;
      await new Promise((resolve) => setTimeout(resolve, 700));
      return quiet && fake.requests.length === before;
    });
    await home.rlp('cancel', run);
    const { total } = await home.json<Bill>('bill');
    // What was on its way when the daemon was killed may have been paid for: booked, whether or not it had arrived.
    const { calls, unanswered } = total as { calls: number; unanswered: number } & Sums;
    expect(fake.books.calls).toBeLessThanOrEqual(100);
    expect(fake.books.calls).toBeGreaterThanOrEqual(100 - unanswered);
    expect(calls).toBeGreaterThanOrEqual(100);
    expect(total).toMatchObject({ tokens_in: calls * 34, tokens_out: calls * 50, usd_nano: calls * 134_000 });
  });
});

test('rlp bill adds up to what the providers have on their books', async () => {
  await using flaky = await startFakeProvider('from a');
  await using sound = await startFakeProvider('from b');
  await using home = homeWith({
    default: 'm',
    broker: {
      providers: [provider('a', flaky.url, { timeout_ms: 400 }), provider('b', sound.url), provider('slow', flaky.url)],
      route: [
        { pattern: 'slow', provider: 'slow', target_model: 'm' },
        { pattern: '*', provider: 'a', fallback: ['b'] },
      ],
      prices: [{ pattern: 'm', input: 0.15, output: 0.6 }],
    },
  });
  /** How often this was asked for. */
  const seen = new Map<string, number>();
  let hung = 0;
  flaky.answerBy(({ messages }) => {
    const said = String((messages as readonly { readonly content: string }[])[0]?.content);
    const nth = (seen.get(said) ?? 0) + 1;
    seen.set(said, nth);
    const word = said.split(' ')[0];
    if (word === 'retry' && nth < 3) return { type: 'status', status: 503, retryAfter: '0' };
    if (word === 'refused') return { type: 'status', status: 401 };
    if (word === 'hang') {
      hung += 1;
      return { type: 'hang' };
    }
    return { type: 'text', text: 'from a', tokensIn: 11 + said.length, tokensOut: 7 };
  });
  const same = ask('same', { temperature: 0 });
  const file = openingOf(home, 'mixed', [
    { asks: [ask('plain'), same, same, same] },
    { agent: 'other', asks: [ask('plain too'), ask('retry'), same], times: 2 },
    { asks: [ask('refused'), ask('hang')] },
    { agent: 'other', asks: [ask('streamed', { stream: true }), ask('hang too')] },
  ]);
  expect((await home.run([file])).code).toBe(0);
  const held = openingOf(home, 'held', [{ agent: 'other', asks: [ask('hang and be cancelled', { model: 'slow' })] }]);
  const { trace_id: run } = await home.json<{ trace_id: string }>('run', held, '--detach');
  await until(() => hung === 3);
  await home.rlp('cancel', run);
  let bills: Bill[] = [];
  await until(async () => {
    bills = [];
    for (const by of ['agent', 'run', 'model', 'node', 'day', 'opening', 'user'])
      bills.push(await home.json<Bill>('bill', '--by', by));
    return Number(bills[0]?.total['unanswered']) === hung;
  });
  const unanswered = { tokens_in: 7 * hung, tokens_out: 3 * hung };
  const books = {
    calls: flaky.books.calls + sound.books.calls - hung,
    tokens_in: flaky.books.tokens_in + sound.books.tokens_in - unanswered.tokens_in,
    tokens_out: flaky.books.tokens_out + sound.books.tokens_out - unanswered.tokens_out,
  };
  for (const { rows, total } of bills) {
    const answered = (sums: Sums, name: string): number => Number(sums[name]);
    expect({
      calls: answered(total, 'calls') - answered(total, 'unanswered') - answered(total, 'cached'),
      usd_nano: answered(total, 'usd_nano') - answered(total, 'bound_usd_nano'),
      tokens: answered(total, 'tokens_in') + answered(total, 'tokens_out') - answered(total, 'bound_tokens'),
    }).toEqual({
      calls: books.calls,
      usd_nano: books.tokens_in * 150 + books.tokens_out * 600,
      tokens: books.tokens_in + books.tokens_out,
    });
    expect(answered(total, 'cached')).toBeGreaterThan(0);
    for (const name of ['calls', 'usd_nano', 'tokens_in', 'tokens_out', 'unanswered', 'bound_usd_nano', 'cached'])
      expect(rows.reduce((sum, row) => sum + answered(row, name), 0)).toBe(total[name]);
  }
  expect(bills[0]?.rows.map(({ key }) => key).toSorted()).toEqual(['caller', 'other']);
});

const secret = `sk-E2E+/=%&~"'{}<é>-0123456789`.replace('é', 'e');
/** The secret in each form in which it could have been written down. */
function formsOf(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift, 0x78), bytes]).toString('base64');
    // Without the ends, which depend on what stands around it.
    return text.slice(shift === 0 ? 0 : 4, -4);
  });
  const forms = [
    value,
    JSON.stringify(value).slice(1, -1),
    JSON.stringify(JSON.stringify(value)).slice(3, -3),
    encodeURIComponent(value),
    encodeURIComponent(value).toLowerCase(),
    bytes.toString('hex'),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ];
  return [...new Set(forms)];
}

function* filesOf(dir: string): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* filesOf(path);
    else if (entry.isFile() && statSync(path).size < 64 * 2 ** 20) yield path;
  }
}

/** Where a form of the secret stands: files of the directory, and what every process shows of itself. */
function leaksIn(dir: string): string[] {
  const forms = formsOf(secret).map((form) => Buffer.from(form));
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`]);
  return [...filesOf(dir), ...processes].filter((path) => {
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      return false;
    }
    return forms.some((form) => bytes.includes(form));
  });
}

// The keyring where there is gnome-keyring, and nobody's own.
test.each(hasKeyring ? ['vault', 'os-keyring'] : ['vault'])(
  'a key in the %s is in no file, event, log, error or process list, whatever a provider does with it',
  { timeout: 180_000 },
  async (backend) => {
    await using keyring = backend === 'vault' ? undefined : await TestKeyring.open();
    await using fake = await startFakeProvider('well');
    const providers = [provider('fake', fake.url, { secret_id: 'runloop/models/fake', timeout_ms: 2_000 })];
    await using home = homeWith({ default: 'fake:m', broker: { providers } }, keyring?.env);
    const config = JSON.parse(readFileSync(join(home.path, 'config.yaml'), 'utf8')) as JsonObject;
    writeFileSync(
      join(home.path, 'config.yaml'),
      JSON.stringify({ ...config, security: { secrets: { provider: backend } }, logging: { level: 'trace' } }),
    );
    if (backend === 'vault') expect(await home.rlp('secrets', 'init', '--key-file')).toMatchObject({ code: 0 });
    const put = await home.rlpWith({ input: secret }, 'secrets', 'put', 'runloop/models/fake', '--for', fake.url);
    expect(put).toMatchObject({ code: 0 });
    const bearer = `Bearer ${secret}`;
    const echoes: readonly ((value: string) => string)[] = [
      String,
      (value) => JSON.stringify({ error: { message: `bad header: ${value}` } }),
      encodeURIComponent,
      (value) => Buffer.from(value).toString('base64'),
      (value) => Buffer.from(value).toString('base64url'),
      (value) => Buffer.from(value).toString('hex'),
    ];
    fake.answerBy(({ messages }) => {
      const said = String((messages as readonly { readonly content: string }[])[0]?.content);
      const [word = '', nth = '0'] = said.split(' ');
      const echo = echoes[Number(nth)]?.(bearer) ?? '';
      if (word === 'refuse') return { type: 'status', status: 401, body: echo };
      if (word === 'break') return { type: 'raw', body: echo };
      if (word === 'say') return { type: 'text', text: echo };
      if (word === 'hang') return { type: 'hang' };
      return { type: 'text', text: 'well' };
    });
    const indices = echoes.map((_, nth) => String(nth));
    // One that works between two that do not, or the breaker would open.
    const asks = [
      'plain',
      ...['refuse', 'break', 'say'].flatMap((word) => indices.flatMap((nth) => [`${word} ${nth}`, 'plain'])),
    ];
    const file = openingOf(home, 'secret', [{ asks: asks.map((text) => ask(text)) }]);
    const shown: string[] = [];
    const done = await home.run([file], (event: RunEvent) => void shown.push(JSON.stringify(event)));
    expect(done.code).toBe(0);
    const last = openingOf(home, 'hanging', [{ asks: [ask('hang')] }]);
    const { trace_id: run } = await home.json<{ trace_id: string }>('run', last, '--detach');
    await until(() => fake.requests.length > asks.length);
    // What looks for it finds it, in the form in which a log could have quoted it.
    const planted = join(home.path, 'logs', 'planted.log');
    writeFileSync(planted, `{"header":"${Buffer.from(`Bearer ${secret} and more`).toString('base64')}"}`);
    expect(leaksIn(home.path)).toEqual([planted]);
    rmSync(planted);
    const during = leaksIn(home.path);
    await home.rlp('cancel', run);
    const trace = (JSON.parse(shown[0] ?? '{}') as { trace_id?: string }).trace_id ?? '';
    for (const args of [
      ['models', 'test', 'fake:m'],
      ['models', '--json'],
      ['bill', '--json'],
      ['show', trace],
      ['trace', trace],
      ['replay', trace],
      ['logs', trace],
      ['daemon', 'logs', '-n', '1000'],
      ['secrets', 'list'],
      ['config', 'show'],
    ]) {
      const { out, err } = await home.rlp(...args);
      shown.push(out, err);
    }
    await home.rlp('daemon', 'stop');
    expect(fake.requests.length).toBeGreaterThan(asks.length);
    expect(new Set(fake.requests.map(({ authorization }) => authorization))).toEqual(new Set([bearer]));
    const text = shown.join('\n');
    expect({
      during,
      after: leaksIn(home.path),
      shown: formsOf(secret).filter((form) => text.includes(form)),
    }).toEqual({ during: [], after: [], shown: [] });
  },
);

test('a near question is answered from the semantic cache of its own agent; what that costs is on the tape and the bill', async () => {
  await using fake = await startFakeProvider();
  await using home = homeWith({
    default: 'fake:m',
    broker: {
      providers: [provider('fake', fake.url)],
      prices: [...prices, { pattern: 'e', input: 1, output: 0 }],
      cache: { semantic: { enabled: true, model: 'fake:e' } },
    },
  });
  // The fake one embeds by length.
  const near = ['how warm is it?', 'how hot is it??'].map((text) => ask(text, { temperature: 0 }));
  const file = openingOf(home, 'near', [{ asks: near }, { agent: 'other', asks: near.slice(1) }]);
  const { events } = await home.run([file]);
  const calledBy = (node: string): unknown =>
    events.flatMap(({ kind, meta }) =>
      kind === 'model.called' && meta['node'] === node ? [`${String(meta['model'])} ${String(meta['cache'])}`] : [],
    );
  expect(calledBy('n0')).toEqual(['e miss', 'm miss', 'e miss', 'm semantic']);
  expect(calledBy('n1')).toEqual(['e miss', 'm miss']);
  const { total } = await home.json<Bill>('bill');
  const { books } = fake;
  expect(total).toMatchObject({ calls: 6, cached: 1, tokens_in: books.tokens_in, usd_nano: 5 * 7_000 + 2 * 6_000 });
  expect(books.calls).toBe(5);
  expect(await home.rlp('replay', String(events[0]?.trace_id))).toMatchObject({ code: 0 });
  expect(fake.requests).toHaveLength(5);
});

test('a tape that was exported is a provider', async () => {
  await using fake = await startFakeProvider('said once');
  await using home = homeWith({ default: 'fake:m', broker: { providers: [provider('fake', fake.url)] } });
  const file = openingOf(home, 'taped', [{ asks: [ask('hi')] }]);
  const { events } = await home.run([file]);
  const tape = join(home.path, 'tape.ndjson');
  expect(await home.rlp('replay', String(events[0]?.trace_id), '--export', tape)).toMatchObject({ code: 0 });
  await home.rlp('daemon', 'stop');
  const providers = [{ id: 'fake', kind: 'record', file: tape }];
  writeFileSync(
    join(home.path, 'config.yaml'),
    JSON.stringify({ models: { default: 'fake:m', broker: { providers } } }),
  );
  const played = await home.run([file]);
  expect(played.events.find(({ kind }) => kind === 'model.called')?.meta).toMatchObject({
    provider: 'fake',
    tokens_in: 7,
  });
  expect(played.code).toBe(0);
  expect(fake.requests).toHaveLength(1);
});

describe('rlp models', () => {
  let fake: FakeProvider;
  let home: Home;
  beforeAll(async () => {
    fake = await startFakeProvider('ready');
    home = homeWith({
      default: 'm',
      broker: {
        providers: [provider('a', fake.url), provider('gone', 'http://127.0.0.1:1')],
        route: [
          { pattern: 'broken', provider: 'a', fallback: ['gone'] },
          { pattern: '*', provider: 'a' },
        ],
        prices,
        budgets: { day: { tokens: 100_000 } },
      },
    });
  });
  afterAll(async () => {
    await home[Symbol.asyncDispose]();
    await fake[Symbol.asyncDispose]();
  });

  test('tells who serves what, for how much', async () => {
    const { code, out } = await home.rlp('models');
    expect(code).toBe(0);
    expect(out).toMatch(/m +a \(http\) +m +\$1 \/ \$2 +8 +1 m 00 s +private +ok/);
  });

  test('test: an answer, a stream and a tool at each provider, on the bill', async () => {
    fake.answerBy(({ tools }) =>
      tools === undefined
        ? { type: 'text', text: 'ready' }
        : { type: 'text', text: '', calls: [{ name: 'tell_time', arguments: { place: 'Oslo' } }] },
    );
    const good = await home.rlp('models', 'test', 'm');
    expect(good).toMatchObject({ code: 0 });
    expect(good.out).toMatch(
      /^a \(http\), m\n {2}✓ answer +answered \(first token .*\$0\.000013000\)\n {2}✓ stream +1 pieces .*\n {2}✓ tools +answered/,
    );
    expect((await home.json<Bill>('bill', '--by', 'agent')).rows).toMatchObject([
      { key: 'rlp models test', calls: 3, usd_nano: 39_000 },
    ]);
    const bad = await home.rlp('models', 'test', 'broken');
    expect(bad.code).toBe(1);
    expect(bad.out).toMatch(
      /gone \(http\), broken\n {2}✗ answer +ProviderUnavailable: .*ECONNREFUSED.*\n +Start it, or check its base_url\./,
    );
    const none = await home.rlp('models', 'test', 'nobody');
    expect(none).toMatchObject({ code: 0 });
    fake.script({ type: 'status', status: 401, body: '\u001b]0;title\u0007 no\nsecond' });
    expect((await home.rlp('models', 'test', 'm')).out).toMatch(
      /answered 401: \\u\{1b\}\]0;title\\u\{7\} no\\nsecond\n/,
    );
    expect(await home.rlp('bill', '--by', 'nope')).toMatchObject({
      code: 2,
      err: expect.stringContaining('Choices: "run"'),
    });
  });

  test('test: Ctrl-C ends it, here and at the provider', async () => {
    const [asked, aborted] = [fake.requests.length, fake.aborted];
    fake.script({ type: 'hang' });
    const isAsked = (): boolean => fake.requests.length > asked;
    expect(await home.interruptedWhen(isAsked, home.path, 'models', 'test', 'm')).toMatchObject({
      code: 130,
      err: expect.stringContaining('aborted'),
    });
    while (fake.aborted === aborted) await new Promise(setImmediate);
  });

  test('a usage beyond its bound is on the ledger, in status, models and bill, and stays so after a crash, until it is thawed', async () => {
    fake.answerBy(() => ({ type: 'text', text: 'much', tokensOut: 9_000 }));
    const file = openingOf(home, 'much', [{ asks: [ask('hi')] }]);
    const { events } = await home.run([file]);
    const key = `day:${new Date().toISOString().slice(0, 10)}`;
    expect(events.find(({ kind }) => kind === 'budget.overrun')).toMatchObject({
      level: 'error',
      meta: { provider: 'a', used: { tokens_out: 9_000 }, reserved: { tokens_out: 50 }, frozen: [key] },
    });
    await home.kill();
    for (const args of [['models'], ['bill'], ['daemon', 'status']])
      expect((await home.rlp(...args)).out).toContain(`rlp models thaw ${key}`);
    fake.answerBy(() => ({ type: 'text', text: 'well' }));
    const asked = fake.requests.length;
    await home.run([file]);
    expect(fake.requests.length).toBe(asked);
    expect(await home.rlp('models', 'thaw', key)).toMatchObject({ code: 0 });
    expect(await home.rlp('models', 'thaw', key)).toMatchObject({ code: 66 });
    expect((await home.run([file])).code).toBe(0);
    expect(fake.requests.length).toBe(asked + 1);
    await home.kill();
    expect((await home.rlp('daemon', 'status')).out).not.toContain('frozen');
  });
});
