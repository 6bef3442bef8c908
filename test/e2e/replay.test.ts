/**
 * Replay: whatever is changed in a tape (a blob, an argument, an answer, a decision, a prompt, an agent) is named at the first
 * node and call, with both values; tapes travel as files; forks, retries, parallel, failed and cancelled runs come out equal.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonValue } from '@runloop/core';
import { tapeFileBytesMax } from '@runloop/daemon';
import { type FakeProvider, startFakeProvider } from '@runloop/testkit';
import { Home } from './home.ts';
import { agentDir } from './place.ts';

type Report = {
  readonly equal: boolean;
  readonly divergence?: { node: string; call?: number; what: string; recorded: JsonValue; replayed: JsonValue };
};
type Row = { id: number; payload_json: string };

const opening = `version: 0
name: played
params: { topic: tea }
nodes:
  - { id: contacts, use: "agent:contact_resolver", with: { query: john } }
  - { id: read, use: "agent:context_gatherer", with: { topic: "{{params.topic}}" } }
  - { id: draft, use: "agent:writer", with: { topic: "{{params.topic}}" } }
  - { id: review, use: "agent:critic" }
  - { id: send, use: "agent:mailer" }
edges:
  - { from: contacts.out, to: draft.recipients }
  - { from: read.out, to: draft.context }
  - { from: draft.out, to: review.draft }
  - { from: draft.out, to: send.draft }
  - { from: review.ok == true, to: send.review }
artifacts: { save: [draft.out] }
`;

let home: Home;
let model: FakeProvider;
let trace: string;
let pristine: string;
let file: string;

async function replay(...args: string[]): Promise<Report & { readonly code: number }> {
  const { code, out, err } = await home.rlp('replay', ...(args.length === 0 ? [trace] : args), '--json');
  if (out === '') throw new Error(err);
  return { code, ...(JSON.parse(out) as Report) };
}

beforeAll(async () => {
  [model, home] = [await startFakeProvider(), new Home({ replays: false })];
  const provider = { id: 'p', kind: 'http', base_url: model.url, auth: { type: 'none' }, clearance: 'private' };
  writeFileSync(
    join(home.path, 'config.yaml'),
    JSON.stringify({
      models: { default: 'm', broker: { providers: [provider], route: [{ pattern: '*', provider: 'p' }] } },
    }),
  );
  file = join(home.path, 'played.yaml');
  writeFileSync(file, opening);
  const { events, err } = await home.run([file], home.approve);
  expect(events.at(-1)?.kind, err).toBe('run.finished');
  trace = events[0]?.trace_id ?? '';
  await home.rlp('daemon', 'stop');
  pristine = `${home.path}-as-it-was`;
  cpSync(home.path, pristine, { recursive: true });
});

afterAll(async () => {
  rmSync(pristine, { recursive: true, force: true });
  await model[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

/** The ledger without its guards. */
function openLedger(): Disposable & { readonly db: Database.Database } {
  const db = new Database(join(home.path, 'pog', 'events.sqlite'));
  for (const { name } of db
    .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    .all())
    db.exec(`DROP TRIGGER ${name}`);
  return { db, [Symbol.dispose]: () => void db.close() };
}

/** Changes the one row of `kind` whose text has `having`, past its guards. */
function changeRow(kind: string, having: string, change: (text: string) => string): void {
  using writer = openLedger();
  const { db } = writer;
  const row = db
    .prepare<[string, string], Row>(
      'SELECT id, payload_json FROM events WHERE kind = ? AND instr(payload_json, ?) > 0 ORDER BY id',
    )
    .get(kind, having);
  if (row === undefined) throw new Error(`there is no ${kind} with ${having}`);
  expect(change(row.payload_json)).not.toBe(row.payload_json);
  db.prepare('UPDATE events SET payload_json = ? WHERE id = ?').run(change(row.payload_json), row.id);
}

/** What one event says, and the blob that it names under `of`. */
function changeBlob(kind: string, having: string, of: 'args' | 'value' | 'outputs'): void {
  const db = new Database(join(home.path, 'pog', 'events.sqlite'), { readonly: true });
  const row = db
    .prepare<[string, string], Row>(
      'SELECT id, payload_json FROM events WHERE kind = ? AND instr(payload_json, ?) > 0 ORDER BY id',
    )
    .get(kind, having);
  db.close();
  const { meta } = JSON.parse(row?.payload_json ?? '{}') as { meta: { [name: string]: unknown } };
  const digest = /[0-9a-f]{64}/.exec(JSON.stringify(meta[of]))?.[0] ?? '';
  const flipped = (bytes: Buffer): Buffer => {
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    return bytes;
  };
  const path = join(home.path, 'pog', 'blobs', digest.slice(0, 2), digest.slice(2));
  if (existsSync(path)) return writeFileSync(path, flipped(readFileSync(path)));
  using writer = openLedger();
  const key = Buffer.from(digest, 'hex');
  const bytes = writer.db.prepare<[Buffer], Buffer>('SELECT bytes FROM blobs WHERE digest = ?').pluck().get(key);
  writer.db.prepare('UPDATE blobs SET bytes = ? WHERE digest = ?').run(flipped(bytes ?? Buffer.alloc(0)), key);
}

function changeAgent(): void {
  const store = join(home.path, 'store');
  const dir = readdirSync(store).find((name) =>
    readFileSync(join(store, name, 'manifest.toml'), 'utf8').includes('"critic"'),
  );
  const wasm = join(store, dir ?? '', 'bin', 'critic.wasm');
  const bytes = readFileSync(wasm);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(wasm, bytes);
}

describe('what was changed is named at the first node and call, with both values', () => {
  test.each<[string, () => void, { node: string; call?: number; what: RegExp }]>([
    ['nothing', () => undefined, { node: '', what: /^$/ }],
    [
      'a byte of a prompt',
      () => changeBlob('effect.intent', 'model.complete', 'args'),
      { node: 'draft', call: 1, what: /host call 1: its arguments/ },
    ],
    [
      'a byte of a model answer',
      () => changeBlob('effect.result', 'model.complete', 'value'),
      { node: 'draft', call: 1, what: /host call 1: its answer/ },
    ],
    [
      'a byte of an output',
      () => changeBlob('node.finished', '"node":"send"', 'outputs'),
      { node: 'send', what: /the output port/ },
    ],
    [
      'an argument',
      () =>
        changeRow('effect.result', 'kb.search', (text) => text.replace('"args":{"json":{', '"args":{"json":{"x":1,')),
      { node: 'read', call: 1, what: /host call 1: its arguments/ },
    ],
    [
      'an answer',
      () => changeRow('effect.result', 'kb.search', (text) => text.replace('"hits":[]', '"hits":[{"excerpt":"x"}]')),
      { node: 'read', call: 1, what: /host call 1: event \d+ \(effect.result\)/ },
    ],
    [
      'a decision',
      () => changeRow('action.decided', 'approve', (text) => text.replace('"decision":"approve"', '"decision":"deny"')),
      { node: 'send', call: 1, what: /host call 1: the decision on it/ },
    ],
    [
      'who decided',
      () => changeRow('action.decided', 'approve', (text) => text.replace('"by":"', '"by":"x')),
      { node: 'send', call: 1, what: /host call 1: event \d+ \(action.decided\)/ },
    ],
    [
      'what a node was given',
      () => changeRow('run.accepted', 'played', (text) => text.replaceAll('"topic":"tea"', '"topic":"war"')),
      { node: 'read', call: 1, what: /host call 1/ },
    ],
    ['an agent', changeAgent, { node: 'review', what: /its agent critic/ }],
  ])('%s', async (_, change, expected) => {
    change();
    const report = await replay();
    for (const part of ['pog', 'store']) {
      rmSync(join(home.path, part), { recursive: true });
      cpSync(join(pristine, part), join(home.path, part), { recursive: true });
    }
    const { divergence } = report;
    expect({ code: report.code, node: divergence?.node ?? '', call: divergence?.call }).toEqual({
      code: expected.node === '' ? 0 : 1,
      node: expected.node,
      call: expected.call,
    });
    expect(divergence?.what ?? '').toMatch(expected.what);
    if (divergence !== undefined) expect(divergence.recorded).not.toEqual(divergence.replayed);
  });

  test('another prompt, by an opening that is tried against the tape', async () => {
    const other = join(home.path, 'other.yaml');
    writeFileSync(
      other,
      opening.replace(
        'use: "agent:writer", with: { topic: "{{params.topic}}"',
        'use: "agent:writer", with: { topic: "coffee"',
      ),
    );
    const { divergence } = await replay(trace, '--opening', other);
    expect(divergence).toMatchObject({ node: 'draft', call: 1, what: 'host call 1' });
    expect(JSON.stringify(divergence?.recorded)).toContain('tea');
    expect(JSON.stringify(divergence?.replayed)).toContain('coffee');
    writeFileSync(other, opening.replace('topic: "{{params.topic}}"', 'tpoic: "x"'));
    expect(await home.rlp('replay', trace, '--opening', other)).toMatchObject({
      code: 65,
      err: expect.stringContaining('tpoic'),
    });
  });
});

test('a tape travels as a file: its agents are those that are installed here, or it is said which are not', async () => {
  const tape = join(home.path, 'run.tape');
  expect(await home.rlp('replay', trace, '--export', tape)).toMatchObject({ code: 0 });
  expect(await replay(tape)).toMatchObject({ code: 0, equal: true });
  const whole = readFileSync(tape, 'utf8');
  const changed = whole.replace('"hits":[]', '"hits":[{"entity":"note:1","excerpt":"x"}]');
  expect(changed).not.toBe(whole);
  writeFileSync(tape, changed);
  expect(await replay(tape)).toMatchObject({ code: 1, divergence: { node: 'read', call: 1 } });
  writeFileSync(tape, whole.replaceAll('"outputs":{', '"outputs":7,"was":{'));
  expect((await home.rlp('replay', tape)).code).not.toBe(70);
  writeFileSync(tape, whole.replace('"ts_ms":', '"ts_ms":1e999,"was":'));
  expect(await home.rlp('replay', tape)).toMatchObject({ code: 65 });
  truncateSync(tape, tapeFileBytesMax + 1);
  expect(await home.rlp('replay', tape)).toMatchObject({ code: 75, err: expect.stringContaining('a tape may have') });
  writeFileSync(tape, whole);
  await using elsewhere = new Home({ bare: true, replays: false });
  const done = await elsewhere.rlp('replay', tape);
  expect(done).toMatchObject({
    code: 66,
    err: expect.stringMatching(/node "contacts" ran with agent contact_resolver [0-9a-f]{12}…/),
  });
  expect(existsSync(join(elsewhere.path, 'pog'))).toBe(false);
  expect(await home.rlp('replay', file)).toMatchObject({
    code: 65,
    err: expect.stringContaining('this is no line of a tape'),
  });
});

test('forks, parallel, failed, retried and cancelled runs come out equal', { timeout: 180_000 }, async () => {
  await using other = new Home();
  cpSync(agentDir('slow'), join(other.path, 'agents', 'slow'), { recursive: true });
  const wide = join(other.path, 'wide.yaml');
  const nodes = Array.from({ length: 8 }, (_, i) => `  - { id: n${i}, use: "agent:slow", with: { calls: ${i} } }`).join(
    '\n',
  );
  const retried =
    '  - { id: late, use: "agent:slow", with: { calls: 100000 }, timeout_ms: 300, retry: { max_attempts: 2, backoff_ms: 10 } }';
  writeFileSync(wide, `version: 0\nname: wide\npolicy: { max_parallel: 8 }\nnodes:\n${nodes}\n`);
  const failing = join(other.path, 'failing.yaml');
  writeFileSync(failing, `version: 0\nname: failing\nnodes:\n${nodes}\n${retried}\n`);
  const { events } = await other.run([wide]);
  expect(events.at(-1)?.meta['state']).toBe('succeeded');
  expect((await other.run([failing])).code).toBe(1);
  const fork = await other.rlp('fork', events[0]?.trace_id ?? '', '--at', 'n3', '--with', 'calls=5', '--ndjson');
  expect(fork).toMatchObject({ code: 0, out: expect.stringContaining('"forked_from"') });
  const stopped = await other.interrupted('run', failing, '--ndjson');
  expect(stopped.out).toContain('"state":"cancelled"');
  await other.rlp('daemon', 'stop');
  const all = await other.rlp('replay', '--all', '--json');
  expect((JSON.parse(all.out) as Report[]).map(({ equal }) => equal)).toEqual([true, true, true, true]);
});
