/**
 * Checks a ledger from its first row to its last, and names the first row that is not what was written.
 *
 * 1. Any change to any column, and any row removed, inserted or moved, breaks the chain at that row.
 * 2. The blobs that stand in it are what their names say. Blobs that are files are checked when they are read.
 * 3. A row without payload is accepted only where a later `subject.forgotten` lists its id.
 * A ledger cut short from its end together with SQLite's own counter needs a head kept elsewhere to be found.
 */
import Database from 'better-sqlite3';
import { type Failure, type Result, err, ok } from '@runloop/core';
import { type Blake3, hexOf } from './blake3.ts';
import { createChain, eventHash, genesisChain } from './chain.ts';
import type { EventRow } from './event.ts';
import { hasBlobs } from './ledger-blobs.ts';
import { storageFailure } from './storage-failure.ts';

export type Verified = {
  readonly events: number;
  /** The last chain value, in hex. */
  readonly head: string;
  readonly first_bad?: { readonly id: number; readonly why: string };
  /** A blob in the ledger whose bytes are not what its name says. */
  readonly bad_blob?: { readonly digest: string };
};

export function verifyLedger(path: string, blake3: Blake3): Result<Verified, Failure> {
  try {
    using stack = new DisposableStack();
    const db = stack.adopt(new Database(path, { readonly: true, fileMustExist: true }), (opened) => opened.close());
    return ok(db.transaction(() => check(db, blake3))());
  } catch (error) {
    return err(storageFailure(error, path));
  }
}

function check(db: Database.Database, blake3: Blake3): Verified {
  const chain = createChain(blake3);
  const forgotten = forgottenIds(db);
  let head: Uint8Array = genesisChain;
  let last = 0;
  let events = 0;
  const bad = (id: number, why: string): Verified => ({ events, head: hexOf(head), first_bad: { id, why } });
  for (const row of db.prepare<[], EventRow>('SELECT * FROM events ORDER BY id').iterate()) {
    if (row.id !== last + 1) return bad(last + 1, `row ${last + 1} is missing; the next one is ${row.id}`);
    const why = wrongPayload(blake3, row, forgotten);
    if (why !== undefined) return bad(row.id, why);
    let expected: Uint8Array;
    try {
      expected = chain(head, row);
    } catch {
      return bad(row.id, 'a column does not hold the type that was written');
    }
    if (!row.chain_blake3.equals(expected))
      return bad(row.id, 'its chain value does not follow from its columns and the row before');
    head = row.chain_blake3;
    last = row.id;
    events += 1;
  }
  const counted = db.prepare<[], number>(`SELECT seq FROM sqlite_sequence WHERE name = 'events'`).pluck().get() ?? 0;
  if (counted > last) return bad(last + 1, `rows ${last + 1} to ${counted} are missing from the end`);
  const blob = badBlob(db, blake3);
  return { events, head: hexOf(head), ...(blob === undefined ? {} : { bad_blob: { digest: blob } }) };
}

function badBlob(db: Database.Database, blake3: Blake3): string | undefined {
  if (!hasBlobs(db)) return undefined;
  const rows = db.prepare<[], { digest: Buffer; bytes: Buffer }>('SELECT digest, bytes FROM blobs').iterate();
  for (const { digest, bytes } of rows)
    if (!Buffer.isBuffer(bytes) || !digest.equals(blake3.digest(bytes))) return digest.toString('hex');
  return undefined;
}

function wrongPayload(blake3: Blake3, row: EventRow, forgotten: ReadonlyMap<number, number>): string | undefined {
  if (!Buffer.isBuffer(row.hash_blake3) || !Buffer.isBuffer(row.chain_blake3)) return 'its hash or chain is not bytes';
  const { payload_json, payload_salt } = row;
  if (payload_json === null && payload_salt === null) {
    return (forgotten.get(row.id) ?? 0) > row.id ? undefined : 'its payload is gone, and no subject.forgotten lists it';
  }
  if (typeof payload_json !== 'string' || !Buffer.isBuffer(payload_salt))
    return 'its payload or salt is not what was written';
  if (typeof row.provenance_json !== 'string') return 'its provenance is not text';
  const hash = eventHash(blake3, { ...row, payload_json, payload_salt });
  return row.hash_blake3.equals(hash)
    ? undefined
    : 'its hash does not follow from actor, kind, payload, provenance and scope';
}

/** Erased event → the event that says so. */
function forgottenIds(db: Database.Database): ReadonlyMap<number, number> {
  const ids = new Map<number, number>();
  const rows = db.prepare<[], { id: number; payload_json: string | null }>(
    `SELECT id, payload_json FROM events WHERE kind = 'subject.forgotten'`,
  );
  for (const { id, payload_json } of rows.iterate()) {
    if (payload_json === null) continue;
    const parsed = JSON.parse(payload_json) as { events?: unknown };
    if (Array.isArray(parsed.events)) for (const one of parsed.events) if (typeof one === 'number') ids.set(one, id);
  }
  return ids;
}
