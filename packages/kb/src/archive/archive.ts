/**
 * Where blobs of old runs go: `archive.sqlite` beside the ledger, each packed by zstd under its digest. They are read from
 * there as from anywhere else; the ledger's file stays small.
 *
 * 1. A blob is on disk in the archive before it leaves the ledger or its file: it may be in both, never in neither.
 * 2. Only what runs name that ended long ago, and nothing else names, is moved (plan.ts). Whoever names such a blob
 *    meanwhile reads it from the archive.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { type Failure, type Result, err, ok } from '@runloop/core';
import type { Blake3 } from '../blake3.ts';
import { blobFile, isBlobFile } from '../ledger/blob-files.ts';
import { hasBlobs } from '../ledger/ledger-blobs.ts';
import { blobBytesMax } from '../limits.ts';
import { rewrite } from '../rewrite.ts';
import { ofFile, storageFailure } from '../storage-failure.ts';

export type Archived = {
  readonly runs: number;
  readonly blobs: number;
  /** Bytes of the blobs as they are, and as they are packed. */
  readonly bytes: number;
  readonly packed: number;
};

export function archiveFile(rootDir: string): string {
  return join(rootDir, 'archive.sqlite');
}

/** Opens the archive, made where there is none. */
function openArchive(rootDir: string): Database.Database {
  const db = new Database(archiveFile(rootDir));
  for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', 'secure_delete = ON']) db.pragma(pragma);
  db.exec('CREATE TABLE IF NOT EXISTS blobs(digest BLOB PRIMARY KEY, size INTEGER NOT NULL, bytes BLOB NOT NULL)');
  return db;
}

/** What `read` finds in the archive; nothing where there is none, and none is made. */
function reading<T>(rootDir: string, read: (db: Database.Database) => T): T | undefined {
  const path = archiveFile(rootDir);
  if (!existsSync(path)) return undefined;
  try {
    using stack = new DisposableStack();
    return read(stack.adopt(new Database(path, { readonly: true }), (opened) => opened.close()));
  } catch (error) {
    throw ofFile(error, path);
  }
}

/** The blob, or nothing; its digest is for the caller to check. Empty where it can no longer be unpacked. */
export function readArchived(rootDir: string, digest: string): Buffer | undefined {
  const bytes = reading(rootDir, (db) =>
    db.prepare<[Buffer], Buffer>('SELECT bytes FROM blobs WHERE digest = ?').pluck().get(Buffer.from(digest, 'hex')),
  );
  return bytes === undefined ? undefined : (unpack(bytes) ?? Buffer.alloc(0));
}

export function archivedSize(rootDir: string, digest: string): number | undefined {
  return reading(rootDir, (db) =>
    db.prepare<[Buffer], number>('SELECT size FROM blobs WHERE digest = ?').pluck().get(Buffer.from(digest, 'hex')),
  );
}

export function archivedDigests(rootDir: string): ReadonlySet<string> {
  const all = reading(rootDir, (db) => db.prepare<[], string>('SELECT lower(hex(digest)) FROM blobs').pluck().all());
  return new Set(all);
}

/** Each with its bytes, or without where they can no longer be unpacked. */
export function eachArchived(rootDir: string, tell: (digest: string, bytes: Buffer | undefined) => void): void {
  reading(rootDir, (db) => {
    const rows = db.prepare<[], { digest: Buffer; bytes: Buffer }>('SELECT digest, bytes FROM blobs').iterate();
    for (const { digest, bytes } of rows) tell(digest.toString('hex'), unpack(bytes));
  });
}

/** Takes blobs out of the archive for good. */
export function dropArchived(rootDir: string, digests: readonly string[]): void {
  if (!existsSync(archiveFile(rootDir))) return;
  using stack = new DisposableStack();
  const db = stack.adopt(openArchive(rootDir), (opened) => opened.close());
  const drop = db.prepare('DELETE FROM blobs WHERE digest = ?');
  db.transaction(() => {
    for (const digest of digests) drop.run(Buffer.from(digest, 'hex'));
  })();
  rewrite(db);
}

/**
 * Moves these blobs, in one transaction of each file; one that is not what its name says stays. `ledger` is the writer's own
 * connection.
 */
export function moveToArchive(
  ledger: Database.Database,
  rootDir: string,
  digests: readonly string[],
  blake3: Blake3,
): Result<Omit<Archived, 'runs'>, Failure> {
  if (digests.length === 0 || !hasBlobs(ledger)) return ok({ blobs: 0, bytes: 0, packed: 0 });
  const blobsDir = join(rootDir, 'blobs');
  let packed: Packed;
  try {
    packed = packInto(rootDir, ledger, digests, blake3);
  } catch (error) {
    return err(storageFailure(error, archiveFile(rootDir)));
  }
  const { moved, ...told } = packed;
  const drop = ledger.prepare('DELETE FROM blobs WHERE digest = ?');
  ledger.transaction(() => {
    for (const digest of moved) drop.run(Buffer.from(digest, 'hex'));
  })();
  for (const digest of moved) rmSync(blobFile(blobsDir, digest), { force: true });
  return ok(told);
}

type Packed = Omit<Archived, 'runs'> & { readonly moved: readonly string[] };

function packInto(rootDir: string, ledger: Database.Database, digests: readonly string[], blake3: Blake3): Packed {
  const told = { blobs: 0, bytes: 0, packed: 0 };
  using stack = new DisposableStack();
  const archive = stack.adopt(openArchive(rootDir), (opened) => opened.close());
  // What is there already may have been damaged since.
  const put = archive.prepare('INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)');
  const find = ledger.prepare<[Buffer], Buffer>('SELECT bytes FROM blobs WHERE digest = ?').pluck();
  const blobsDir = join(rootDir, 'blobs');
  const moved: string[] = [];
  archive.transaction(() => {
    for (const digest of digests) {
      const key = Buffer.from(digest, 'hex');
      const bytes =
        find.get(key) ?? (isBlobFile(blobsDir, digest) ? readFileSync(blobFile(blobsDir, digest)) : undefined);
      if (bytes === undefined || !key.equals(blake3.digest(bytes))) continue;
      const packed = zstdCompressSync(bytes);
      put.run(key, bytes.length, packed);
      moved.push(digest);
      told.blobs += 1;
      told.bytes += bytes.length;
      told.packed += packed.length;
    }
  })();
  return { ...told, moved };
}

/** Nothing where they are not what was packed. */
function unpack(bytes: Buffer): Buffer | undefined {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: blobBytesMax });
  } catch {
    return undefined;
  }
}
