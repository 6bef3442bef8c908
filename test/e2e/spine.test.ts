/**
 * The spine, from the prompt to the ledger and back: rlp, the daemon, the cells, the knowledge base, replay. A6, A11, A12.
 */
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { Home } from './home.ts';

const compose = ['examples/openings/compose_email.yaml', '--params', '{"recipient":"john","topic":"Q4 plan"}'];
const john = JSON.stringify({
  contact: 'contact:john',
  name: 'John',
  email: 'john@acme.example',
  confidence: 1,
  trust: 'trusted',
});

test('compose_email runs from run.accepted to run.finished without a gap, is asked about once, and replays equal', async () => {
  await using home = new Home();
  await home.rlp('kb', 'propose', '--kind', 'contact.upserted', '--payload', john);
  const { code, events } = await home.run(compose, home.approve);
  expect(code).toBe(0);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  expect(events[0]?.kind).toBe('run.accepted');
  expect(events.at(-1)).toMatchObject({ kind: 'run.finished', meta: { state: 'succeeded' } });
  expect(events.filter((event) => event.kind === 'action.requested')).toHaveLength(1);

  const trace = events[0]?.trace_id ?? '';
  const artifact = events.find((event) => event.kind === 'artifact.created')?.meta['digest'];
  const why = await home.json<{ steps: { kind: string; actor: string }[] }>(
    'kb',
    'why',
    `artifact:${String(artifact)}`,
  );
  expect(why.steps).toContainEqual(expect.objectContaining({ kind: 'contact.upserted', actor: 'operator' }));
  expect((await home.rlp('kb', 'verify')).code).toBe(0);

  // A follower that comes late sees the same events.
  const late = await home.rlp('attach', trace, '--ndjson');
  expect(
    late.out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { seq: number }).seq),
  ).toEqual(events.map((event) => event.seq));

  const live = await home.json<{ equal: boolean }>('replay', trace);
  expect(live.equal).toBe(true);
  await home.rlp('daemon', 'stop');
  // A dry run: drafted, not sent.
  const ledger = new Database(join(home.path, 'pog', 'events.sqlite'), { readonly: true });
  const kinds = ledger.prepare("SELECT kind FROM events WHERE kind LIKE 'email.%'").pluck().all();
  ledger.close();
  expect(kinds).toEqual(['email.drafted']);
  const replayed = await home.rlp('replay', trace);
  expect(replayed).toMatchObject({ code: 0, out: expect.stringContaining('replay: equal') });
});

test('what nobody approves is not sent: --on-confirm deny fails the run, exit 77', async () => {
  await using home = new Home();
  const { code, events, err } = await home.run([...compose, '--on-confirm', 'deny']);
  expect(code).toBe(77);
  expect(err).not.toContain('waits for your answer');
  expect(events.find((event) => event.kind === 'action.decided')?.meta).toMatchObject({
    decision: 'deny',
    by: 'on_confirm',
  });
  expect(
    await home.json('kb', 'query', "select 1 from effects where op = 'mail.send' and state = 'done'"),
  ).toMatchObject({ rows: [] });
});

test('a changed tape is named at the first node and call that differ', async () => {
  await using home = new Home({ replays: false });
  const { events } = await home.run([...compose, '--on-confirm', 'deny']);
  const trace = events[0]?.trace_id ?? '';
  await home.rlp('daemon', 'stop');
  const db = new Database(join(home.path, 'pog', 'events.sqlite'));
  db.exec("SELECT name FROM sqlite_master WHERE type = 'trigger'");
  for (const { name } of db
    .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    .all())
    db.exec(`DROP TRIGGER ${name}`);
  const row = db
    .prepare<[], { id: number; payload_json: string }>(
      "SELECT id, payload_json FROM events WHERE kind = 'effect.result' AND payload_json LIKE '%kb.search%' LIMIT 1",
    )
    .get();
  db.prepare('UPDATE events SET payload_json = ? WHERE id = ?').run(
    row?.payload_json.replace('"args_hash":"', '"args_hash":"0'),
    row?.id,
  );
  db.close();
  const report = await home.rlp('replay', trace, '--json');
  expect(report.code).toBe(1);
  expect(JSON.parse(report.out)).toMatchObject({ equal: false, divergence: { node: 'context', call: 1 } });
  const verified = await home.rlp('kb', 'verify', '--json');
  expect(verified.code).toBe(69);
  expect(verified.out + verified.err).toContain(String(row?.id));
});

test('--local runs without a daemon and gives way to one that runs', async () => {
  await using home = new Home();
  const alone = await home.rlp('run', 'hello', '--local', '--ndjson');
  expect(alone.code).toBe(0);
  expect((await home.rlp('daemon', 'status')).code).toBe(69);
  await home.rlp('daemon', 'start');
  const refused = await home.rlp('run', 'hello', '--local');
  expect(refused).toMatchObject({ code: 75, err: expect.stringContaining('leave --local out') });
});

test('detach, show, runs and cancel', async () => {
  await using home = new Home();
  const detached = await home.rlp('run', ...compose, '--detach');
  const trace = detached.out.trim();
  expect(trace).toMatch(/^[0-9a-f]{32}$/);
  await home.rlp('cancel', trace);
  const { code } = await home.rlp('attach', trace, '--ndjson');
  expect(code).toBe(1);
  const shown = await home.json<{
    trace_id: string;
    state: string;
    nodes: { id: string; state: string; attempts: number }[];
  }>('show', trace);
  expect(shown).toMatchObject({ trace_id: trace, state: 'cancelled' });
  expect(shown.nodes.map((node) => node.id)).toEqual(['contacts', 'context', 'draft', 'review', 'send']);
  expect(await home.json<unknown[]>('runs')).toHaveLength(1);
});

test('pause holds a run, step lets one node through, resume the rest', async () => {
  await using home = new Home();
  writeFileSync(join(home.path, 'slow.yaml'), chain(3, 1500));
  const { code, events } = await home.run([join(home.path, 'slow.yaml')], async (event) => {
    if (event.kind === 'node.started' && event.meta['node'] === 'n0') await home.rlp('pause', event.trace_id);
    if (event.kind === 'node.ready' && event.meta['node'] === 'n1') {
      const shown = await home.json<{ state: string }>('show', event.trace_id);
      expect(shown.state).toBe('paused');
      await home.rlp('step', event.trace_id);
    }
    if (event.kind === 'node.ready' && event.meta['node'] === 'n2') await home.rlp('resume', event.trace_id);
  });
  expect(code).toBe(0);
  expect(events.map((event) => event.kind)).toContain('run.paused');
});

function chain(nodes: number, calls: number): string {
  const list = Array.from(
    { length: nodes },
    (_, i) => `  - { id: n${i}, use: "agent:slow", with: { calls: ${calls} } }`,
  ).join('\n');
  const edges = Array.from({ length: nodes - 1 }, (_, i) => `  - { from: n${i}.out, to: n${i + 1}.in }`).join('\n');
  return `version: 0\nname: slow\nnodes:\n${list}\nedges:\n${edges}\n`;
}

describe('a crash in the middle of a run', () => {
  test.each([
    ['SIGKILL', 1],
    ['SIGKILL', 2],
    ['SIGKILL', 3],
    ['SIGTERM', 2],
  ] as const)(
    '%s while node %i works: after a restart the run ends by itself, and what had succeeded did not run again',
    async (signal, at) => {
      await using home = new Home();
      writeFileSync(join(home.path, 'slow.yaml'), chain(5, 80));
      let hit = false;
      const first = await home.run([join(home.path, 'slow.yaml')], async (event) => {
        if (hit || event.kind !== 'node.started' || event.meta['node'] !== `n${at}`) return;
        hit = true;
        await home.kill(signal);
      });
      const trace = first.events[0]?.trace_id ?? '';
      expect(hit).toBe(true);
      await home.rlp('daemon', 'start');
      const { code, out } = await home.rlp('attach', trace, '--ndjson');
      expect(code).toBe(0);
      const events = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { seq: number; kind: string; meta: { node?: string } });
      expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
      expect(events.map((event) => event.kind)).toContain('run.recovered');
      for (let node = 0; node < 5; node += 1) {
        expect(events.filter((event) => event.kind === 'node.finished' && event.meta.node === `n${node}`)).toHaveLength(
          1,
        );
        expect(events.filter((event) => event.kind === 'node.started' && event.meta.node === `n${node}`)).toHaveLength(
          1,
        );
      }
      expect(await home.json('replay', trace)).toMatchObject({ equal: true });
    },
  );

  test('kill -9 while a question is open: it is asked once, and the answer still counts', async () => {
    await using home = new Home();
    const detached = await home.rlp('run', ...compose, '--detach');
    const trace = detached.out.trim();
    let actions: { action: string }[] = [];
    for (let tries = 0; tries < 200 && actions.length === 0; tries += 1) actions = await home.json('approve');
    await home.kill();
    await home.rlp('daemon', 'start');
    const again = await home.json<{ action: string }[]>('approve');
    expect(again.map((action) => action.action)).toEqual(actions.map((action) => action.action));
    await home.rlp('approve', 'yes', actions[0]?.action ?? '');
    const { code, out } = await home.rlp('attach', trace, '--ndjson');
    expect(code).toBe(0);
    expect(out.split('"kind":"action.requested"')).toHaveLength(2);
  });
});

test('A11: nothing is written outside of the state directory', async () => {
  await using home = new Home();
  const elsewhere = mkdtempSync(join(tmpdir(), 'rl-'));
  const env = { HOME: elsewhere, TMPDIR: elsewhere, XDG_CACHE_HOME: elsewhere, XDG_CONFIG_HOME: elsewhere };
  expect((await home.rlpWith({ env, cwd: elsewhere }, 'run', 'hello')).code).toBe(0);
  expect((await home.rlpWith({ env, cwd: elsewhere }, 'daemon', 'stop')).code).toBe(0);
  expect(readdirSync(elsewhere, { recursive: true })).toEqual([]);
  rmSync(elsewhere, { recursive: true });
  expect(readFileSync(join(home.path, 'logs', 'daemon.log'), 'utf8')).toContain('"ready"');
});

test('Ctrl-C leaves an attached run alone, and cancels one that it started', async () => {
  await using home = new Home();
  writeFileSync(join(home.path, 'slow.yaml'), chain(2, 2000));
  const trace = (await home.rlp('run', join(home.path, 'slow.yaml'), '--detach')).out.trim();
  const looking = await home.interrupted('attach', trace, '--ndjson');
  expect(looking).toMatchObject({ code: 130, err: expect.stringContaining('the run goes on without you') });
  expect((await home.rlp('attach', trace, '--ndjson')).code).toBe(0);
  const started = await home.interrupted('run', join(home.path, 'slow.yaml'), '--ndjson');
  expect(started.code).toBe(130);
  expect(started.out).toContain('"state":"cancelled"');
});

test('a state directory can be moved', async () => {
  await using home = new Home();
  expect((await home.run(['hello'])).code).toBe(0);
  await home.rlp('daemon', 'stop');
  const moved = `${home.path}-moved`;
  renameSync(home.path, moved);
  const done = await home.rlpWith({ env: { RUNLOOP_HOME: moved } }, 'run', 'hello', '--local');
  renameSync(moved, home.path);
  expect(done.code).toBe(0);
});
