/** Answers that outlive the process: found again after a restart, within limits, and gone when they are to be gone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { memoryLog, simulatedClock, startFakeProvider } from '@runloop/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AnswerStore, openAnswerStore } from '../src/answer-store.ts';
import { type Broker, type CallContext, createBroker, parseBrokerConfig, undiciHttp } from '../src/index.ts';
import { storedAnswerBytesMax, storedBytesMax, storedEntriesMax } from '../src/limits.ts';

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rl-'));
  file = join(dir, 'broker.sqlite');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const never = new AbortController().signal;
const secret = 'sk-0123456789';
const brokerAt = (url: string): Broker =>
  createBroker(
    {
      clock: systemClock,
      random: systemRandom,
      log: memoryLog(),
      http: undiciHttp(),
      secrets: { resolve: () => Promise.resolve(ok(secret)), scrub: (text) => text.replaceAll(secret, '[secret]') },
      cacheFile: file,
    },
    unwrap(
      parseBrokerConfig({
        default: 'fake:m',
        broker: {
          providers: [{ id: 'fake', kind: 'http', base_url: url, secret_id: 'runloop/models/fake' }],
          prices: [{ pattern: 'm', input: 1, output: 1 }],
        },
      }),
      'a configuration',
    ),
  );
const ctx: CallContext = { run: 'r', node: 'n', agent: 'a', owner: 'a', secrecy: 'private' };
const ask = (text: string): Parameters<Broker['complete']>[0] => ({
  messages: [{ role: 'user', content: text }],
  temperature: 0,
});
const cacheOf = async (broker: Broker, text: string, more: Partial<CallContext> = {}): Promise<string> => {
  const { called, text: said } = unwrap(await broker.complete(ask(text), { ...ctx, ...more }, never), 'an answer');
  return `${said} (${called.cache}, saved ${called.saved_usd_nano})`;
};
const everywhere = (): string =>
  readdirSync(dir)
    .map((name) => readFileSync(join(dir, name), 'latin1'))
    .join();

test('a restart forgets nothing, tells owners and labels apart, and a purge leaves nothing to be found', async () => {
  await using fake = await startFakeProvider('remarkable');
  {
    await using broker = brokerAt(fake.url);
    expect(await cacheOf(broker, 'q')).toBe('remarkable (miss, saved 0)');
  }
  {
    await using broker = brokerAt(fake.url);
    expect(await cacheOf(broker, 'q')).toBe('remarkable (hit, saved 10000)');
    expect(await cacheOf(broker, 'q', { owner: 'b' })).toBe('remarkable (miss, saved 0)');
    expect(await cacheOf(broker, 'q', { secrecy: 'public' })).toBe('remarkable (miss, saved 0)');
    expect(broker.spending('r').run?.spent.calls).toBe(2);
    expect(everywhere()).toContain('remarkable');
    broker.purgeCache();
    expect(everywhere()).not.toContain('remarkable');
    expect(await cacheOf(broker, 'q')).toBe('remarkable (miss, saved 0)');
    broker.purgeCache();
  }
  expect(everywhere()).not.toContain('remarkable');
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('an answer that holds a secret is not written down', async () => {
  await using fake = await startFakeProvider(`your key is ${secret}`);
  await using broker = brokerAt(fake.url);
  expect(await cacheOf(broker, 'q')).toContain('miss');
  expect(everywhere()).not.toContain(secret);
});

test('a file that is none, or of another version, is made anew', () => {
  const open = (): AnswerStore => openAnswerStore({ clock: systemClock, log: memoryLog(), scrub: String }, file);
  writeFileSync(file, 'this is no database, and long enough to be looked at'.repeat(100));
  using store = open();
  store.put('a', { text: 'x' }, systemClock.nowMs() + 1_000);
  expect(store.get('a')?.value).toEqual({ text: 'x' });
});

test('A10: what is too old goes, and the oldest makes room, by count and by bytes', () => {
  const clock = simulatedClock();
  using store = openAnswerStore({ clock, log: memoryLog(), scrub: String }, file);
  const end = clock.nowMs() + 1_000;
  store.put('short', 'x', clock.nowMs() - 1);
  store.put('large', 'x'.repeat(storedAnswerBytesMax), end);
  expect([store.get('short'), store.get('large')]).toEqual([undefined, undefined]);
  for (let i = 0; i <= storedEntriesMax; i += 1) store.put(`k${i}`, i, end);
  expect([store.get('k0'), store.get(`k${storedEntriesMax}`)?.value]).toEqual([undefined, storedEntriesMax]);
  const big = 'y'.repeat(storedAnswerBytesMax - 2);
  const many = Math.ceil(storedBytesMax / storedAnswerBytesMax) + 1;
  for (let i = 0; i < many; i += 1) store.put(`b${i}`, big, end);
  expect([store.get('k9000'), store.get(`b${many - 1}`)?.value]).toEqual([undefined, big]);
  expect(statSync(file).size).toBeLessThan(storedBytesMax * 1.5);
});
