/**
 * What the broker adds to a model call: at 500 calls a second with budgets, cache look-up and the durable tape, beside the same
 * client straight at the same provider (a process of its own), and beside a gateway that is installed for this bench alone.
 *
 * A call is measured from when it is made until its answer is durable and handed to the agent. The limit is 1 ms and twice the
 * p99 of a bare fsynced insert, measured in the same run.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'better-sqlite3';
import { undiciHttp } from '../packages/broker/src/index.ts';
import { type JsonObject, ok, systemClock, systemRandom, unwrap } from '../packages/core/src/index.ts';
import { performModel } from '../packages/daemon/src/host/model-calls.ts';
import { createModels } from '../packages/daemon/src/host/models.ts';
import type { HostPerformer } from '../packages/daemon/src/runs/ports.ts';
import { InProcess } from './in-process.ts';
import { type BenchRow, median, percentile } from './types.ts';

const perSecond = 500;
const seconds = 8;
const calls = perSecond * seconds;
/** Nodes that call in turn, so that each has this many times 2 ms for one call. */
const lanes = 50;
/** Left out at the beginning: connections are opened, code is compiled. */
const warm = perSecond;

const child = (...args: string[]): ChildProcess =>
  spawn(
    process.execPath,
    ['--conditions=source', '--expose-gc', join(import.meta.dirname, 'broker-child.ts'), ...args],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
async function firstLine(process: ChildProcess): Promise<string> {
  if (process.stdout === null) throw new Error('assumed a pipe');
  const [line] = (await once(createInterface({ input: process.stdout }), 'line')) as [string];
  return JSON.parse(line) as string;
}

/** Makes call number n at its time, in lanes that each make one at a time; milliseconds of each that is not warming up. */
class Pace {
  readonly times: number[] = [];
  late = 0;
  #began = 0;

  async lane(nth: number, call: (n: number) => Promise<unknown>): Promise<void> {
    this.#began ||= performance.now() + 200;
    for (let n = nth; n < calls; n += lanes) {
      const due = this.#began + (n * 1000) / perSecond;
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      else if (wait < -20) this.late += 1;
      const begun = performance.now();
      await call(n);
      if (n >= warm) this.times.push(performance.now() - begun);
    }
  }

  async all(call: (n: number) => Promise<unknown>): Promise<this> {
    await Promise.all(Array.from({ length: lanes }, (_, nth) => this.lane(nth, call)));
    return this;
  }
}

const request = (n: number): JsonObject => ({
  messages: [{ role: 'user', content: `question ${n}: ${'word '.repeat(100)}` }],
  max_tokens: 200,
  temperature: 0,
});

async function straight(url: string, headers: { readonly [name: string]: string } = {}): Promise<Pace> {
  await using http = undiciHttp();
  const signal = new AbortController().signal;
  return new Pace().all(async (n) => {
    const body = JSON.stringify({ model: 'm', ...request(n) });
    const sent = { 'content-type': 'application/json', ...headers };
    const answer = await http.post(`${url}/v1/chat/completions`, sent, body, signal);
    const chunks: Uint8Array[] = [];
    for await (const chunk of answer.body) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    if (answer.status !== 200) throw new Error(`status ${answer.status}: ${text.slice(0, 200)}`);
    return JSON.parse(text) as unknown;
  });
}

/** The same calls with the tape alone: nobody is asked. */
const nobody: HostPerformer = {
  repeats: () => false,
  leaves: () => Promise.resolve(false),
  cleared: () => true,
  perform: () => Promise.resolve({ result: { ok: true, value: { text: 'x'.repeat(512) } } }),
};

async function taped(performer: HostPerformer): Promise<Pace> {
  const pace = new Pace();
  await using place = await InProcess.open(
    (call, node) => pace.lane(Number(node.slice(1)), (n) => call('model.complete', request(n))),
    performer,
  );
  const nodes = Array.from({ length: lanes }, (_, i) => `  - { id: n${i}, use: "agent:noop" }`).join('\n');
  await place.run(`version: 0\nname: bench\nnodes:\n${nodes}\n`);
  return pace;
}

async function brokered(url: string): Promise<Pace> {
  const provider = { id: 'fake', kind: 'http', base_url: url, concurrency: lanes };
  const budgets = { day: { tokens: 1e12 }, user_day: { usd: 1e6 }, opening_day: { calls: 1e9 }, run: { tokens: 1e12 } };
  const models = unwrap(
    createModels(
      {
        clock: systemClock,
        random: systemRandom,
        log: { log: () => undefined },
        secrets: { resolve: () => Promise.resolve(ok('unused')), scrub: (text: string) => text },
      },
      { models: { default: 'fake:m', broker: { providers: [provider], budgets } } } as never,
    ),
    'models',
  );
  const perform: HostPerformer['perform'] = (op, args, scope, signal) =>
    performModel(models, op, args as JsonObject, scope, signal);
  const pace = await taped({ ...nobody, perform });
  await models.close();
  return pace;
}

/** One row an insert, each in the journal and on the disk before the next. */
function bareInserts(): number[] {
  const dir = mkdtempSync(join(tmpdir(), 'bench-broker-'));
  const db = new Database(join(dir, 'bare.sqlite'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('CREATE TABLE rows(id INTEGER PRIMARY KEY, value TEXT)');
  const insert = db.prepare('INSERT INTO rows(value) VALUES (?)');
  const value = 'x'.repeat(1_000);
  const times: number[] = [];
  for (let i = 0; i < 2_000; i += 1) {
    const began = performance.now();
    insert.run(value);
    times.push(performance.now() - began);
  }
  db.close();
  rmSync(dir, { recursive: true });
  return times;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Portkey's gateway under the same load; undefined where it cannot be had or does not answer. */
async function gateway(url: string): Promise<Pace | undefined> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-gateway-'));
  let server: ChildProcess | undefined;
  try {
    const npm = ['install', '--prefix', dir, '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
    execFileSync('npm', [...npm, '@portkey-ai/gateway@1.15.2'], { stdio: 'ignore', timeout: 180_000, cwd: dir });
    const start = join(dir, 'node_modules/@portkey-ai/gateway/build/start-server.js');
    if (!existsSync(start)) throw new Error('it has no build/start-server.js');
    const port = await freePort();
    server = spawn(process.execPath, [start, `--port=${port}`, '--headless'], { stdio: 'ignore', cwd: dir });
    for (let tries = 0; ; tries += 1) {
      const up = await fetch(`http://127.0.0.1:${port}/`).then(
        () => true,
        () => false,
      );
      if (up) break;
      if (tries > 100) throw new Error('it does not listen');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return await straight(`http://127.0.0.1:${port}`, {
      authorization: 'Bearer unused',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `${url}/v1`,
    });
  } catch (error) {
    process.stderr.write(`no gateway beside it: ${String(error).slice(0, 300)}\n`);
    return undefined;
  } finally {
    server?.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

async function memoryCurve(url: string): Promise<readonly { readonly calls: number; readonly rss: number }[]> {
  const process = child('memory', url);
  if (process.stdout === null) throw new Error('assumed a pipe');
  const points: { calls: number; rss: number }[] = [];
  for await (const line of createInterface({ input: process.stdout }))
    points.push(JSON.parse(line) as { calls: number; rss: number });
  return points;
}

export async function rows(): Promise<readonly BenchRow[]> {
  const provider = child('provider');
  const url = await firstLine(provider);
  try {
    const inserts = bareInserts();
    const direct = await straight(url);
    const tape = await taped(nobody);
    const through = await brokered(url);
    const peer = await gateway(url);
    const over = (pace: Pace, share: number): number => percentile(pace.times, share) - percentile(direct.times, share);
    const insert = percentile(inserts, 0.99);
    const limit = 1 + 2 * insert;
    const curve = await memoryCurve(url);
    const row = (name: string, value: number, more: Partial<BenchRow> = {}): BenchRow => ({
      name,
      value,
      unit: 'ms',
      ...more,
    });
    return [
      row('a bare fsynced insert, p99', insert),
      row(`a call straight to the provider, ${perSecond}/s, p50`, median(direct.times)),
      row(`a call straight to the provider, ${perSecond}/s, p99`, percentile(direct.times, 0.99)),
      row('the tape alone, of a call that asks nobody, p50', median(tape.times)),
      row('the tape alone, of a call that asks nobody, p99', percentile(tape.times, 0.99)),
      row('what the broker and the tape add, p50', over(through, 0.5)),
      row('what the broker and the tape add, p99', over(through, 0.99), {
        floor: limit,
        ratio: over(through, 0.99) / limit,
        goal: '<= 1x',
      }),
      ...(peer === undefined
        ? []
        : [
            row("what Portkey's gateway adds (no tape, no budgets), p50", over(peer, 0.5)),
            row("what Portkey's gateway adds (no tape, no budgets), p99", over(peer, 0.99)),
          ]),
      ...curve.map(({ calls: at, rss }) => ({ name: `memory after ${at} calls`, value: rss / 2 ** 20, unit: 'MiB' })),
    ];
  } finally {
    provider.kill('SIGKILL');
  }
}
