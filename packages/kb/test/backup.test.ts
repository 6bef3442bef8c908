/** Backups while the ledger is in use, restoring, migrating, and each of them cut off. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { unwrap } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { restoringHere, stageRestore } from '../src/backup/restore.ts';
import { loadBlake3 } from '../src/blake3.ts';
import { restoreKb } from '../src/index.ts';
import { deps, draft, open, runEvent, tempDir } from './kb-kit.ts';

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
