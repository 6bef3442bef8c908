/**
 * SIGKILL at a hundred random instants, of the daemon as it is shipped, with a mail server that keeps books: every run that
 * was accepted ends, every letter is sent once, every question is asked once. A6.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { systemClock, systemRandom, type TraceId } from '../../packages/core/src/index.ts';
import { type Client, connect } from '../../packages/sdk/src/index.ts';
import { Home } from './home.ts';
import { root } from './place.ts';

const kills = 100;
/** Runs that are under way at once. */
const crowd = 6;
/** Without its time limits: a machine that is busy must not be what this finds. */
const text = readFileSync(join(root, 'examples', 'openings', 'compose_email.yaml'), 'utf8').replaceAll(
  /timeout_ms: \d+/g,
  'timeout_ms: 3600000',
);
const john = { contact: 'contact:john', name: 'John', email: 'john@acme.example', confidence: 1, trust: 'trusted' };
const traceId = (): TraceId => randomBytes(16).toString('hex') as TraceId;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Action = { readonly action: string; readonly hash: string; readonly call: string; readonly run: string };

/** A mail server in a process of its own, and the ids of the messages that it took. */
async function post(): Promise<AsyncDisposable & { readonly port: number; readonly taken: string[] }> {
  const child = spawn(process.execPath, [join(root, 'packages/daemon/test/smtp-main.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const taken: string[] = [];
  const { promise, resolve } = Promise.withResolvers<number>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as { port?: number; text?: string };
    if (said.port !== undefined) resolve(said.port);
    else taken.push(/^Message-ID:\s+<([^@]+)@/im.exec(said.text ?? '')?.[1] ?? '?');
  });
  const port = await promise;
  return {
    port,
    taken,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

async function start(home: string): Promise<{ readonly process: ChildProcess; readonly socket: string }> {
  const child = spawn(join(root, 'bin/runloopd'), ['--home', home], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  const [line] = (await once(child.stdio[3] as Readable, 'data')) as [Buffer];
  const { ready, socket } = JSON.parse(line.toString()) as { ready: boolean; socket: string };
  expect(ready).toBe(true);
  return { process: child, socket };
}

/** The people: one who submits until told that it is accepted, one who answers what is asked. Errors are the crash's. */
class People {
  readonly asked = new Set<TraceId>();
  readonly over = new Set<TraceId>();
  readonly #sent: (id: string) => boolean;

  constructor(sent: (id: string) => boolean) {
    this.#sent = sent;
  }

  async turn(client: Client, more: boolean): Promise<void> {
    if (more && this.asked.size - this.over.size < crowd) this.asked.add(traceId());
    for (const id of this.asked) {
      if (this.over.has(id)) continue;
      const source = { file: 'compose_email.yaml', text, params: {}, on_confirm: 'wait', priority: 0 };
      const submitted = await client.call('run.submit', source, { traceId: id });
      if (!submitted.ok) continue;
      const shown = await client.call('run.show', { trace_id: id });
      if (shown.ok && /succeeded|failed|cancelled/.test(String((shown.value as { state?: string }).state)))
        this.over.add(id);
    }
    const waiting = await client.call('action.list', {});
    for (const { action, hash, call } of waiting.ok ? (waiting.value as { actions: Action[] }).actions : []) {
      const [about = '', again] = call.split('/');
      // Whoever is asked whether a letter went out looks into the server's books.
      const decision = again !== undefined && this.#sent(about) ? 'done' : 'approve';
      await client.call('action.decide', { action, hash, decision }, { traceId: traceId() });
    }
  }
}

test('killed a hundred times', { timeout: 600_000, retry: 0 }, async () => {
  await using home = new Home();
  await using server = await post();
  const transport = { host: '127.0.0.1', port: server.port, security: 'none-loopback-only' };
  writeFileSync(join(home.path, 'config.yaml'), JSON.stringify({ mail: { from: 'me@localhost', transport } }));
  const people = new People((id) => server.taken.includes(id));
  const session = async (socketPath: string): Promise<Client | undefined> => {
    const deps = { clock: systemClock, random: systemRandom };
    const token = readFileSync(join(home.path, 'operator.token'), 'utf8').trim();
    const made = await connect({ ...deps, socketPath, kind: 'sdk', name: 'kill', token });
    return made.ok ? made.value : undefined;
  };
  const first = traceId();
  let known = false;
  for (let life = 0; life <= kills; life += 1) {
    const daemon = await start(home.path);
    const gone = once(daemon.process, 'exit');
    const last = life === kills;
    const killed = new AbortController();
    if (!last)
      void sleep(Math.random() ** 2 * 1500).then(() => {
        killed.abort();
        daemon.process.kill('SIGKILL');
      });
    const goesOn = (): boolean => (last ? people.over.size < people.asked.size : !killed.signal.aborted);
    const client = await session(daemon.socket);
    if (client !== undefined) {
      while (goesOn()) {
        // Nobody writes to John before it is answered that he is known.
        known ||= (await client.call('kb.propose', { kind: 'contact.upserted', payload: john }, { traceId: first })).ok;
        if (known) await people.turn(client, !last);
        await sleep(5);
      }
      await client[Symbol.asyncDispose]();
    }
    if (last) daemon.process.kill('SIGTERM');
    await gone;
  }
  const db = new Database(join(home.path, 'pog', 'events.sqlite'), { readonly: true });
  type Row = { readonly trace: string; readonly kind: string; readonly meta: string; readonly seq: number | null };
  const rows = db
    .prepare<[], Row>(
      "SELECT lower(hex(trace_id)) AS trace, kind, payload_json ->> '$.meta' AS meta, run_seq AS seq FROM events WHERE trace_id IS NOT NULL ORDER BY id",
    )
    .all();
  db.close();
  const runs = Map.groupBy(rows, ({ trace }) => trace);
  let recovered = 0;
  let letters = 0;
  for (const id of people.asked) {
    const own = runs.get(id) ?? [];
    const of = (kind: string): { readonly [key: string]: unknown }[] =>
      own.filter((row) => row.kind === kind).map(({ meta }) => JSON.parse(meta ?? '{}') as { [key: string]: unknown });
    expect(of('run.finished').map(({ state, reason }) => [state, reason])).toEqual([['succeeded', undefined]]);
    const seqs = own.flatMap(({ seq }) => (seq === null ? [] : [seq]));
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    const calls = of('action.requested').map(({ call }) => call);
    expect(new Set(calls).size).toBe(calls.length);
    recovered += of('run.recovered').length;
    letters += of('email.sent').length;
  }
  expect(new Set(server.taken).size).toBe(server.taken.length);
  expect(server.taken).toHaveLength(people.asked.size);
  process.stdout.write(
    `kill -9: ${kills} times, ${people.asked.size} runs, taken up again ${recovered} times, ${server.taken.length} letters, ${letters} of them told\n`,
  );
  expect(recovered).toBeGreaterThan(kills / 4);
  const { code, out, err } = await home.rlp('kb', 'verify');
  expect({ code, out, err }).toMatchObject({ code: 0 });
});
