/**
 * A copy of a ledger as it stands now, whoever is writing to it; blobs that are files are not copied.
 */
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Failure, type Result, err, ok } from '@runloop/core';
import { storageFailure } from '../storage-failure.ts';

/** Writes `into`, which must not exist; does nothing where there is no ledger yet. */
export function copyLedger(eventsDb: string, into: string): Result<void, Failure> {
  if (!existsSync(eventsDb)) return ok(undefined);
  try {
    const db = new Database(eventsDb, { readonly: true });
    try {
      db.prepare('VACUUM INTO ?').run(into);
    } finally {
      db.close();
    }
    return ok(undefined);
  } catch (error) {
    return err(storageFailure(error, `${eventsDb}, copied to ${into}`));
  }
}
