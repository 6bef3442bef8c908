/**
 * Checks blobs against their names, wherever they stand.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { toHex } from '@runloop/core';
import { eachArchived } from '../archive/archive.ts';
import type { Blake3 } from '../blake3.ts';
import { blobFile, notBlobFiles } from './blob-files.ts';
import { hasBlobs } from './ledger-blobs.ts';

type Places = {
  readonly db: Database.Database;
  readonly rootDir: string;
  /** The digests of those that are files. */
  readonly files: readonly string[];
};

/** The digest of the first blob that is not what its name says; `tell` hears how many files were read. */
export function badBlob(
  { db, rootDir, files }: Places,
  blake3: Blake3,
  tell: (done: number) => void,
): string | undefined {
  return inLedger(db, blake3) ?? inArchive(rootDir, blake3) ?? inFiles(join(rootDir, 'blobs'), files, blake3, tell);
}

function inLedger(db: Database.Database, blake3: Blake3): string | undefined {
  if (!hasBlobs(db)) return undefined;
  const rows = db.prepare<[], { digest: Buffer; bytes: Buffer }>('SELECT digest, bytes FROM blobs').iterate();
  for (const { digest, bytes } of rows)
    if (!Buffer.isBuffer(bytes) || !digest.equals(blake3.digest(bytes))) return digest.toString('hex');
  return undefined;
}

function inArchive(rootDir: string, blake3: Blake3): string | undefined {
  let bad: string | undefined;
  eachArchived(rootDir, (digest, bytes) => {
    if (bytes === undefined || toHex(blake3.digest(bytes)) !== digest) bad ??= digest;
  });
  return bad;
}

function inFiles(
  blobsDir: string,
  files: readonly string[],
  blake3: Blake3,
  tell: (done: number) => void,
): string | undefined {
  const [other] = notBlobFiles(blobsDir);
  if (other !== undefined) return other;
  for (const [i, digest] of files.entries()) {
    if (toHex(blake3.digest(readFileSync(blobFile(blobsDir, digest)))) !== digest) return digest;
    tell(i + 1);
  }
  return undefined;
}
