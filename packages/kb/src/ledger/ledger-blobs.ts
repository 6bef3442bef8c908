/**
 * Blobs that stand in the ledger itself: read, and checked against their names.
 */
import type Database from 'better-sqlite3';
import { type Failure, failure, isDigest, type Result, err, ok } from '@runloop/core';

/** The bytes, or nothing where the ledger has no such blob: it may be a file. A ledger of version 1 has no blobs at all. */
export function readLedgerBlob(
  ledger: Database.Database,
  digest: string,
  digestOf: (bytes: Uint8Array) => string,
): Result<Uint8Array, Failure> | undefined {
  if (!isDigest(digest) || !hasBlobs(ledger)) return undefined;
  const find = ledger.prepare<[Buffer], Buffer>('SELECT bytes FROM blobs WHERE digest = ?').pluck();
  const bytes = find.get(Buffer.from(digest, 'hex'));
  if (bytes === undefined) return undefined;
  return digestOf(bytes) === digest ? ok(bytes) : err(blobMismatch(digest));
}

/** What looks like the digest of a blob in a text. */
export function digestsIn(text: string): readonly string[] {
  return text.match(/[0-9a-f]{64}/g) ?? [];
}

export function hasBlobs(ledger: Database.Database): boolean {
  return ledger.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'blobs'`).get() !== undefined;
}

export function blobMismatch(digest: string): Failure {
  return failure('DigestMismatch', `the blob ${digest} does not hold what its name says`, {
    hint: 'Restore it from a backup.',
  });
}
