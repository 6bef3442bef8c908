/** Answers that outlive the process: found again after a restart, within limits, and gone when they are to be gone. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Log, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import Database from 'better-sqlite3';
import { type MemoryLog, memoryLog, simulatedClock, startFakeProvider } from '@runloop/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AnswerStore, openAnswerStore } from '../src/answer-store.ts';
import { type Broker, type CallContext, createBroker, parseBrokerConfig, undiciHttp } from '../src/index.ts';
import { storedAnswerBytesMax, storedBytesMax, storedEntriesMax, storedSweepMs } from '../src/limits.ts';

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

const sql = (path: string, text: string): void => {
  const db = new Database(path);
  db.exec(text);
  db.close();
};
/** As another program would hold it. */
const locked = (): Disposable => {
  const db = new Database(file);
  db.exec('BEGIN IMMEDIATE');
  return { [Symbol.dispose]: () => void db.close() };
};
const said = ({ lines }: MemoryLog): readonly string[] => lines.map(({ message }) => message);
const openWith = (log: Log): AnswerStore => openAnswerStore({ clock: systemClock, log, scrub: String }, file);
const soon = (): number => systemClock.nowMs() + 60_000;
const isKept = (store: AnswerStore, key: string): boolean => {
  store.put(key, { text: key }, soon());
  return store.get(key) !== undefined;
};

test.each<[string, (path: string) => void]>([
  ['is none', (path) => writeFileSync(path, 'this is no database, and long enough to be looked at'.repeat(100))],
  ['is of another version', (path) => sql(path, 'PRAGMA user_version = 2; CREATE VIEW answers AS SELECT 1')],
  ['has no table', (path) => sql(path, 'PRAGMA user_version = 1')],
])('a file that %s is made anew', (_, spoil) => {
  spoil(file);
  const log = memoryLog();
  using store = openWith(log);
  expect([isKept(store, 'a'), said(log)]).toEqual([true, [expect.stringContaining('is made anew')]]);
});

test('a file that is damaged while it is used is made anew, and the calls go on', () => {
  const log = memoryLog();
  using store = openWith(log);
  for (let i = 0; i < 200; i += 1) store.put(`k${i}`, 'x'.repeat(500), soon());
  sql(file, 'PRAGMA wal_checkpoint(TRUNCATE)');
  const { size } = statSync(file);
  const handle = openSync(file, 'r+');
  writeSync(handle, Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096);
  closeSync(handle);
  sql(file, 'PRAGMA user_version = 1');
  for (let i = 0; i < 200; i += 1) store.get(`k${i}`);
  expect([isKept(store, 'after'), said(log)]).toEqual([true, [expect.stringContaining('is made anew')]]);
});

test('a file that another program has locked: nothing waits for it, it is said once, and used again when it is free', () => {
  const log = memoryLog();
  using store = openWith(log);
  {
    using _other = locked();
    expect([isKept(store, 'a'), isKept(store, 'b')]).toEqual([false, false]);
    expect(said(log)).toEqual([expect.stringContaining('cannot be used')]);
  }
  expect(isKept(store, 'c')).toBe(true);
});

test('what is purged while another program holds the file is deleted with it', () => {
  using store = openWith(memoryLog());
  store.put('a', 'remarkable', soon());
  using _other = locked();
  expect(store.purge().ok).toBe(true);
  expect(everywhere()).not.toContain('remarkable');
  expect(isKept(store, 'b')).toBe(true);
});

test('where there can be no file, answers are kept in memory, and a purge says what it could not delete', () => {
  mkdirSync(file);
  const log = memoryLog();
  using store = openWith(log);
  expect([isKept(store, 'a'), said(log)]).toEqual([false, [expect.stringContaining('cannot be used')]]);
  expect(store.purge()).toMatchObject({ error: { code: 'Internal', hint: expect.stringContaining(file) } });
});

test('an answer that cannot be written down is given all the same', async () => {
  await using fake = await startFakeProvider('said');
  await using broker = brokerAt(fake.url);
  using _other = locked();
  expect(await cacheOf(broker, 'q')).toBe('said (miss, saved 0)');
  expect(await cacheOf(broker, 'q')).toBe('said (hit, saved 10000)');
});

test('what has ended is overwritten within a minute', async () => {
  const clock = simulatedClock();
  using store = openAnswerStore({ clock, log: memoryLog(), scrub: String }, file);
  store.put('a', 'remarkable', clock.nowMs() + 1_000);
  expect(everywhere()).toContain('remarkable');
  await clock.advance(storedSweepMs);
  expect(everywhere()).not.toContain('remarkable');
});

test('an answer that lasts for longer than any does is none: its clock was ahead', async () => {
  await using fake = await startFakeProvider('now');
  {
    await using broker = brokerAt(fake.url);
    expect(await cacheOf(broker, 'q')).toContain('miss');
  }
  sql(file, 'UPDATE answers SET until_ms = until_ms + 86400000');
  await using broker = brokerAt(fake.url);
  expect(await cacheOf(broker, 'q')).toContain('miss');
});

test('an answer of a provider that has moved, and of another user, is none', async () => {
  await using before = await startFakeProvider('before');
  await using after = await startFakeProvider('after');
  {
    await using broker = brokerAt(before.url);
    expect(await cacheOf(broker, 'q', { user: 'one' })).toBe('before (miss, saved 0)');
    expect(await cacheOf(broker, 'q', { user: 'one' })).toBe('before (hit, saved 10000)');
    expect(await cacheOf(broker, 'q', { user: 'two' })).toBe('before (miss, saved 0)');
  }
  await using broker = brokerAt(after.url);
  expect(await cacheOf(broker, 'q', { user: 'one' })).toBe('after (miss, saved 0)');
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
