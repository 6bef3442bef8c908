/** Files of the state directory that somebody damages, removes or replaces under a daemon, or before it starts. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { unwrap } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { type Kb, openKb } from '../src/index.ts';
import { ledgerBlobBytesMax } from '../src/limits.ts';
import { deps, draft, newSigner, open, tempDir } from './kb-kit.ts';

const by = { actor: 'operator', provenance: {} };
const notes = async (kb: Kb): Promise<unknown> =>
  unwrap(await kb.query('SELECT count(*), max(length(text)) > 0 FROM notes'), 'rows').rows[0];

/** Every second page of some. */
function damage(path: string, from = 3, to = Infinity): void {
  const size = Math.min(to * 4096, statSync(path).size);
  const file = openSync(path, 'r+');
  for (let at = from * 4096; at < size; at += 2 * 4096) writeSync(file, Buffer.alloc(4096, 0xee), 0, 4096, at);
  closeSync(file);
}

async function fill(kb: Kb, count: number): Promise<void> {
  const drafts = Array.from({ length: count }, (_, i) =>
    draft({ payload: { text: `note x${i} ${'abc '.repeat(250)}` } }),
  );
  unwrap(await kb.append(drafts), 'notes');
}

describe('A5: what is a projection is made anew while it is in use', () => {
  test.each<[string, string, (path: string) => void]>([
    ['pages of the views', 'pog.sqlite', (path) => damage(path)],
    ['emptied views', 'pog.sqlite', (path) => truncateSync(path, 0)],
    ['pages of the vectors', 'vectors.sqlite', (path) => damage(path)],
  ])('%s', async (_, name, harm) => {
    using dir = tempDir();
    await using kb = await open(dir.path, { viewsIdleMs: 1, searchIdleMs: 1 });
    await fill(kb, 3_000);
    expect((await kb.search({ text: 'x77', max: 3 })).ok).toBe(true);
    unwrap(await kb.vacuum(), 'empty logs');
    harm(join(dir.path, name));
    expect(await notes(kb)).toEqual([3_000, 1]);
    for (const text of ['x77', 'abc']) expect((await kb.search({ text, max: 3 })).ok).toBe(true);
    unwrap(await kb.append([draft()]), 'one more');
    expect(unwrap(await kb.find({ kind: 'note', max: 1 }), 'notes')).toMatchObject([{ id: 3_001 }]);
  });

  test('views are not dropped for a ledger that cannot be replayed; the damaged file is the one that is named', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path, { viewsIdleMs: 1 });
    await fill(kb, 3_000);
    unwrap(await kb.vacuum(), 'empty logs');
    damage(join(dir.path, 'events.sqlite'), 30, 60);
    expect(await kb.rebuild()).toMatchObject({
      ok: false,
      error: { code: 'StorageCorrupt', message: expect.stringContaining('events.sqlite:') },
    });
    expect(await notes(kb)).toEqual([3_000, 1]);
  });
});

describe('A6: what was acknowledged stays', () => {
  test('where the log of the ledger is removed in use: it is put into the ledger, and nothing more is acknowledged', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    for (let i = 0; i < 3; i += 1) unwrap(await kb.append([draft()]), 'an event');
    rmSync(join(dir.path, 'events.sqlite-wal'));
    expect(await kb.append([draft()])).toMatchObject({
      ok: false,
      error: { code: 'StorageFailed', message: expect.stringContaining('events.sqlite-wal') },
    });
    expect(kb.fault()).toMatchObject({ code: 'StorageFailed' });
    // As a crash would leave it.
    using crashed = tempDir();
    cpSync(join(dir.path, 'events.sqlite'), join(crashed.path, 'events.sqlite'));
    await using again = await open(crashed.path);
    expect(unwrap(await again.verify(), 'verified')).toMatchObject({ events: 3 });
  });

  test('where somebody reads the ledger meanwhile, that is said, and made up for', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    unwrap(await kb.append([draft()]), 'an event');
    const reader = new Database(join(dir.path, 'events.sqlite'), { readonly: true });
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM events').get();
    unwrap(await kb.append([draft()]), 'an event');
    rmSync(join(dir.path, 'events.sqlite-wal'));
    const refused = (hint: string) => ({ ok: false, error: { hint: expect.stringContaining(hint) } });
    expect(await kb.append([draft()])).toMatchObject(refused('end what else reads the ledger'));
    reader.close();
    expect(await kb.append([draft()])).toMatchObject(refused('stands in the ledger itself'));
  });

  test('a ledger that is gone is not taken for a new one', async () => {
    using dir = tempDir();
    {
      await using kb = await open(dir.path);
      unwrap(await kb.append([draft()]), 'an event');
      unwrap(await kb.seal(newSigner()), 'a head');
    }
    rmSync(join(dir.path, 'events.sqlite'));
    expect(await openKb(deps, { rootDir: dir.path })).toMatchObject({
      ok: false,
      error: { code: 'StorageFailed', message: expect.stringContaining('is not there') },
    });
  });
});

describe('what no plain file is', () => {
  const bytes = Buffer.alloc(ledgerBlobBytesMax + 1, 'a');
  test.each<[string, (path: string, elsewhere: string) => void]>([
    ['a pipe', (path) => void execFileSync('mkfifo', [path])],
    ['a link to what never ends', (path) => symlinkSync('/dev/zero', path)],
    [
      'a link to the same bytes',
      (path, elsewhere) => {
        writeFileSync(elsewhere, bytes);
        symlinkSync(elsewhere, path);
      },
    ],
    ['other bytes, as many', (path) => writeFileSync(path, Buffer.alloc(bytes.length, 'b'))],
  ])('in the place of a blob, %s is not read, is named, and gives way to the blob', async (_, replace) => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    const digest = unwrap(await kb.putBlob(bytes), 'a blob');
    const path = join(dir.path, 'blobs', digest.slice(0, 2), digest.slice(2));
    rmSync(path);
    replace(path, join(dir.path, 'elsewhere'));
    expect((await kb.getBlob(digest)).ok).toBe(false);
    expect(unwrap(await kb.verify(), 'a check').bad_blob).toEqual({ digest });
    expect(await kb.putBlob(bytes)).toEqual({ ok: true, value: digest });
    expect(Buffer.from(unwrap(await kb.getBlob(digest), 'the blob')).equals(bytes)).toBe(true);
    expect(unwrap(await kb.verify(), 'a check').bad_blob).toBeUndefined();
  });

  test.each<[string, (path: string) => void]>([
    ['a pipe', (path) => void execFileSync('mkfifo', [path])],
    ['a folder', (path) => mkdirSync(path)],
  ])('in the place of the heads, %s is named and not waited for', async (_, replace) => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    unwrap(await kb.append([draft()]), 'an event');
    replace(join(dir.path, 'heads.ndjson'));
    expect(unwrap(await kb.verify(), 'a check').bad_head).toMatchObject({ id: 0 });
    expect(await kb.seal(newSigner())).toMatchObject({ ok: false, error: { code: 'StorageFailed' } });
  });

  test('an archive that is none is named by whatever needs it', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    unwrap(await kb.append([draft()]), 'an event');
    writeFileSync(join(dir.path, 'archive.sqlite'), Buffer.alloc(9_000, 'A'));
    const failed = { ok: false, error: { code: 'StorageCorrupt', message: expect.stringContaining('archive.sqlite') } };
    expect(await kb.getBlob('ab'.repeat(32))).toMatchObject(failed);
    expect(await kb.blobBytes('ab'.repeat(32))).toBeUndefined();
    for (const answer of [await kb.verify(), await kb.planForget('note:1'), await kb.backup(`${dir.path}/b`, by)])
      expect(answer).toMatchObject(failed);
    expect((await kb.append([draft()])).ok).toBe(true);
  });

  test.each(['{}', '{"into":5}', '{"into":""}', '[]', 'folder'])(
    'a mark of a backup that says %s is none',
    async (mark) => {
      using dir = tempDir();
      const path = join(dir.path, 'pog', 'backing-up.json');
      mkdirSync(mark === 'folder' ? path : dirname(path), { recursive: true });
      if (mark !== 'folder') writeFileSync(path, mark);
      await using kb = await open(dirname(path));
      expect((await kb.append([draft()])).ok).toBe(true);
    },
  );
});
