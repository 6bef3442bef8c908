/** Backups while the ledger is in use, restoring, migrating, and each of them cut off. */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { unwrap } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { restoringHere, stageRestore } from '../src/backup/restore.ts';
import { loadBlake3 } from '../src/blake3.ts';
import { restoreKb } from '../src/index.ts';
import { deps, draft, newSigner, open, runEvent, tempDir } from './kb-kit.ts';
import { killedAt } from './killed.ts';

const by = { actor: 'user:test', provenance: {} };
const large = Buffer.alloc(100_000, 'x');

async function texts(rootDir: string): Promise<readonly unknown[]> {
  await using kb = await open(rootDir);
  return unwrap(await kb.find({ kind: 'note', max: 99 }), 'notes').map((row) => row['text']);
}
const note = (text: string) => draft({ payload: { text } });

test('a backup is whole while others append, and says so last', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const digest = unwrap(await kb.putBlob(large), 'a blob file');
  unwrap(await kb.append([note('before')]), 'an event');
  const until = { done: false };
  const appending = (async () => {
    for (let i = 0; !until.done; i += 1) unwrap(await kb.append([note(`meanwhile ${i}`)]), 'an event');
  })();
  const made = unwrap(await kb.backup(join(dir.path, 'b'), by), 'a backup');
  until.done = true;
  await appending;
  expect(made).toMatchObject({ version: 1, blobs: 1 });
  expect(readFileSync(join(dir.path, 'b', 'blobs', digest.slice(0, 2), digest.slice(2)))).toEqual(large);
  const copy = new Database(join(dir.path, 'b', 'events.sqlite'), { readonly: true });
  expect(copy.prepare('SELECT count(*) FROM events').pluck().get()).toBe(made.events);
  copy.close();
  expect(unwrap(await kb.why('ledger:backups'), 'what is told of it').steps).toHaveLength(1);
  expect(await kb.backup(join(dir.path, 'b'), by)).toMatchObject({ ok: false, error: { code: 'Conflict' } });
});

test.each<[string, boolean]>([
  ['backing-up.json', false],
  ['b/events.sqlite', false],
  ['b/blobs', false],
  ['b/backup.json', true],
])('kill -9 once there is %s: it is told of, or nothing of it is left', async (step, isWhole) => {
  using dir = tempDir();
  {
    await using kb = await open(dir.path);
    for (let i = 0; i < 40; i += 1) unwrap(await kb.putBlob(Buffer.alloc(200_000, i)), 'a blob file');
    unwrap(await kb.append([note('before')]), 'an event');
  }
  expect(killedAt(dir.path, 'backup', `here:${step}`)).toEqual({ signal: 'SIGKILL', stderr: '' });
  const made = readdirSync(join(dir.path, 'b'));
  if (!isWhole) writeFileSync(join(dir.path, 'b', 'mine.txt'), 'not of a backup');
  await using kb = await open(dir.path);
  const left = readdirSync(join(dir.path, 'b'));
  // The one who kills looks once a millisecond: it may have been whole by then.
  const whole = made.includes('backup.json');
  if (isWhole) expect(whole).toBe(true);
  if (whole) expect(left).toEqual(expect.arrayContaining(['backup.json', 'blobs', 'events.sqlite']));
  else expect(left).toEqual(['mine.txt']);
  const told = await kb.why('ledger:backups');
  expect(told.ok ? told.value.steps.length : 0).toBe(whole ? 1 : 0);
  expect(readdirSync(dir.path)).not.toContain('backing-up.json');
});

test('a backup that the ledger has no room to tell of is told of when it has', async () => {
  using dir = tempDir();
  const [first, second] = [join(dir.path, 'first'), join(dir.path, 'second')];
  const full = { ok: false, error: { code: 'StorageFull' } };
  {
    await using kb = await open(dir.path, { ledgerPagesMax: 60 });
    for (const size of [20_000, 1_000, 1]) {
      let more = true;
      while (more) more = (await kb.append([note('x'.repeat(size))])).ok;
    }
    expect(await kb.backup(first, by)).toMatchObject(full);
    // There is one mark for both: the second is not begun before the first is told of.
    expect(await kb.backup(second, by)).toMatchObject(full);
    expect([existsSync(join(first, 'backup.json')), existsSync(second)]).toEqual([true, false]);
  }
  await using kb = await open(dir.path);
  const told = unwrap(await kb.why('ledger:backups'), 'what is told of it').steps;
  expect(told.map(({ summary }) => summary)).toEqual([expect.stringContaining(first)]);
});

async function withBackup(path: string): Promise<string> {
  await using kb = await open(path);
  unwrap(await kb.putBlob(large), 'a blob file');
  unwrap(await kb.append([note('one'), runEvent('run.accepted', { name: 'unfinished' }, 1)]), 'events');
  const backup = join(path, 'backup');
  unwrap(await kb.backup(backup, by), 'a backup');
  unwrap(await kb.append([note('two')]), 'an event');
  return backup;
}

describe('restoring', () => {
  test('puts the backup in place, keeps what was there, and says so on the ledger', async () => {
    using dir = tempDir();
    const backup = await withBackup(dir.path);
    const done = unwrap(await restoreKb(deps, { rootDir: dir.path }, backup, 1), 'restored');
    expect(done.rebuilt.equal).toBe(true);
    expect(await texts(dir.path)).toEqual(['one']);
    expect(readdirSync(done.before).toSorted()).toEqual(['blobs', 'events.sqlite']);
    await using kb = await open(dir.path);
    expect(unwrap(await kb.restoredAt(), 'its event')).toBe(3);
    expect(unwrap(await kb.verify(), 'a check')).toMatchObject({ events: 3 });
    expect(await restoreKb(deps, { rootDir: dir.path }, backup, 1)).toMatchObject({
      ok: false,
      error: { code: 'Busy' },
    });
  });

  test('the heads of the host that it was made on are checked, and counted apart from our own', async () => {
    using there = tempDir();
    using here = tempDir();
    const [their, ours] = [newSigner(), newSigner()];
    const backup = join(there.path, 'backup');
    {
      await using kb = await open(there.path);
      unwrap(await kb.append([note('one')]), 'an event');
      unwrap(await kb.seal(their), 'a head');
      unwrap(await kb.backup(backup, by), 'a backup');
    }
    unwrap(await restoreKb(deps, { rootDir: here.path }, backup, 1), 'restored');
    await using kb = await open(here.path);
    unwrap(await kb.seal(ours), 'a head of this host');
    const good = { heads: 1, foreign_heads: 1 };
    expect(unwrap(await kb.verify({ key: ours.key }), 'a check')).toMatchObject(good);
    expect(unwrap(await kb.verify({ key: ours.key }), 'a check').bad_head).toBeUndefined();
    unwrap(await kb.append([note('two')]), 'an event after it');
    const later = unwrap(await kb.seal(their), 'a head by somebody else');
    const bad_head = { id: later.id, why: 'it is signed with another key' };
    expect(unwrap(await kb.verify({ key: ours.key }), 'a check')).toMatchObject({ ...good, bad_head });
  });

  test('a backup that was changed, is not whole or of a newer version is refused, and nothing is touched', async () => {
    using dir = tempDir();
    const backup = await withBackup(dir.path);
    const check = async (spoil: (copy: string) => void, code: string): Promise<void> => {
      const copy = join(dir.path, 'copy');
      rmSync(copy, { recursive: true, force: true });
      cpSync(backup, copy, { recursive: true });
      spoil(copy);
      expect(await restoreKb(deps, { rootDir: dir.path }, copy, 1)).toMatchObject({ ok: false, error: { code } });
      expect(await texts(dir.path)).toEqual(['two', 'one']);
    };
    await check((copy) => rmSync(join(copy, 'backup.json')), 'NotFound');
    await check(
      (copy) => writeFileSync(join(copy, 'backup.json'), '{"version":2,"events":1,"chain":""}'),
      'NewerVersion',
    );
    await check((copy) => writeFileSync(join(copy, 'backup.json'), '{'), 'StorageCorrupt');
    await check((copy) => {
      const db = new Database(join(copy, 'events.sqlite'));
      db.exec(`DROP TRIGGER events_only_erased; UPDATE events SET actor = 'eve' WHERE id = 1`);
      db.close();
    }, 'StorageCorrupt');
    await check((copy) => writeFileSync(join(copy, 'events.sqlite'), 'no database'), 'StorageCorrupt');
  });

  test.each([0, 1, 2, 3, 4])('cut off after step %i, the next opening finishes it', async (upTo) => {
    using dir = tempDir();
    const root = join(dir.path, 'kb');
    const backup = await withBackup(root);
    unwrap(stageRestore(root, backup, { blake3: await loadBlake3(), nowMs: 0 }), 'laid ready');
    const { before } = restoringHere(root) ?? { before: '' };
    const steps = [
      () => mkdirSync(before),
      () => renameSync(join(root, 'events.sqlite'), join(before, 'events.sqlite')),
      () => writeFileSync(join(before, 'events.sqlite.moved'), ''),
      () => renameSync(join(root, 'restoring', 'events.sqlite'), join(root, 'events.sqlite')),
    ];
    for (const step of steps.slice(0, upTo)) step();
    expect(await texts(root)).toEqual(['one']);
    expect(readdirSync(root).filter((name) => name.startsWith('restoring'))).toEqual([]);
    expect(readdirSync(before).toSorted()).toEqual(['blobs', 'events.sqlite']);
    const kept = new Database(join(before, 'events.sqlite'), { readonly: true });
    expect(kept.prepare('SELECT count(*) FROM events').pluck().get()).toBe(4);
    kept.close();
  });
});

test('an older ledger is kept as it was, brought up to date in one step, and says so', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'events.sqlite');
  {
    await using kb = await open(dir.path);
    unwrap(await kb.append([note('old')]), 'an event');
  }
  const db = new Database(path);
  db.exec('DROP TABLE blobs; PRAGMA user_version = 1');
  db.close();
  // One that was cut off before: its copy is not trusted.
  writeFileSync(`${path}.version-1`, 'half a copy');
  await using kb = await open(dir.path);
  expect(unwrap(await kb.why('ledger:migrations'), 'why').steps).toMatchObject([{ id: 2, kind: 'schema.migrated' }]);
  expect(unwrap(await kb.verify(), 'a check')).toMatchObject({ events: 2 });
  const kept = new Database(`${path}.version-1`, { readonly: true });
  expect(kept.pragma('user_version', { simple: true })).toBe(1);
  expect(kept.prepare('SELECT count(*) FROM events').pluck().get()).toBe(1);
  kept.close();
});

test('compacting empties the write-ahead logs', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const big = { content: Buffer.alloc(60_000, 'y') };
  for (let i = 0; i < 20; i += 1) unwrap(await kb.putBlob(Buffer.concat([big.content, Buffer.from([i])])), 'a blob');
  unwrap(await kb.append([note('one')]), 'an event');
  const { before, after } = unwrap(await kb.vacuum(), 'compacted');
  expect(after).toBeLessThan(before);
  expect(unwrap(await kb.stats(), 'stats')).toMatchObject({ events: 1, blob_files: 0, rows: { notes: 1 } });
});

describe('what is hostile or clumsy', () => {
  const outside = (dir: string): string => {
    mkdirSync(join(dir, 'outside'), { recursive: true });
    writeFileSync(join(dir, 'outside', 'file'), 'not yours');
    return join(dir, 'outside');
  };
  const check = async (change: (backup: string, outside: string) => void, expected: object): Promise<void> => {
    using dir = tempDir();
    const root = join(dir.path, 'root');
    const backup = await withBackup(root);
    const out = outside(dir.path);
    change(backup, out);
    const done = await restoreKb(deps, { rootDir: root }, backup, 1);
    expect(done).toMatchObject(expected);
    await using kb = await open(root);
    unwrap(await kb.putBlob(Buffer.alloc(100_001, 'y')), 'a blob file');
    expect(readdirSync(out)).toEqual(['file']);
    expect(lstatSync(join(root, 'events.sqlite')).isFile()).toBe(true);
    if (!done.ok) expect(readdirSync(root)).not.toContain('restoring');
  };
  const refused = { ok: false, error: { code: 'StorageCorrupt' } };
  const replace = (path: string, target: string): void => {
    rmSync(path, { recursive: true, force: true });
    symlinkSync(target, path);
  };
  test('a link in the place of blobs', () => check((b, out) => replace(join(b, 'blobs'), out), refused));
  test('a link in the place of the ledger', () =>
    check((b) => {
      renameSync(join(b, 'events.sqlite'), join(b, 'moved'));
      symlinkSync('moved', join(b, 'events.sqlite'));
    }, refused));
  test('a link in the place of the heads', () =>
    check((b, out) => replace(join(b, 'heads.ndjson'), join(out, 'file')), refused));
  test('links among the blobs are left behind', () =>
    check(
      (b, out) => {
        mkdirSync(join(b, 'blobs', 'aa'), { recursive: true });
        symlinkSync(join(out, 'file'), join(b, 'blobs', 'aa', 'b'.repeat(62)));
        symlinkSync(out, join(b, 'blobs', 'cc'));
      },
      { ok: true },
    ));
  test('a folder in the place of what it says of itself', () =>
    check((b) => {
      rmSync(join(b, 'backup.json'));
      mkdirSync(join(b, 'backup.json'));
    }, refused));

  test('two in one second keep what each has replaced', async () => {
    using dir = tempDir();
    const backup = await withBackup(dir.path);
    const clock = { ...deps.clock, nowMs: () => 1_800_000_000_000 };
    const before = [];
    for (let i = 0; i < 3; i += 1)
      before.push(unwrap(await restoreKb({ ...deps, clock }, { rootDir: dir.path }, backup, 1), 'restored').before);
    expect(new Set(before).size).toBe(3);
    expect(before.every((kept) => existsSync(join(kept, 'events.sqlite')))).toBe(true);
  });

  test('a mark that was cut off while it was written is none', async () => {
    using dir = tempDir();
    await withBackup(dir.path);
    writeFileSync(join(dir.path, 'restoring.json'), '{"before":');
    expect(await texts(dir.path)).toEqual(['two', 'one']);
  });

  test('a backup is its owner’s alone, wherever it is put, and not where the ledger keeps its own', async () => {
    using dir = tempDir();
    const root = join(dir.path, 'root');
    await withBackup(root);
    await using kb = await open(root);
    const into = join(dir.path, 'shared');
    mkdirSync(into, { mode: 0o755 });
    unwrap(await kb.backup(into, by), 'a backup');
    for (const name of ['events.sqlite', 'backup.json']) expect(lstatSync(join(into, name)).mode & 0o077).toBe(0);
    symlinkSync(join(root, 'blobs'), join(dir.path, 'link'));
    for (const [path, code] of [
      [join(root, 'blobs', 'ab'), 'InvalidParams'],
      [join(dir.path, 'link', 'ab'), 'InvalidParams'],
      [join(root, 'restoring'), 'InvalidParams'],
      [join(root, 'events.sqlite'), 'StorageFailed'],
      ['/proc/nowhere/deep', 'StorageFailed'],
    ] as const)
      expect([path, await kb.backup(path, by)]).toMatchObject([path, { ok: false, error: { code } }]);
  });
});
