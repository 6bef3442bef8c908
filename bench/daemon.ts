/**
 * The built daemon as a process: how soon it is ready, what it holds at rest, and runs on it when it is warm.
 *
 * Needs `dist` (tsc -b): what is shipped is what is measured. External actions are approved as soon as they are asked.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type RunEvent, type TraceId, systemClock, systemRandom, unwrap } from '../packages/core/src/index.ts';
import { type Client, connect } from '../packages/sdk/src/index.ts';
import { type BenchRow, median, percentile } from './types.ts';

const root = join(import.meta.dirname, '..');
const starts = 5;
const warmRuns = 15;

type Started = { readonly process: ChildProcess; readonly socket: string; readonly readyMs: number };

async function start(home: string): Promise<Started> {
  const began = performance.now();
  // As the launcher starts it.
  const child = spawn(join(import.meta.dirname, '..', 'bin', 'runloopd'), ['--home', home], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  const [line] = (await once(child.stdio[3] as Readable, 'data')) as [Buffer];
  const readyMs = performance.now() - began;
  const { ready, socket } = JSON.parse(line.toString('utf8')) as { ready: boolean; socket: string };
  if (!ready) throw new Error(`the daemon is not ready: ${line.toString('utf8')}`);
  return { process: child, socket, readyMs };
}

async function stop(daemon: Started): Promise<void> {
  const gone = once(daemon.process, 'exit');
  daemon.process.kill('SIGTERM');
  await gone;
}

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function memoryMb(pid: number | undefined): number {
  const [, kib] = /VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1000);
}

/** Milliseconds of processor that the process has used. */
function processorMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

type Done = { readonly submitMs: number; readonly wallMs: number; readonly events: readonly RunEvent[] };

async function run(client: Client, opening: { readonly file: string; readonly text: string }): Promise<Done> {
  const traceId = randomBytes(16).toString('hex') as TraceId;
  const began = performance.now();
  const source = { file: opening.file, text: opening.text, params: {}, on_confirm: 'wait', priority: 0 };
  unwrap(await client.call('run.submit', source, { traceId, timeoutMs: 300_000 }), 'it is accepted');
  const submitMs = performance.now() - began;
  const events: RunEvent[] = [];
  for await (const event of client.follow(traceId)) {
    events.push(event);
    if (event.kind === 'action.requested') {
      const { action, hash } = event.meta as { action: string; hash: string };
      const approved = { action, hash, decision: 'approve' };
      unwrap(
        await client.call('action.decide', approved, { traceId: randomBytes(16).toString('hex') as TraceId }),
        'a decision',
      );
    }
    if (event.kind !== 'run.finished') continue;
    if (event.meta['state'] !== 'succeeded') throw new Error(`the run ended: ${JSON.stringify(event.meta)}`);
    break;
  }
  return { submitMs, wallMs: performance.now() - began, events };
}

/** Nodes that do next to nothing, side by side. */
function opening(nodes: number): { readonly file: string; readonly text: string } {
  const lines = Array.from({ length: nodes }, (_, i) => `  - { id: n${i}, use: 'agent:greeter' }`);
  return { file: 'noop.yaml', text: `version: 0\nname: noop\nnodes:\n${lines.join('\n')}\nedges: []\n` };
}

/** Milliseconds from a node's start to its durable end, as the events say. */
function nodeMs(events: readonly RunEvent[]): number[] {
  const began = new Map<string, number>();
  const took: number[] = [];
  for (const { kind, meta, ts_ms } of events) {
    const node = String(meta['node']);
    if (kind === 'node.ready') began.set(node, ts_ms);
    if (kind === 'node.finished') took.push(ts_ms - (began.get(node) ?? ts_ms));
  }
  return took;
}

/** One row inserted and on disk, with the ledger's pragmas. */
function syncedInserts(folder: string): number[] {
  const load = createRequire(join(root, 'packages', 'kb', 'package.json'));
  type Sqlite = {
    pragma(text: string): void;
    exec(sql: string): void;
    prepare(sql: string): { run(value: string): void };
    close(): void;
  };
  const db = new (load('better-sqlite3') as new (path: string) => Sqlite)(join(folder, 'floor.sqlite'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT)');
  const insert = db.prepare('INSERT INTO t (v) VALUES (?)');
  const times: number[] = [];
  for (let i = 0; i < 300; i += 1) {
    const began = performance.now();
    insert.run('x'.repeat(400));
    times.push(performance.now() - began);
  }
  db.close();
  return times;
}

async function startRows(folder: string): Promise<BenchRow[]> {
  const fresh: number[] = [];
  const existing: number[] = [];
  for (let i = 0; i < starts; i += 1) {
    const home = join(folder, `start-${i}`);
    for (const list of [fresh, existing]) {
      const daemon = await start(home);
      list.push(daemon.readyMs);
      await stop(daemon);
    }
  }
  const daemon = await start(join(folder, 'start-0'));
  // At rest: the views thread has ended.
  await rest(25_000);
  const rss = memoryMb(daemon.process.pid);
  const used = processorMs(daemon.process.pid);
  await rest(5000);
  const idle = (processorMs(daemon.process.pid) - used) / 50;
  await stop(daemon);
  const row = (name: string, value: number, unit: string, goal: string): BenchRow => ({ name, value, unit, goal });
  return [
    row('daemon ready, empty home', median(fresh), 'ms', '<= 300'),
    row('daemon ready, existing home', median(existing), 'ms', '<= 300'),
    row('daemon idle memory', rss, 'MB', '<= 90'),
    row('daemon idle processor', idle, '%', '<= 0.5'),
  ];
}

async function runRows(folder: string): Promise<BenchRow[]> {
  const home = join(folder, 'runs');
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const daemon = await start(home);
  const token = readFileSync(join(home, 'operator.token'), 'utf8').trim();
  await using client = unwrap(
    await connect({
      clock: systemClock,
      random: systemRandom,
      socketPath: daemon.socket,
      kind: 'sdk',
      name: 'bench',
      token,
    }),
    'a session',
  );
  const email = {
    file: 'compose_email.yaml',
    text: readFileSync(join(root, 'examples', 'openings', 'compose_email.yaml'), 'utf8'),
  };
  const rows: BenchRow[] = [];
  try {
    await run(client, opening(1));
    const single: number[] = [];
    for (let i = 0; i < 40; i += 1) single.push(...nodeMs((await run(client, opening(1))).events).slice(-1));
    const floor = median(syncedInserts(folder));
    const node = median(single.slice(10));
    rows.push({
      name: 'durable node, ready to result durable, p50',
      value: node,
      unit: 'ms',
      floor,
      ratio: node / floor,
      goal: '<= 4 x',
    });
    await emailRows(client, email, rows);
    rows.push({ name: 'daemon memory after the runs', value: memoryMb(daemon.process.pid), unit: 'MB' });
    const status = unwrap(await client.call('daemon.status', {}), 'a status') as { loop_delay_p99_ms?: number };
    if (status.loop_delay_p99_ms !== undefined)
      rows.push({
        name: 'daemon event-loop delay beyond its 10 ms ticks, p99',
        value: status.loop_delay_p99_ms - 10,
        unit: 'ms',
        goal: '<= 10',
      });
  } finally {
    await stop(daemon);
  }
  return rows;
}

async function emailRows(client: Client, email: { file: string; text: string }, rows: BenchRow[]): Promise<void> {
  const first = await run(client, email);
  const submits: number[] = [];
  const walls: number[] = [];
  for (let i = 0; i < warmRuns; i += 1) {
    const { submitMs, wallMs } = await run(client, email);
    submits.push(submitMs);
    walls.push(wallMs);
  }
  rows.push(
    { name: 'run of compose_email, first ever (agents are built)', value: first.wallMs, unit: 'ms' },
    { name: 'run.submit of compose_email, warm daemon, p50', value: median(submits), unit: 'ms', goal: '<= 15' },
    { name: 'run of compose_email, warm daemon, p50', value: median(walls), unit: 'ms', goal: '<= 150' },
    { name: 'run of compose_email, warm daemon, p90', value: percentile(walls, 0.9), unit: 'ms' },
  );
}

export async function rows(): Promise<readonly BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rld-'));
  try {
    return [...(await startRows(folder)), ...(await runRows(folder))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
