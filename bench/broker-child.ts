/**
 * The other processes of bench/broker.ts: `provider` answers at once and prints its address; `memory <url>` makes 100 000
 * calls through a broker and prints what it holds, every quarter of them; `inserts` makes 500 bare fsynced inserts a second
 * until it is told to stop, and prints what each took. As a thread, `insert` makes one for each message.
 */
import { createBroker, parseBrokerConfig, undiciHttp } from '../packages/broker/src/index.ts';
import { ok, systemClock, systemRandom, unwrap } from '../packages/core/src/index.ts';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import Database from 'better-sqlite3';

const say = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

const answer = JSON.stringify({
  model: 'bench',
  choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(512) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 20, completion_tokens: 100 },
});

function provider(): void {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(answer));
  });
  server.listen(0, '127.0.0.1', () => say(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
}

async function memory(url: string): Promise<void> {
  const calls = 100_000;
  const http = { id: 'fake', kind: 'http', base_url: url, concurrency: 32 };
  const budgets = { day: { tokens: 1e12 }, user_day: { usd: 1e6 }, run: { tokens: 1e12 } };
  const config = unwrap(parseBrokerConfig({ default: 'fake:m', broker: { providers: [http], budgets } }), 'a config');
  const secrets = { resolve: () => Promise.resolve(ok('unused')), scrub: (text: string) => text };
  const log = { log: () => undefined };
  const deps = { clock: systemClock, random: systemRandom, log, http: undiciHttp(), secrets };
  await using broker = createBroker(deps, config);
  const signal = new AbortController().signal;
  let nth = 0;
  const worker = async (): Promise<void> => {
    for (nth += 1; nth <= calls; nth += 1) {
      const run = `r${nth % 1000}`;
      const request = { messages: [{ role: 'user' as const, content: `question ${nth}` }], temperature: 0 };
      unwrap(
        await broker.complete(request, { run, node: 'n', agent: `a${nth % 50}`, user: 'me' }, signal),
        'an answer',
      );
      if (nth % 1000 === 0) broker.endRun(run);
      if (nth % (calls / 4) === 0) {
        globalThis.gc?.();
        say({ calls: nth, rss: process.memoryUsage.rss() });
      }
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}

type Bare = Disposable & { readonly insert: (text: string) => void };

function bare(): Bare {
  const dir = mkdtempSync(join(tmpdir(), 'bench-broker-'));
  const db = new Database(join(dir, 'bare.sqlite'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('CREATE TABLE rows(id INTEGER PRIMARY KEY, value TEXT)');
  const insert = db.prepare('INSERT INTO rows(value) VALUES (?)');
  return {
    insert: (text) => void insert.run(text),
    [Symbol.dispose]() {
      db.close();
      rmSync(dir, { recursive: true });
    },
  };
}

/** One row an insert, each in the journal and on the disk before the next. */
async function inserts(): Promise<void> {
  using db = bare();
  const value = 'x'.repeat(1_000);
  const times: number[] = [];
  const over = new AbortController();
  process.once('SIGTERM', () => over.abort());
  say('ready');
  for (const from = performance.now(); !over.signal.aborted;) {
    const wait = from + times.length * 2 - performance.now();
    // At least a turn of the loop, in which it can be told to stop.
    await sleep(Math.max(0, Math.ceil(wait)));
    const began = performance.now();
    db.insert(value);
    times.push(performance.now() - began);
  }
  say(times);
}

/** One for each message of the thread's owner, until it says `close`. */
function insertAsked(port: NonNullable<typeof parentPort>): void {
  const db = bare();
  port.on('message', (asked: 'close' | { readonly n: number; readonly text: string }) => {
    if (asked === 'close') {
      db[Symbol.dispose]();
      return port.close();
    }
    db.insert(asked.text);
    port.postMessage(asked.n);
  });
}

if (process.argv[2] === 'provider') provider();
if (process.argv[2] === 'inserts') await inserts();
if (process.argv[2] === 'memory') await memory(process.argv[3] ?? '');
if (process.argv[2] === 'insert' && parentPort !== null) insertAsked(parentPort);
