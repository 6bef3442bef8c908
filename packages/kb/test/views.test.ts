/** The views: what events project to, that they can be dropped and rebuilt, and what reads show to whom. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type JsonObject, type JsonValue, unwrap } from '@runloop/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EventDraft, Kb, StateDelta } from '../src/index.ts';
import { evidenceMax, readRowsMax, searchHitsMax } from '../src/limits.ts';
import { draft, open, runEvent, tempDir, trace } from './kb-kit.ts';

const john: JsonObject = {
  contact: 'contact:john',
  name: 'John Smith',
  email: 'john@acme.com',
  org: 'Acme',
  confidence: 0.9,
  trust: 'trusted',
  notes: 'ask john@acme.com',
};
const contact = (more: JsonObject = {}): EventDraft =>
  draft({ kind: 'contact.upserted', payload: { ...john, ...more } });
const digest = 'e'.repeat(64);

const aRun: readonly EventDraft[] = [
  runEvent(
    'run.accepted',
    {
      name: 'compose_email',
      params: { to: 'John' },
      agents: { writer: 'd1' },
      actor: 'user:me',
      priority: 'normal',
      seed: 7,
    },
    1,
  ),
  runEvent('run.started', {}, 2),
  runEvent('node.ready', { node: 'write' }, 3),
  runEvent('node.started', { node: 'write', attempt: 1, agent: 'writer', inputs: 'f'.repeat(64) }, 4),
  runEvent('effect.intent', {
    node: 'write',
    attempt: 1,
    index: 0,
    call: 'c1',
    op: 'model.complete',
    class: 'idempotent',
    args_hash: 'h',
  }),
  runEvent(
    'model.called',
    {
      node: 'write',
      model: 'm1',
      provider: 'p1',
      tokens_in: 10,
      tokens_out: 5,
      usd_nano: 700,
      cache: 'miss',
      latency_ms: 1.5,
    },
    5,
  ),
  runEvent('effect.result', { node: 'write', attempt: 1, index: 0, call: 'c1', op: 'model.complete', value: 'x' }),
  runEvent(
    'action.requested',
    { action: 'act_1', node: 'write', op: 'mail.send', hash: 'h1', what: 'send it', args: { to: 'j' }, expires_ms: 9 },
    6,
  ),
  runEvent('node.waiting', { node: 'write', attempt: 1, for: 'approval', action: 'act_1' }, 7),
  runEvent('action.decided', { action: 'act_1', decision: 'approve', hash: 'h1', by: 'user:me' }, 8),
  runEvent('artifact.created', { node: 'write', port: 'draft', type: 'text', digest, bytes: 12 }, 9),
  runEvent(
    'node.finished',
    {
      node: 'write',
      attempt: 1,
      state: 'succeeded',
      outputs: { draft: [{ type: 'text', digest }] },
      duration_ms: 5,
      fuel: 1,
      memory_bytes: 2,
    },
    10,
  ),
  runEvent('run.finished', { state: 'succeeded', duration_ms: 9, tokens: 15, usd_nano: 700 }, 11),
];

const filled = async (kb: Kb, drafts: readonly EventDraft[]): Promise<void> => {
  unwrap(await kb.append(drafts), 'an append');
};

describe('a run', () => {
  test('is a row, with its nodes, effects, approvals, costs and artifacts', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(kb, aRun.slice(0, 9));
    expect(unwrap(await kb.openRuns(), 'open runs')).toEqual([trace]);
    expect(unwrap(await kb.approvals({ pending: true }), 'approvals')).toMatchObject([
      { action: 'act_1', state: 'pending', what: 'send it', hash: 'h1' },
    ]);
    expect(unwrap(await kb.run(trace), 'the run').nodes).toMatchObject([
      { node: 'write', state: 'waiting', waits_for: 'approval', action: 'act_1' },
    ]);
    await filled(kb, aRun.slice(9));
    expect(unwrap(await kb.openRuns(), 'open runs')).toEqual([]);
    expect(unwrap(await kb.approvals({ pending: true }), 'approvals')).toEqual([]);
    expect(unwrap(await kb.approvals({ action: 'act_1' }), 'approvals')).toMatchObject([
      { state: 'approved', decided_by: 'user:me' },
    ]);
    expect(unwrap(await kb.run(trace), 'the run')).toMatchObject({
      run: {
        name: 'compose_email',
        state: 'succeeded',
        actor: 'user:me',
        tokens: 15,
        usd_nano: 700,
        params_json: '{"to":"John"}',
      },
      nodes: [{ node: 'write', state: 'succeeded', agent: 'writer', attempt: 1, waits_for: null }],
    });
    expect(unwrap(await kb.effects(trace, 10), 'effects')).toMatchObject([
      { call: 'c1', state: 'done', class: 'idempotent' },
    ]);
    expect(unwrap(await kb.costs({ by: 'model', max: 10 }), 'costs').rows).toMatchObject([
      { key: 'p1:m1', calls: 1, tokens_in: 10, tokens_out: 5, usd_nano: 700 },
    ]);
    expect(unwrap(await kb.artifacts({ traceId: trace, max: 5 }), 'artifacts')).toMatchObject([
      { digest, node: 'write', port: 'draft', bytes: 12 },
    ]);
    expect(unwrap(await kb.runs({ max: 5, state: 'succeeded' }), 'runs')).toHaveLength(1);
    expect(unwrap(await kb.runs({ max: 5, state: 'failed' }), 'runs')).toEqual([]);
    expect(await kb.run('0'.repeat(32))).toMatchObject({ ok: false, error: { code: 'NotFound' } });
  });
});

describe('A5: every view can be dropped and rebuilt', () => {
  test.each([
    ['no database', () => Buffer.alloc(50_000, 7)],
    [
      'a database whose first page is torn',
      (was: Buffer) => Buffer.concat([was.subarray(0, 100), Buffer.alloc(was.length - 100, 7)]),
    ],
    ['nothing', () => Buffer.alloc(0)],
  ])('from a file that is %s', async (_, broken) => {
    using dir = tempDir();
    const path = join(dir.path, 'pog.sqlite');
    {
      await using kb = await open(dir.path);
      await kb.append([draft({ kind: 'fact.asserted', payload: { subject: 's', predicate: 'p', object: 'o' } })]);
      unwrap(await kb.find({ kind: 'fact', max: 10, raw: true }), 'facts');
    }
    const was = readFileSync(path);
    rmSync(`${path}-wal`, { force: true });
    writeFileSync(path, broken(was));
    await using kb = await open(dir.path);
    expect(unwrap(await kb.find({ kind: 'fact', max: 10, raw: true }), 'facts')).toHaveLength(1);
  });

  const name = fc.constantFrom('a', 'b', 'c');
  const word = fc.constantFrom('x', 'y', 'mail x@y.org', 'ü');
  const traces = fc.constantFrom(trace, 'cd'.repeat(16));
  const event: fc.Arbitrary<EventDraft> = fc.oneof(
    fc.record({ n: name, w: word }).map(({ n, w }) =>
      draft({
        kind: 'contact.upserted',
        payload: { contact: `contact:${n}`, name: w, confidence: 0.5, trust: 'low' },
      }),
    ),
    name.map((n) => draft({ kind: 'contact.removed', payload: { contact: `contact:${n}` } })),
    fc
      .record({ n: name, w: word, who: name, from: fc.option(fc.nat(9)), to: fc.option(fc.nat(9)) })
      .map(({ n, w, who, from, to }) => {
        const valid = { ...(from === null ? {} : { valid_from: from }), ...(to === null ? {} : { valid_to: to }) };
        return draft({
          actor: who,
          kind: 'fact.asserted',
          payload: { subject: n, predicate: 'p', object: w, ...valid },
        });
      }),
    fc.record({ n: name, t: traces }).map(({ n, t }) =>
      draft({
        kind: 'subject.forgotten',
        payload: { subject: n, events: [], runs: [{ trace_id: t, state: 'failed' }] },
      }),
    ),
    fc.constantFrom('ledger.restored', 'backup.created', 'schema.migrated').map((kind) => draft({ kind, payload: {} })),
    name.map((n) => draft({ kind: 'fact.retracted', payload: { subject: n, predicate: 'p' } })),
    fc.record({ n: name, m: name }).map(({ n, m }) =>
      draft({
        kind: 'edge.asserted',
        payload: { subject: n, relation: 'r', object: m, valid_from: n === 'a' ? 1 : m.length + 1 },
      }),
    ),
    fc
      .record({ n: name, m: name })
      .map(({ n, m }) => draft({ kind: 'edge.retracted', payload: { subject: n, relation: 'r', object: m } })),
    fc.record({ n: name, w: word }).map(({ n, w }) => draft({ kind: 'note.created', payload: { entity: n, text: w } })),
    fc.record({ e: fc.constantFrom(...aRun), t: traces }).map(({ e, t }) => ({ ...e, trace_id: t })),
    fc
      .record({
        e: fc.constantFrom(...aRun),
        meta: fc.dictionary(name, fc.oneof(fc.integer(), word, fc.constant(null))),
      })
      .map(({ e, meta }) => ({ ...e, payload: { meta } })),
    fc.constant(draft({ kind: 'of.a.newer.version', payload: { anything: [1, { deep: true }] } })),
  );
  test('over random events, hash by hash, also when they were projected in pieces', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 60 }), async (events) => {
        await filled(kb, events.slice(0, events.length / 2));
        unwrap(await kb.stats(), 'a read that catches up');
        await filled(kb, events.slice(events.length / 2));
        const rebuilt = unwrap(await kb.rebuild(), 'a rebuild');
        expect(rebuilt.after).toEqual(rebuilt.before);
        expect(rebuilt.equal).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['dirty', (path: string) => sql(path, 'UPDATE meta SET dirty = 1; DELETE FROM contacts')],
    ['of another version', (path: string) => sql(path, 'UPDATE meta SET schema_version = 0; DROP TABLE contacts')],
    [
      'of another ledger',
      (path: string) => sql(path, 'UPDATE materializer_state SET chain = zeroblob(32); DELETE FROM contacts'),
    ],
    ['behind', (path: string) => sql(path, 'UPDATE materializer_state SET watermark = 0; DELETE FROM contacts')],
  ])('views that are %s grow again at the next opening', async (_, harm) => {
    using dir = tempDir();
    {
      await using kb = await open(dir.path);
      await filled(kb, [contact()]);
      expect(unwrap(await kb.find({ kind: 'contact', max: 5 }), 'contacts')).toHaveLength(1);
    }
    harm(join(dir.path, 'pog.sqlite'));
    await using kb = await open(dir.path);
    expect(unwrap(await kb.find({ kind: 'contact', max: 5 }), 'contacts')).toHaveLength(1);
  });

  test('views that are deleted while they are open grow again at the next question', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(kb, [contact()]);
    expect(unwrap(await kb.find({ kind: 'contact', max: 5 }), 'contacts')).toHaveLength(1);
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(dir.path, `pog.sqlite${suffix}`));
    expect(unwrap(await kb.query('SELECT count(*) FROM contacts'), 'rows').rows).toEqual([[1]]);
    expect(unwrap(await kb.find({ kind: 'contact', max: 5 }), 'contacts')).toHaveLength(1);
  });

  test('A9: unknown kinds and shapes are kept on the ledger and skipped by the views', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(kb, [
      runEvent('run.teleported', { to: 'mars' }, 1),
      draft({ kind: 'contact.upserted', payload: { contact: 7, name: [] } }),
      contact({ of_a_newer_version: true }),
    ]);
    expect(unwrap(await kb.runEvents({ traceId: trace, max: 5 }), 'events').events).toMatchObject([
      { kind: 'run.teleported', payload: { meta: { to: 'mars' } } },
    ]);
    expect(unwrap(await kb.find({ kind: 'contact', max: 5 }), 'contacts')).toHaveLength(1);
    expect(unwrap(await kb.verify(), 'a check').first_bad).toBeUndefined();
  });
});

function sql(path: string, text: string): void {
  const db = new Database(path);
  db.exec(text);
  db.close();
}

describe('reading', () => {
  test('addresses are redacted on every path unless raw is asked for', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(kb, [
      contact(),
      draft({ payload: { entity: 'contact:john', text: 'write to john@acme.com' } }),
      draft({
        kind: 'fact.asserted',
        payload: { subject: 'contact:john', predicate: 'email', object: 'john@acme.com' },
      }),
    ]);
    const paths = async (raw: boolean): Promise<string[]> =>
      (
        await Promise.all([
          kb.find({ kind: 'contact', max: 5, raw }),
          kb.find({ kind: 'note', max: 5, raw }),
          kb.find({ kind: 'fact', max: 5, raw }),
          kb.search({ text: 'john', max: 5, raw }),
          kb.why('contact:john', raw),
          kb.blame('contact:john', 'email', raw),
        ])
      ).map((answer) => JSON.stringify(unwrap<unknown, unknown>(answer, 'a read')));
    for (const text of await paths(true)) expect(text).toContain('john@acme.com');
    for (const text of await paths(false)) {
      expect(text).not.toContain('john@acme.com');
      expect(text).toContain('j***@acme.com');
    }
  });

  test('search ranks, filters by kind, names its source events, and takes any text', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(kb, [
      contact(),
      draft({ payload: { text: 'Smith likes trains' } }),
      contact({ org: 'Initech' }),
      draft({ kind: 'contact.removed', payload: { contact: 'contact:gone' } }),
    ]);
    const entities = async (text: string, kinds?: readonly string[]): Promise<string[]> =>
      unwrap(await kb.search({ text, max: 10, kinds }), 'hits').hits.map(({ entity }) => entity);
    expect((await entities('smith')).sort()).toEqual(['contact:john', 'note:2']);
    expect(await entities('smith', ['note'])).toEqual(['note:2']);
    expect(await entities('initech')).toEqual(['contact:john']);
    expect(await entities('acme')).toEqual(['contact:john']);
    expect(await entities('"NEAR( * -- OR')).toEqual([]);
    expect(unwrap(await kb.search({ text: 'initech', max: 5 }), 'hits').hits[0]?.source_events).toEqual([1, 3]);
  });

  test('A10: rows and hits of one answer are bounded', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(
      kb,
      Array.from({ length: readRowsMax + 5 }, (_, i) => draft({ payload: { text: `word ${i}` } })),
    );
    expect(unwrap(await kb.find({ kind: 'note', max: 1e9 }), 'notes')).toHaveLength(readRowsMax);
    expect(unwrap(await kb.search({ text: 'word', max: 1e9 }), 'hits').hits).toHaveLength(searchHitsMax);
  });

  test('why follows evidence and runs to the root; blame names who set a field', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(kb, aRun);
    const learned = unwrap(
      await kb.propose(
        { kind: 'contact.upserted', payload: john, evidence: [11] },
        {
          actor: 'agent:writer',
          scope: 'user',
          kb_write: ['contacts'],
          provenance: { run: trace, node: 'write', agent: 'writer', model: 'm1' },
        },
      ),
      'a proposal',
    );
    await filled(kb, [contact({ org: 'Initech' })]);
    const ladder = unwrap(await kb.why('contact:john'), 'a ladder');
    expect(ladder.steps.filter(({ depth }) => depth === 0).map(({ id }) => id)).toEqual([
      learned.event_id,
      learned.event_id + 1,
    ]);
    expect(ladder.steps.find(({ id }) => id === learned.event_id)).toMatchObject({
      agent: 'writer',
      model: 'm1',
      run: trace,
      evidence: [11],
    });
    expect(ladder.steps.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['artifact.created', 'model.called', 'node.started', 'run.accepted']),
    );
    expect(unwrap(await kb.blame('contact:john', 'org'), 'blame')).toMatchObject({
      value: 'Initech',
      event: { id: learned.event_id + 1 },
    });
    expect(unwrap(await kb.blame('contact:john', 'name'), 'blame')).toMatchObject({ event: { id: learned.event_id } });
    expect(unwrap(await kb.why(`artifact:${digest}`), 'a ladder').steps.at(-1)?.depth).toBeGreaterThan(0);
    expect(await kb.why('contact:nobody')).toMatchObject({ ok: false, error: { code: 'NotFound' } });
  });
});

describe('proposals', () => {
  const check = async (
    delta: StateDelta,
    rule: string | undefined,
    kb_write: boolean | readonly string[] = true,
  ): Promise<void> => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    const answer = await kb.propose(delta, { actor: 'agent:a', scope: 'user', kb_write });
    if (rule === undefined) expect(answer).toMatchObject({ ok: true, value: { event_id: 1 } });
    else expect(answer).toMatchObject({ ok: false, error: { details: { rule } } });
    expect(unwrap(await kb.stats(), 'stats').events).toBe(rule === undefined ? 1 : 0);
  };
  test.each<[string, StateDelta, string | undefined, (boolean | readonly string[])?]>([
    ['a contact', { kind: 'contact.upserted', payload: john }, undefined],
    ['a contact, with the domain', { kind: 'contact.upserted', payload: john }, undefined, ['contacts']],
    ['members of a newer version', { kind: 'contact.upserted', payload: { ...john, later: 1 } }, undefined],
    ['a contact without the domain', { kind: 'contact.upserted', payload: john }, 'kb_write', ['facts']],
    ['a contact without any grant', { kind: 'contact.upserted', payload: john }, 'kb_write', false],
    ['an unknown kind', { kind: 'run.finished', payload: {} }, 'kind'],
    ['a kind of Object', { kind: 'constructor', payload: {} }, 'kind'],
    ['confidence over 1', { kind: 'contact.upserted', payload: { ...john, confidence: 2 } }, 'schema'],
    ['no contact', { kind: 'contact.upserted', payload: { name: 'x' } }, 'schema'],
    ['an address that is none', { kind: 'contact.upserted', payload: { ...john, email: 'x' } }, 'schema'],
    ['a scope outside', { kind: 'note.created', payload: { text: 'x' }, scope: 'system' }, 'scope'],
    ['a scope inside', { kind: 'note.created', payload: { text: 'x' }, scope: 'user/mine' }, undefined],
    ['evidence that is not there', { kind: 'note.created', payload: { text: 'x' }, evidence: [4] }, 'evidence'],
    [
      'A10: too much evidence',
      { kind: 'note.created', payload: { text: 'x' }, evidence: Array.from({ length: evidenceMax + 1 }, () => 1) },
      'evidence',
    ],
    [
      'A10: more levels than can be shown again',
      {
        kind: 'note.created',
        payload: { text: 'x', deep: Array.from({ length: 60 }).reduce<JsonValue>((inner) => [inner], 1) },
      },
      'schema',
    ],
    [
      'A10: too large',
      { kind: 'fact.asserted', payload: { subject: 'a', predicate: 'b', object: 'x'.repeat(20_000) } },
      'size',
    ],
  ])('%s', (_, delta, rule, kb_write) => check(delta, rule, kb_write));
});

describe('the operator’s SQL', () => {
  test('reads the views, and nothing else is answered', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await filled(kb, [contact()]);
    expect(unwrap(await kb.query(`SELECT name, 'it''s -- fine' FROM contacts`), 'rows')).toEqual({
      columns: ['name', `'it''s -- fine'`],
      rows: [['John Smith', `it's -- fine`]],
      truncated: false,
    });
    expect(
      unwrap(
        await kb.query(
          `SELECT d.entity FROM search_fts JOIN search_docs d ON d.id = search_fts.rowid WHERE search_fts MATCH 'smith'`,
        ),
        'rows',
      ).rows,
    ).toEqual([['contact:john']]);
    expect(
      unwrap(await kb.query(`SELECT 9007199254740993, 'a pragma_x', "name" FROM contacts /* '`), 'rows').rows,
    ).toEqual([['9007199254740993', 'a pragma_x', 'John Smith']]);
    const long = unwrap(
      await kb.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i FROM n'),
      'rows',
    );
    expect([long.rows.length, long.truncated]).toEqual([10_000, true]);
    for (const refused of [
      'DELETE FROM contacts',
      'PRAGMA table_info(contacts)',
      `ATTACH 'x' AS y`,
      'SELECT 1; SELECT 2',
      'SELECT * FROM pragma_table_info(1)',
      'SELECT * FROM "pragma_table_list"',
      'SELECT * FROM search_fts_data',
      `SELECT * FROM 'search_fts_data'`,
      `SELECT * FROM 'pragma_database_list'`,
      `SELECT 1 AS "'", * FROM pragma_database_list AS "'"`,
      'SELECT zeroblob(20000000)',
      `SELECT load_extension('x')`,
      `WITH x AS (SELECT 1) DELETE FROM contacts`,
      'SELECT',
      '',
      `INSERT INTO contacts(contact) VALUES ('x') RETURNING *`,
    ]) {
      expect([refused, await kb.query(refused)]).toMatchObject([refused, { ok: false, error: { code: 'Usage' } }]);
    }
  });

  test('a query without end is killed', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    expect(
      await kb.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n'),
    ).toMatchObject({ ok: false, error: { code: 'DeadlineExceeded' } });
    expect((await kb.append([draft()])).ok).toBe(true);
  });
});

test('the views thread rests, and what was appended meanwhile is there when it is asked again', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path, { viewsIdleMs: 1 });
  for (let i = 0; i < 5; i += 1) {
    unwrap(await kb.append([draft({ payload: { text: `round ${i}` } })]), 'an append');
    await new Promise((resolve) => {
      setTimeout(resolve, 30);
    });
    expect(unwrap(await kb.find({ kind: 'note', max: 10 }), 'notes')).toHaveLength(i + 1);
  }
});
