/**
 * Reads runs and blobs of a state directory without a daemon and without its lock. Writes nothing.
 *
 * A daemon may be appending meanwhile: SQLite shows a reader one consistent state.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import {
  type Digest,
  digestBytes,
  err,
  failure,
  type Failure,
  ok,
  type Random,
  type Result,
  toHex,
} from '@runloop/core';
import { type Blake3, loadBlake3 } from '../blake3.ts';
import { createBlobs } from './blobs.ts';
import { eventHash } from './chain.ts';
import type { EventRow, StoredEvent } from './event.ts';
import { readLedgerBlob } from './ledger-blobs.ts';
import { readRunEvents, type RunEventsQuery } from '../views/reads.ts';
import { storageFailure } from '../storage-failure.ts';

export interface TapeReader extends Disposable {
  runEvents(q: RunEventsQuery): Promise<Result<{ readonly events: readonly StoredEvent[] }, Failure>>;
  getBlob(digest: string): Promise<Result<Uint8Array, Failure>>;
  /** Trace ids of the runs that have finished, in the order in which they did. */
  finishedRuns(): Promise<Result<readonly string[], Failure>>;
  /** The first event of a run whose hash does not follow from what it says. */
  firstChanged(traceId: string): Promise<Result<ChangedEvent | undefined, Failure>>;
}

export type ChangedEvent = { readonly id: number; readonly written: string; readonly found: string };

export function openTapeReader(
  deps: { readonly random: Random },
  options: { readonly rootDir: string; readonly eventsDb?: string },
): Result<TapeReader, Failure> {
  const path = options.eventsDb ?? join(options.rootDir, 'events.sqlite');
  if (!existsSync(path))
    return err(failure('NotFound', `there is no ledger at ${path}`, { hint: 'nothing has run here yet' }));
  let db: Database.Database;
  try {
    db = new Database(path, { readonly: true, fileMustExist: true });
  } catch (error) {
    return err(storageFailure(error, path));
  }
  const blobs = createBlobs(
    { random: deps.random, digestOf: (bytes) => Promise.resolve(ok<Digest>(digestBytes(bytes))) },
    options.rootDir,
  );
  const read = <T>(reading: () => T): Promise<Result<T, Failure>> => {
    try {
      return Promise.resolve(ok(reading()));
    } catch (error) {
      return Promise.resolve(err(storageFailure(error, path)));
    }
  };
  return ok({
    runEvents: (q) => read(() => readRunEvents(db, q)),
    finishedRuns: () =>
      read(() =>
        db
          .prepare<[], string>("SELECT lower(hex(trace_id)) FROM events WHERE kind = 'run.finished' ORDER BY id")
          .pluck()
          .all(),
      ),
    async firstChanged(traceId) {
      const blake3 = await loadBlake3();
      return read(() => firstChanged(db, blake3, traceId));
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

function firstChanged(db: Database.Database, blake3: Blake3, traceId: string): ChangedEvent | undefined {
  const rows = db.prepare<[Buffer], EventRow>('SELECT * FROM events WHERE trace_id = ? ORDER BY id');
  for (const row of rows.iterate(Buffer.from(traceId, 'hex'))) {
    const { id, payload_json, payload_salt } = row;
    if (payload_json === null || payload_salt === null) continue;
    const found = toHex(eventHash(blake3, { ...row, payload_json, payload_salt }));
    const written = row.hash_blake3.toString('hex');
    if (found !== written) return { id, written, found };
  }
  return undefined;
}
