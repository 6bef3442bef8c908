/** Blobs: small ones in the ledger, durable with the events that name them, large ones as files; ledgers from before. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { digestBytes, digestText, unwrap } from '@runloop/core';
import { expect, test } from 'vitest';
import { openTapeReader } from '../src/index.ts';
import { blobBytesPendingMax, ledgerBlobBytesMax } from '../src/limits.ts';
import { deps, draft, open, tempDir, trace } from './kb-kit.ts';

const placeOf = (root: string, digest: string): string => join(root, 'blobs', digest.slice(0, 2), digest.slice(2));
const blobOf = (content: string): { digest: ReturnType<typeof digestText>; content: string } => ({
  digest: digestText(content),
  content,
});

test.each([0, 5, ledgerBlobBytesMax, ledgerBlobBytesMax + 1])(
  'a blob of %i bytes is got as it was put',
  async (size) => {
    using dir = tempDir();
    const bytes = Buffer.alloc(size, 7);
    const digest = digestBytes(bytes);
    {
      await using kb = await open(dir.path);
      expect(unwrap(await kb.putBlob(bytes), 'a blob')).toBe(digest);
      expect(unwrap(await kb.putBlob(bytes), 'the same blob')).toBe(digest);
      expect(existsSync(placeOf(dir.path, digest))).toBe(size > ledgerBlobBytesMax);
    }
    await using kb = await open(dir.path);
    expect(Buffer.from(unwrap(await kb.getBlob(digest), 'its bytes')).equals(bytes)).toBe(true);
    using reader = unwrap(openTapeReader(deps, { rootDir: dir.path }), 'a reader');
    expect(Buffer.from(unwrap(await reader.getBlob(digest), 'its bytes')).equals(bytes)).toBe(true);
    expect(unwrap(await kb.verify(), 'a check')).toEqual({
      events: 0,
      heads: 0,
      foreign_heads: 0,
      head: '0'.repeat(64),
    });
  },
);

test('A6: a blob is on disk when the events that name it are, and not when they were refused', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const [kept, refused] = [blobOf('"kept"'), blobOf('"refused"')];
  const answers = await Promise.all([
    kb.append([draft()], [kept]),
    kb.append([draft({ kind: '' })], [refused]),
    kb.append([draft()], [kept]),
  ]);
  expect(answers.map(({ ok }) => ok)).toEqual([true, false, true]);
  const other = new Database(join(dir.path, 'events.sqlite'), { readonly: true });
  expect(other.prepare('SELECT bytes FROM blobs').pluck().all()).toEqual([Buffer.from('"kept"')]);
  other.close();
  expect(await kb.getBlob(refused.digest)).toMatchObject({ ok: false, error: { code: 'NotFound' } });
});

test('A10: a blob in the ledger has a limit, and so have those that wait for it', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const largest = blobOf('x'.repeat(ledgerBlobBytesMax));
  expect(await kb.append([draft()], [blobOf('x'.repeat(ledgerBlobBytesMax + 1))])).toMatchObject({
    ok: false,
    error: { code: 'LimitExceeded' },
  });
  const many = Array.from({ length: blobBytesPendingMax / ledgerBlobBytesMax }, () => largest);
  expect(await kb.append([draft()], [...many, blobOf('1')])).toMatchObject({ ok: false, error: { code: 'Busy' } });
  expect(await kb.append([draft()], [largest])).toMatchObject({ ok: true });
});

test('what was changed is not believed, wherever it stands, and verify names it', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const small = unwrap(await kb.putBlob(Buffer.from('true')), 'a blob');
  const large = unwrap(await kb.putBlob(Buffer.alloc(70_000)), 'a blob');
  writeFileSync(placeOf(dir.path, large), 'lies');
  const db = new Database(join(dir.path, 'events.sqlite'));
  db.exec(`DROP TRIGGER blobs_no_change; UPDATE blobs SET bytes = x'00'`);
  db.close();
  using reader = unwrap(openTapeReader(deps, { rootDir: dir.path }), 'a reader');
  for (const digest of [small, large]) {
    expect(await kb.getBlob(digest)).toMatchObject({ ok: false, error: { code: 'DigestMismatch' } });
    expect(await reader.getBlob(digest)).toMatchObject({ ok: false, error: { code: 'DigestMismatch' } });
  }
  expect(unwrap(await kb.verify(), 'a check').bad_blob).toEqual({ digest: small });
});

test.each(['0'.repeat(64), '../../etc/passwd', ''])('there is no blob "%s"', async (digest) => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  expect(await kb.getBlob(digest)).toMatchObject({ ok: false, error: { code: 'NotFound' } });
});

test('a ledger of version 1 is read as it stands, and goes on as one of this version', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'events.sqlite');
  const content = '{"said":"before"}';
  const digest = digestText(content);
  const before = new Database(path);
  before.exec(readFileSync(join(import.meta.dirname, 'ledger-1.sql'), 'utf8'));
  before.close();
  mkdirSync(dirname(placeOf(dir.path, digest)), { recursive: true });
  writeFileSync(placeOf(dir.path, digest), content);

  using reader = unwrap(openTapeReader(deps, { rootDir: dir.path }), 'a reader');
  expect(Buffer.from(unwrap(await reader.getBlob(digest), 'a blob of before')).toString()).toBe(content);

  await using kb = await open(dir.path);
  const { events } = unwrap(await kb.runEvents({ traceId: trace, max: 10 }), 'its events');
  expect(events.map(({ kind }) => kind)).toEqual(['run.accepted', 'run.started', 'node.finished']);
  expect(Buffer.from(unwrap(await kb.getBlob(digest), 'a blob of before')).toString()).toBe(content);
  const now = blobOf('"now"');
  expect(unwrap(await kb.append([draft()], [now]), 'an append')).toEqual([{ id: 5, existing: false }]);
  expect(Buffer.from(unwrap(await kb.getBlob(now.digest), 'a blob of now')).toString()).toBe(now.content);
  expect(unwrap(await kb.verify(), 'a check')).toMatchObject({ events: 5 });
  expect(unwrap(await kb.verify(), 'a check').first_bad).toBeUndefined();
  expect(unwrap(await kb.rebuild(), 'a rebuild').equal).toBe(true);
  const after = new Database(path, { readonly: true });
  expect(after.pragma('user_version', { simple: true })).toBe(2);
  after.close();
});
