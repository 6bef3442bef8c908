/** The ledger: what is appended, what is refused, what tampering is found, what a broken disk answers. */
import { appendFileSync, closeSync, cpSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type JsonObject, digestBytes, unwrap, toHex } from '@runloop/core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBlake3 } from '../src/blake3.ts';
import { type EventDraft, type SignedHead, type Verified, type VerifyOptions, openKb } from '../src/index.ts';
import { appendEventsMax, appendsPendingMax, payloadBytesMax } from '../src/limits.ts';
import { packed } from '../src/ledger/batch.ts';
import { createLedgerDesk } from '../src/ledger/ledger-desk.ts';
import { prepare } from '../src/ledger/prepare.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import { deps, draft, newSigner, open, runEvent, tempDir, trace } from './kb-kit.ts';

const append = async (rootDir: string, drafts: readonly EventDraft[]): Promise<readonly number[]> => {
  await using kb = await open(rootDir);
  return unwrap(await kb.append(drafts), 'an append').map(({ id }) => id);
};

describe('append', () => {
  test('A6: what is answered is on disk, for another connection too, and ids count up', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    const answers = await Promise.all([kb.append([draft(), draft()]), kb.append([draft()])]);
    expect(answers.map((one) => unwrap(one, 'an append').map(({ id }) => id))).toEqual([[1, 2], [3]]);
    const other = new Database(join(dir.path, 'events.sqlite'), { readonly: true });
    expect(other.prepare('SELECT count(*) FROM events').pluck().get()).toBe(3);
    expect(other.pragma('journal_mode', { simple: true })).toBe('wal');
    other.close();
  });

  test('a dedupe key is answered with the first id, in one append, across appends and across restarts', async () => {
    using dir = tempDir();
    const keyed = draft({ dedupe_key: 'once' });
    expect(await append(dir.path, [draft(), keyed, keyed])).toEqual([1, 2, 2]);
    expect(await append(dir.path, [keyed, draft(), draft()])).toEqual([2, 3, 4]);
  });

  test('what comes while a transaction is written joins it, and shares its end', async () => {
    using dir = tempDir();
    const data = { rootDir: dir.path, eventsDb: join(dir.path, 'events.sqlite'), nowMs: 1 };
    const blake3 = await loadBlake3();
    const batch = (...texts: readonly string[]) => {
      const drafts = texts.map((text) => draft({ payload: { text }, dedupe_key: text.slice(0, 9) }));
      return packed(unwrap(prepare(drafts, []), 'events'), [], deps.random);
    };
    const other = (): unknown => {
      const db = new Database(data.eventsDb, { readonly: true });
      const count = db.prepare('SELECT count(*) FROM events').pluck().get();
      db.close();
      return count;
    };
    {
      using desk = createLedgerDesk(data, blake3, process.pid);
      const more = [batch('b', 'a'), batch(), batch('c')];
      const seen: unknown[] = [];
      const ids = unwrap(
        desk.commit(batch('a'), () => {
          seen.push(other());
          return more.shift();
        }),
        'a commit',
      );
      expect(ids.map((one) => [...one])).toEqual([[1], [2, -1], [], [3]]);
      expect([...seen, other()]).toEqual([0, 0, 0, 0, 3]);
    }
    using desk = createLedgerDesk({ ...data, pagesMax: 60 }, blake3, process.pid);
    const more = [batch('d'), batch(`e${'x'.repeat(400_000)}`)];
    expect(desk.commit(batch('f'), () => more.shift())).toMatchObject({ ok: false, error: { code: 'StorageFull' } });
    expect(other()).toBe(3);
    expect(unwrap(desk.commit(batch('g')), 'the next one').map((one) => [...one])).toEqual([[4]]);
  });

  const bad: readonly (readonly [string, EventDraft | JsonObject, string, RegExp])[] = [
    ['a BigInt', draft({ payload: { n: 1n as never } }), 'InvalidDelta', /BigInt must travel as a string/],
    ['an unsafe integer', draft({ payload: { n: 2 ** 53 } }), 'InvalidDelta', /2\^53/],
    ['NaN', draft({ provenance: { n: Number.NaN } }), 'InvalidDelta', /provenance .* NaN/],
    ['a function', draft({ payload: { n: (() => 1) as never } }), 'InvalidDelta', /not JSON/],
    ['a list', draft({ payload: [] as never }), 'InvalidDelta', /not an object/],
    ['a lone surrogate', draft({ actor: '\ud800' }), 'InvalidDelta', /actor is not well-formed/],
    ['no kind', draft({ kind: '' }), 'InvalidDelta', /kind is missing/],
    ['a long scope', draft({ scope: 'x'.repeat(513) }), 'InvalidDelta', /scope has more than 512/],
    ['a fractional time', draft({ ts_ms: 1.5 }), 'InvalidDelta', /ts_ms/],
    ['a bad trace', draft({ trace_id: 'xyz' }), 'InvalidDelta', /trace_id/],
    ['a bad seq', draft({ run_seq: 0 }), 'InvalidDelta', /run_seq/],
    ['A10: a large payload', draft({ payload: { text: 'x'.repeat(payloadBytesMax) } }), 'LimitExceeded', /blob/],
  ];
  test.each(bad)('%s is refused alone, its neighbours are written', async (_, wrong, code, message) => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    const [before, refused, after] = await Promise.all([
      kb.append([draft()]),
      kb.append([draft(), wrong as EventDraft]),
      kb.append([draft()]),
    ]);
    expect(before.ok && after.ok).toBe(true);
    expect(refused).toMatchObject({ ok: false, error: { code } });
    if (!refused.ok) expect(`${refused.error.message} ${refused.error.hint}`).toMatch(message);
    expect(unwrap(await kb.stats(), 'stats').events).toBe(2);
  });

  test('A10: events of one append, and events that wait, are bounded', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    const many = Array.from({ length: appendEventsMax + 1 }, () => draft());
    expect(await kb.append(many)).toMatchObject({ ok: false, error: { code: 'LimitExceeded' } });
    const waiting = Array.from({ length: appendsPendingMax / appendEventsMax }, () => kb.append(many.slice(1)));
    expect(await kb.append([draft()])).toMatchObject({ ok: false, error: { code: 'Busy' } });
    expect((await Promise.all(waiting)).every(({ ok }) => ok)).toBe(true);
    expect((await kb.append([draft()])).ok).toBe(true);
  });

  test('the pages of a run are what was appended, in order', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    await kb.append([
      runEvent('run.accepted', {}, 1),
      draft(),
      runEvent('effect.intent', {}),
      runEvent('run.started', {}, 2),
      runEvent('run.finished', {}, 3, 'cd'.repeat(16)),
    ]);
    const kinds = async (q: object): Promise<string[]> =>
      unwrap(await kb.runEvents({ traceId: trace, max: 10, ...q }), 'events').events.map(({ kind }) => kind);
    expect(await kinds({})).toEqual(['run.accepted', 'effect.intent', 'run.started']);
    expect(await kinds({ streamedOnly: true })).toEqual(['run.accepted', 'run.started']);
    expect(await kinds({ afterSeq: 1 })).toEqual(['run.started']);
    expect(await kinds({ afterId: 1, max: 1 })).toEqual(['effect.intent']);
  });
});

describe('tampering', () => {
  const written = async (path: string): Promise<void> => {
    await append(path, [
      draft(),
      draft({ dedupe_key: 'k' }),
      runEvent('run.accepted', { name: 'x' }, 1),
      draft(),
      draft(),
    ]);
  };
  const loosen = `DROP TRIGGER events_no_delete; DROP TRIGGER events_no_renumber; DROP TRIGGER events_only_erased;`;
  const rows = 10_000;
  /** A row in the middle in which each column has a value. */
  const at = 6_000;
  let template: ReturnType<typeof tempDir>;
  let head: SignedHead;
  const signer = newSigner();
  const { key } = signer;

  beforeAll(async () => {
    template = tempDir();
    const drafts = Array.from({ length: rows }, (_, i) => {
      const told =
        i % 3 === 2 ? runEvent('node.ready', { node: `n${i}` }, i + 1) : draft({ payload: { text: `note ${i}` } });
      return i % 5 === 4 ? { ...told, dedupe_key: `k${i}` } : told;
    });
    await append(template.path, drafts);
    await using kb = await open(template.path);
    head = unwrap(await kb.seal(signer), 'a head');
    expect(head.id).toBe(rows);
  });
  afterAll(() => template[Symbol.dispose]());

  const tampered = async (sql: string, options: VerifyOptions = {}): Promise<Verified> => {
    using dir = tempDir();
    for (const file of ['events.sqlite', 'heads.ndjson']) cpSync(join(template.path, file), join(dir.path, file));
    const db = new Database(join(dir.path, 'events.sqlite'));
    db.exec(loosen + sql);
    db.close();
    const data = { rootDir: dir.path, eventsDb: join(dir.path, 'events.sqlite') };
    return unwrap(verifyLedger(data, options, await loadBlake3()), 'a check');
  };
  const check = async (sql: string, first: number | undefined): Promise<void> => {
    const { first_bad: bad, bad_head: badHead } = await tampered(sql);
    expect([bad?.id, first === undefined ? badHead : undefined]).toEqual([first, undefined]);
  };
  test('an untouched ledger is good', () => check('', undefined));
  const values: { readonly [column: string]: string } = {
    id: '77777',
    ts_ms: 'ts_ms + 1',
    actor: `'eve'`,
    kind: `'note.other'`,
    scope: `'x'`,
    payload_json: `'{"text":"hullo"}'`,
    payload_salt: `x'00'`,
    provenance_json: `'{"a":1}'`,
    hash_blake3: `zeroblob(32)`,
    chain_blake3: `zeroblob(32)`,
    dedupe_key: `'other'`,
    trace_id: `zeroblob(16)`,
    run_seq: '2',
  };
  test.each(Object.entries(values))('a changed %s is found at its row', (column, value) =>
    check(`UPDATE events SET ${column} = ${value} WHERE id = ${at}`, at),
  );
  test.each(['payload_json', 'payload_salt', 'trace_id', 'run_seq', 'dedupe_key'])(
    '%s set to NULL is found',
    (column) => check(`UPDATE events SET ${column} = NULL WHERE id = ${at}`, at),
  );
  test('an erased payload that no event lists is found', () =>
    check(`UPDATE events SET payload_json = NULL, payload_salt = NULL WHERE id = ${at}`, at));
  test('a removed row is found', () => check(`DELETE FROM events WHERE id = ${at}`, at));
  test('a removed last row is found', () => check(`DELETE FROM events WHERE id = ${rows}`, rows));
  test('swapped rows are found', () =>
    check(
      `UPDATE events SET id = 99999 WHERE id = ${at}; UPDATE events SET id = ${at} WHERE id = ${at + 2}; UPDATE events SET id = ${at + 2} WHERE id = 99999`,
      at,
    ));
  test('a row that was put between others is found', () =>
    check(
      `UPDATE events SET id = -id WHERE id >= ${at}; UPDATE events SET id = 1 - id WHERE id < 0;
       INSERT INTO events SELECT ${at}, ts_ms, actor, kind, scope, payload_json, payload_salt, provenance_json, hash_blake3, chain_blake3, NULL, trace_id, run_seq FROM events WHERE id = ${at - 1}`,
      at,
    ));
  test('a row that was added at the end is found', () =>
    check(
      `INSERT INTO events SELECT ${rows + 1}, ts_ms, actor, kind, scope, payload_json, payload_salt, provenance_json, hash_blake3, chain_blake3, NULL, trace_id, run_seq FROM events WHERE id = ${rows}`,
      rows + 1,
    ));

  const cut = `DELETE FROM events WHERE id > ${at}; UPDATE sqlite_sequence SET seq = ${at} WHERE name = 'events'`;
  test('a ledger that was cut short together with its counter no longer has the head that was signed', async () => {
    expect(await tampered(cut)).toMatchObject({ events: at, bad_head: { id: rows, why: 'the ledger ends before it' } });
  });
  test('nor has it the one that was kept elsewhere, where the others were removed', async () => {
    using dir = tempDir();
    cpSync(template.path, dir.path, { recursive: true });
    rmSync(join(dir.path, 'heads.ndjson'));
    const db = new Database(join(dir.path, 'events.sqlite'));
    db.exec(loosen + cut);
    db.close();
    await append(
      dir.path,
      Array.from({ length: rows - at }, () => draft()),
    );
    await using kb = await open(dir.path);
    expect(unwrap(await kb.verify(), 'a check')).toMatchObject({ events: rows, heads: 0 });
    expect(unwrap(await kb.verify({ head, key }), 'a check').bad_head).toEqual({
      id: rows,
      why: 'the ledger has another chain there',
    });
  });
  test.each([
    ['of another key', { key: 'ab'.repeat(32) }, /another key/],
    ['that was changed', { head: { id: 5 } }, /signature/],
  ])('a head %s is not believed', async (_, change, why) => {
    const options = { key, ...change, head: { ...head, ...('head' in change ? change.head : {}) } };
    expect((await tampered('', options)).bad_head?.why).toMatch(why);
  });
  test('a head is signed once, and what was cut off while it was written is none', async () => {
    using dir = tempDir();
    await written(dir.path);
    await using kb = await open(dir.path);
    const first = unwrap(await kb.seal(signer), 'a head');
    expect(unwrap(await kb.seal(signer), 'the same')).toEqual(first);
    appendFileSync(join(dir.path, 'heads.ndjson'), '{"id":');
    expect(unwrap(await kb.verify(), 'a check')).toMatchObject({ heads: 1 });
    unwrap(await kb.append([draft()]), 'one more');
    unwrap(await kb.seal(signer), 'a second');
    expect(unwrap(await kb.verify({ key }), 'a check')).toMatchObject({ heads: 2 });
  });

  test.each([
    ['DELETE FROM events WHERE id = 1', /no row is deleted/],
    [`UPDATE events SET actor = 'eve' WHERE id = 1`, /only by erasing/],
    ['UPDATE events SET payload_json = NULL WHERE id = 1', /only by erasing/],
    [`INSERT OR REPLACE INTO events SELECT * FROM events WHERE id = 1`, /append-only/],
    [`INSERT INTO blobs VALUES (x'00', x'01'); UPDATE blobs SET bytes = x'02'`, /does not change/],
  ])('%s is refused by the database itself', async (sql, message) => {
    using dir = tempDir();
    await written(dir.path);
    const db = new Database(join(dir.path, 'events.sqlite'));
    expect(() => db.exec(sql)).toThrow(message);
    db.close();
  });

  test('an erasure that subject.forgotten lists is accepted', async () => {
    using dir = tempDir();
    await written(dir.path);
    await append(dir.path, [draft({ kind: 'subject.forgotten', payload: { subject: 'x', events: [2] } })]);
    const db = new Database(join(dir.path, 'events.sqlite'));
    db.exec('UPDATE events SET payload_json = NULL, payload_salt = NULL WHERE id = 2');
    db.close();
    await using kb = await open(dir.path);
    expect(unwrap(await kb.verify(), 'a check')).toMatchObject({ events: 6 });
    expect(unwrap(await kb.verify(), 'a check').first_bad).toBeUndefined();
  });
});

describe('the disk', () => {
  test('a full ledger answers StorageFull, stays readable, and keeps what was acknowledged', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path, { ledgerPagesMax: 60 });
    const big = draft({ payload: { text: 'x'.repeat(10_000) } });
    let acknowledged = 0;
    let last = await kb.append([big]);
    for (; last.ok && acknowledged < 100; acknowledged += 1) last = await kb.append([big]);
    expect(last).toMatchObject({ ok: false, error: { code: 'StorageFull' } });
    expect(unwrap(await kb.stats(), 'stats').events).toBe(acknowledged);
    expect(unwrap(await kb.verify(), 'a check')).toMatchObject({ events: acknowledged });
  });

  test('a page of garbage answers StorageCorrupt, and the process lives', async () => {
    using dir = tempDir();
    await append(
      dir.path,
      Array.from({ length: 200 }, () => draft({ payload: { text: 'x'.repeat(500) } })),
    );
    const path = join(dir.path, 'events.sqlite');
    const file = openSync(path, 'r+');
    for (let at = 8 * 4096; at < statSync(path).size; at += 4096)
      writeSync(file, Buffer.alloc(4096, 0xee), 0, 4096, at);
    closeSync(file);
    const opened = await openKb(deps, { rootDir: dir.path });
    if (opened.ok) {
      await using kb = opened.value;
      expect(await kb.append([draft()])).toMatchObject({ ok: false, error: { code: 'StorageCorrupt' } });
    } else expect(opened.error.code).toBe('StorageCorrupt');
  });

  test('a file that is no database is StorageCorrupt, a newer one NewerVersion', async () => {
    using dir = tempDir();
    const garbage = join(dir.path, 'garbage.sqlite');
    const file = openSync(garbage, 'w');
    writeSync(file, Buffer.alloc(8192, 0x41));
    closeSync(file);
    expect(await openKb(deps, { rootDir: dir.path, eventsDb: garbage })).toMatchObject({
      ok: false,
      error: { code: 'StorageCorrupt' },
    });
    const newer = join(dir.path, 'newer.sqlite');
    const db = new Database(newer);
    db.pragma('user_version = 99');
    db.close();
    expect(await openKb(deps, { rootDir: dir.path, eventsDb: newer })).toMatchObject({
      ok: false,
      error: { code: 'NewerVersion' },
    });
  });

  test('a second opener is refused with the pid of the first, and may come when the first has gone', async () => {
    using dir = tempDir();
    {
      await using kb = await open(dir.path);
      expect((await kb.append([draft()])).ok).toBe(true);
      const second = await openKb(deps, { rootDir: dir.path });
      expect(second).toMatchObject({ ok: false, error: { code: 'Busy', details: { pid: String(process.pid) } } });
      if (!second.ok) expect(second.error.message).toContain(String(process.pid));
    }
    expect(await append(dir.path, [draft()])).toEqual([2]);
  });
});

test('the WASM digest is that of core, over any bytes', async () => {
  const blake3 = await loadBlake3();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.uint8Array({ maxLength: 40 }), (a, b) => {
      expect(toHex(blake3.digest(a, b))).toBe(digestBytes(Buffer.concat([a, b])));
    }),
  );
});

test('nothing is acknowledged that goes into a file which was removed', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  unwrap(await kb.append([draft()]), 'an event');
  const path = join(dir.path, 'events.sqlite');
  renameSync(path, `${path}.moved`);
  expect(await kb.append([draft()])).toMatchObject({
    ok: false,
    error: { code: 'StorageFailed', message: expect.stringContaining('removed or replaced') },
  });
  renameSync(`${path}.moved`, path);
  unwrap(await kb.append([draft()]), 'another, in its place again');
  expect(unwrap(await kb.verify(), 'verified').events).toBe(2);
});
