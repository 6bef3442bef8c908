/** Values of old runs are packed away, read as before, replayed, checked, backed up and forgotten; whenever it is killed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { digestBytes, unwrap } from '@runloop/core';
import { expect, test } from 'vitest';
import { openTapeReader } from '../src/index.ts';
import { archiveBatch } from '../src/limits.ts';
import { deps, isSound, open, runEvent, tempDir } from './kb-kit.ts';
import { killedAt } from './killed.ts';

const trace = (n: number): string => n.toString(16).padStart(32, '0');
const of = (n: number, digests: readonly string[], ts_ms: number) => [
  { ...runEvent('run.accepted', { name: 'r', params: {} }, 1, trace(n)), ts_ms },
  { ...runEvent('effect.result', { node: 'n', values: [...digests] }, undefined, trace(n)), ts_ms },
  { ...runEvent('run.finished', { state: 'succeeded' }, 2, trace(n)), ts_ms },
];
const blob = (text: string) => ({ digest: digestBytes(Buffer.from(text)), content: text });

test('only what old runs alone name moves, and nobody notices', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const [own, shared, fresh] = [blob(`old ${'a'.repeat(9_000)}`), blob('shared'), blob('fresh')];
  const large = Buffer.alloc(200_000, 'b');
  const file = unwrap(await kb.putBlob(large), 'a blob file');
  const blobs = [own, shared, fresh];
  unwrap(
    await kb.append(
      [...of(1, [own.digest, shared.digest, file], 1_000), ...of(2, [shared.digest, fresh.digest], 9_000)],
      blobs,
    ),
    'runs',
  );
  expect(unwrap(await kb.archive(500), 'nothing is so old')).toMatchObject({ runs: 0, blobs: 0 });
  const moved = unwrap(await kb.archive(5_000), 'archived');
  expect(moved).toMatchObject({ runs: 1, blobs: 2, bytes: own.content.length + large.length });
  expect(moved.packed).toBeLessThan(moved.bytes / 10);
  expect(unwrap(await kb.stats(), 'stats').blob_files).toBe(0);
  const ledger = new Database(join(dir.path, 'events.sqlite'), { readonly: true });
  expect(ledger.prepare('SELECT count(*) FROM blobs').pluck().get()).toBe(2);
  ledger.close();
  using reader = unwrap(openTapeReader(deps, { rootDir: dir.path }), 'a reader');
  for (const [digest, content] of [
    ...blobs.map((one) => [one.digest, one.content] as const),
    [file, large.toString()] as const,
  ])
    for (const from of [kb, reader])
      expect(Buffer.from(unwrap(await from.getBlob(digest), 'it')).toString()).toBe(content);
  expect(await kb.blobBytes(file)).toBe(large.length);
  expect(unwrap(await kb.archive(5_000), 'again')).toMatchObject({ blobs: 0 });
  const backup = join(dir.path, 'backup');
  unwrap(await kb.backup(backup, { actor: 'user:test', provenance: {} }), 'a backup');
  const copy = new Database(join(backup, 'archive.sqlite'), { readonly: true });
  expect(copy.prepare('SELECT count(*) FROM blobs').pluck().get()).toBe(2);
  copy.close();
});

test('what is archived is forgotten too, and what was changed there is found', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const private_ = blob('the number is 0664 5550 1234');
  const other = blob('nothing of it');
  unwrap(
    await kb.append([...of(1, [private_.digest], 1_000), ...of(2, [other.digest], 1_000)], [private_, other]),
    'runs',
  );
  const said = {
    kind: 'contact.upserted',
    payload: { contact: 'contact:x', phone: '0664 5550 1234', confidence: 1, trust: 'trusted' },
  };
  unwrap(await kb.propose(said, { actor: 'user:test', scope: 'operator', kb_write: true }), 'a contact');
  unwrap(await kb.archive(5_000), 'archived');
  const plan = unwrap(await kb.forget('contact:x', { actor: 'user:test', provenance: {} }), 'forgotten');
  expect(plan.archived).toEqual([private_.digest]);
  expect((await kb.getBlob(private_.digest)).ok).toBe(false);
  expect(readFileSync(join(dir.path, 'archive.sqlite')).includes(Buffer.from(private_.digest, 'hex'))).toBe(false);
  expect(unwrap(await kb.verify(), 'a check')).not.toHaveProperty('bad_blob');
  const db = new Database(join(dir.path, 'archive.sqlite'));
  const packed = db.prepare('SELECT bytes FROM blobs').pluck().get() as Buffer;
  db.prepare('UPDATE blobs SET digest = ?, bytes = ?').run(Buffer.alloc(32), packed);
  db.close();
  expect(unwrap(await kb.verify(), 'a check').bad_blob).toEqual({ digest: '0'.repeat(64) });
});

test('what was damaged in the archive is named, mended by the same bytes, and no obstacle to forgetting', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const bytes = Buffer.alloc(200_000, 'the number is 0664 5550 1234. ');
  const file = unwrap(await kb.putBlob(bytes), 'a blob file');
  unwrap(await kb.append(of(1, [file], 1_000)), 'a run');
  unwrap(await kb.archive(5_000), 'archived');
  const damage = (): void => {
    const db = new Database(join(dir.path, 'archive.sqlite'));
    const packed = db.prepare<[], Buffer>('SELECT bytes FROM blobs').pluck().get() ?? Buffer.alloc(0);
    packed.fill(0xff, 0, packed.length >> 1);
    db.prepare('UPDATE blobs SET bytes = ?').run(packed);
    db.close();
  };
  damage();
  expect(await kb.getBlob(file)).toMatchObject({ ok: false, error: { code: 'DigestMismatch' } });
  expect(unwrap(await kb.verify(), 'a check').bad_blob).toEqual({ digest: file });
  unwrap(await kb.putBlob(bytes), 'the same again');
  unwrap(await kb.archive(5_000), 'archived again');
  expect(unwrap(await kb.getBlob(file), 'it')).toEqual(bytes);
  expect(await isSound(dir.path)).toBe(true);
  damage();
  const said = {
    kind: 'contact.upserted',
    payload: { contact: 'contact:x', phone: '0664 5550 1234', confidence: 1, trust: 'trusted' },
  };
  unwrap(await kb.propose(said, { actor: 'user:test', scope: 'operator', kb_write: true }), 'a contact');
  expect(unwrap(await kb.forget('contact:x', { actor: 'user:test', provenance: {} }), 'gone').archived).toEqual([file]);
  expect(await isSound(dir.path)).toBe(true);
});

test('a file that is not what its name says is named, and not archived', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const bytes = Buffer.alloc(200_000, 'b');
  const file = unwrap(await kb.putBlob(bytes), 'a blob file');
  unwrap(await kb.append(of(1, [file], 1_000)), 'a run');
  const path = join(dir.path, 'blobs', file.slice(0, 2), file.slice(2));
  writeFileSync(path, bytes.fill('c', 100_000, 100_001));
  expect(unwrap(await kb.verify(), 'a check').bad_blob).toEqual({ digest: file });
  expect(unwrap(await kb.archive(5_000), 'archived')).toMatchObject({ blobs: 0 });
  expect(readFileSync(path)).toEqual(bytes);
});

const many = Array.from({ length: archiveBatch + 5 }, (_, n) => blob(`"${n} ${'v'.repeat(2_000)}"`));
const files = [1, 2].map((n) => Buffer.alloc(100_000, n));
const fileOf = (bytes: Buffer): string => join('blobs', digestBytes(bytes).slice(0, 2), digestBytes(bytes).slice(2));

test.each(['packed:', 'gone:<file>', 'during:compact'])(
  'kill -9 at %s: every value is somewhere, and the next one ends it',
  async (step) => {
    using dir = tempDir();
    const digests = [...files.map((bytes) => digestBytes(bytes)), ...many.map(({ digest }) => digest)];
    {
      await using kb = await open(dir.path);
      for (const bytes of files) unwrap(await kb.putBlob(bytes), 'a blob file');
      unwrap(await kb.append(of(1, digests, 1_000), many), 'a run');
    }
    const told = step.replace('<file>', fileOf(files[0] ?? Buffer.alloc(0)));
    expect(killedAt(dir.path, 'archive', told)).toEqual({ signal: 'SIGKILL', stderr: '' });
    await using kb = await open(dir.path);
    for (const digest of digests) unwrap(await kb.getBlob(digest), 'a value');
    unwrap(await kb.archive(5_000), 'archived');
    for (const digest of digests) unwrap(await kb.getBlob(digest), 'a value');
    expect(unwrap(await kb.stats(), 'stats').blob_files).toBe(0);
    expect(await isSound(dir.path)).toBe(true);
    const ledger = new Database(join(dir.path, 'events.sqlite'), { readonly: true });
    expect(ledger.prepare('SELECT count(*) FROM blobs').pluck().get()).toBe(0);
    expect(ledger.pragma('freelist_count', { simple: true })).toBe(0);
    ledger.close();
  },
);
