/**
 * What the broker adds to a model call: at 500 calls a second with budgets, cache look-up and the durable tape, beside the same
 * client straight at the same provider (a process of its own), and beside a gateway that is installed for this bench alone.
 *
 * A call is measured from when it is due, so that what holds up the next one counts, until its answer is durable and handed to
 * the agent. All ways take turns, several times over, so that what else the machine does falls on each; what one adds is the
 * difference to the call of the same number that went straight. The limit is 1 ms and twice the p99 of a bare fsynced insert,
 * made 500 times a second by a process of its own while calls go straight at the same rate.
 *
 * Two floors stand beside it: what going straight a second time adds, which is the machine's own noise, and what two bare
 * inserts add that a thread makes around the call, which is the least that any durable tape costs off the main thread.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { undiciHttp } from '../packages/broker/src/index.ts';
import {
  type JsonObject,
  ok,
  startModuleThread,
  systemClock,
  systemRandom,
  unwrap,
} from '../packages/core/src/index.ts';
import { performModel } from '../packages/daemon/src/host/model-calls.ts';
import { createModels } from '../packages/daemon/src/host/models.ts';
import type { HostPerformer } from '../packages/daemon/src/runs/ports.ts';
import { InProcess } from './in-process.ts';
import { type BenchRow, median, percentile } from './types.ts';

const perSecond = 500;
const seconds = 5;
const calls = perSecond * seconds;
const rounds = 3;
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

/** Makes call number n when it is due, in lanes that each make one at a time; milliseconds of each, by its number. */
class Pace {
  readonly times: number[] = [];
  /** Calls that began over 20 ms after they were due: their lane was busy, or the process was. */
  late = 0;
  /** Milliseconds of processor that this process had for a call, on all of its threads. */
  cpu = 0;
  #began = 0;

  async lane(nth: number, call: (n: number) => Promise<unknown>): Promise<void> {
    this.#began ||= performance.now() + 200;
    for (let n = nth; n < calls; n += lanes) {
      const due = this.#began + (n * 1000) / perSecond;
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(wait)));
      if (performance.now() - due > 20) this.late += 1;
      await call(n);
      this.times[n] = performance.now() - due;
    }
  }

  async all(call: (n: number) => Promise<unknown>): Promise<this> {
    return this.metered(() => Promise.all(Array.from({ length: lanes }, (_, nth) => this.lane(nth, call))));
  }

  async metered(work: () => Promise<unknown>): Promise<this> {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    this.cpu = (user + system) / 1_000 / calls;
    return this;
  }
}

const request = (n: number): JsonObject => ({
  messages: [{ role: 'user', content: `question ${n}: ${'word '.repeat(100)}` }],
  max_tokens: 200,
  temperature: 0,
});

type Put = (text: string) => Promise<unknown> | undefined;

/** `put` is what is done with each body before it is sent, and with each answer. */
async function straight(
  url: string,
  headers: { readonly [name: string]: string } = {},
  put: Put = () => undefined,
): Promise<Pace> {
  await using http = undiciHttp();
  const signal = new AbortController().signal;
  return await new Pace().all(async (n) => {
    const body = JSON.stringify({ model: 'm', ...request(n) });
    await put(body);
    const sent = { 'content-type': 'application/json', ...headers };
    const answer = await http.post(`${url}/v1/chat/completions`, sent, body, signal);
    const chunks: Uint8Array[] = [];
    for await (const chunk of answer.body) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    if (answer.status !== 200) throw new Error(`status ${answer.status}: ${text.slice(0, 200)}`);
    await put(text);
    return JSON.parse(text) as unknown;
  });
}

/** The same, with an insert in a thread before each call and one after it. */
async function inserting(url: string): Promise<Pace> {
  const worker = startModuleThread(import.meta.url, 'broker-child', { argv: ['insert'] });
  const open = new Map<number, () => void>();
  let last = 0;
  worker.on('message', (n: number) => {
    open.get(n)?.();
    open.delete(n);
  });
  const pace = await straight(url, {}, (text) => {
    last += 1;
    const inserted = new Promise<void>((resolve) => open.set(last, resolve));
    worker.postMessage({ n: last, text });
    return inserted;
  });
  worker.postMessage('close');
  await once(worker, 'exit');
  return pace;
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
  return await pace.metered(() => place.run(`version: 0\nname: bench\nnodes:\n${nodes}\n`));
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

/** Bare fsynced inserts beside the work, until it is done. */
async function besideInserts<T>(
  work: () => Promise<T>,
): Promise<{ readonly done: T; readonly times: readonly number[] }> {
  const inserts = child('inserts');
  if (inserts.stdout === null) throw new Error('assumed a pipe');
  const lines = createInterface({ input: inserts.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const done = await work();
  inserts.kill('SIGTERM');
  return { done, times: JSON.parse(String((await lines.next()).value)) as number[] };
}

/** What each way took, round after round: call by call, without those that warm up. */
class Way {
  readonly times: number[] = [];
  late = 0;
  cpu = 0;

  add({ times, late, cpu }: Pace): void {
    this.times.push(...times.slice(warm));
    this.late += late;
    this.cpu += cpu / rounds;
  }

  /** Call by call, each beside the other's of the same number. */
  over(other: Way): readonly number[] {
    return this.times.map((time, n) => time - (other.times[n] ?? 0));
  }
}

export async function rows(): Promise<readonly BenchRow[]> {
  const provider = child('provider');
  const url = await firstLine(provider);
  try {
    const [direct, again, least, tape, through] = [new Way(), new Way(), new Way(), new Way(), new Way()];
    const inserts: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const { done, times } = await besideInserts(() => straight(url));
      direct.add(done);
      inserts.push(...times);
      again.add(await straight(url));
      least.add(await inserting(url));
      tape.add(await taped(nobody));
      through.add(await brokered(url));
    }
    const other = await gateway(url);
    const peer = new Way();
    if (other !== undefined) peer.add(other);
    const insert = percentile(inserts, 0.99);
    const limit = 1 + 2 * insert;
    const curve = await memoryCurve(url);
    const row = (name: string, value: number, more: Partial<BenchRow> = {}): BenchRow => ({
      name,
      value,
      unit: 'ms',
      ...more,
    });
    const both = (name: string, times: readonly number[], more: Partial<BenchRow> = {}): readonly BenchRow[] => [
      row(`${name}, p50`, median(times)),
      row(`${name}, p99`, percentile(times, 0.99), more),
    ];
    const added = through.over(direct);
    return [
      ...both(`a bare fsynced insert, ${perSecond}/s`, inserts),
      ...both(`a call straight to the provider, ${perSecond}/s`, direct.times),
      ...both('what going straight again adds: the noise', again.over(direct)),
      ...both('what two bare inserts in a thread add', least.over(direct)),
      ...both('the tape alone, of a call that asks nobody', tape.times),
      ...both('what the broker and the tape add', added, {
        floor: limit,
        ratio: percentile(added, 0.99) / limit,
        goal: '<= 1x',
      }),
      ...Object.entries({ straight: direct, 'the tape alone': tape, 'broker and tape': through }).flatMap(
        ([name, { cpu, late }]) => [
          row(`processor time of a call, ${name}, its client with it`, cpu),
          row(`calls begun over 20 ms late, ${name}`, late, { unit: '' }),
        ],
      ),
      ...(other === undefined ? [] : both("what Portkey's gateway adds (no tape, no budgets)", peer.over(direct))),
      ...curve.map(({ calls: at, rss }) => ({ name: `memory after ${at} calls`, value: rss / 2 ** 20, unit: 'MiB' })),
    ];
  } finally {
    provider.kill('SIGKILL');
  }
}
