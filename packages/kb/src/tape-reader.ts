/**
 * Reads runs and blobs of a state directory without a daemon and without its lock. Writes nothing.
 *
 * A daemon may be appending meanwhile: SQLite shows a reader one consistent state.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type Digest, digestBytes, err, failure, type Failure, ok, type Random, type Result } from '@runloop/core';
import { createBlobs } from './blobs.ts';
import type { StoredEvent } from './event.ts';
import { readLedgerBlob } from './ledger-blobs.ts';
import { readRunEvents, type RunEventsQuery } from './reads.ts';
import { storageFailure } from './storage-failure.ts';

export interface TapeReader extends Disposable {
  runEvents(q: RunEventsQuery): Promise<Result<{ readonly events: readonly StoredEvent[] }, Failure>>;
  getBlob(digest: string): Promise<Result<Uint8Array, Failure>>;
}

export function openTapeReader(
  deps: { readonly random: Random },
  options: { readonly rootDir: string; readonly eventsDb?: string },
): Result<TapeReader, Failure> {
  const path = options.eventsDb ?? join(options.rootDir, 'events.sqlite');
  let db: Database.Database;
  try {
    db = new Database(path, { readonly: true, fileMustExist: true });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'SQLITE_CANTOPEN')
      return err(failure('NotFound', `there is no ledger at ${path}`, { hint: 'nothing has run here yet' }));
    return err(storageFailure(error, path));
  }
  const blobs = createBlobs(
    { random: deps.random, digestOf: (bytes) => Promise.resolve(ok<Digest>(digestBytes(bytes))) },
    options.rootDir,
  );
  return ok({
    runEvents(q) {
      try {
        return Promise.resolve(ok(readRunEvents(db, q)));
      } catch (error) {
        return Promise.resolve(err(storageFailure(error, path)));
      }
    },
    getBlob(digest) {
      try {
        const kept = readLedgerBlob(db, digest, digestBytes);
        return kept === undefined ? blobs.get(digest) : Promise.resolve(kept);
      } catch (error) {
        return Promise.resolve(err(storageFailure(error, path)));
      }
    },
    [Symbol.dispose]: () => void db.close(),
  });
}
