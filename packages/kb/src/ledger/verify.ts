/**
 * Checks a ledger from its first row to its last, and names the first row that is not what was written.
 *
 * 1. Any change to any column, and any row removed, inserted or moved, breaks the chain at that row.
 * 2. Blobs are what their names say: in the ledger, in the archive, and those that are files.
 * 3. A row without payload is accepted only where a later `subject.forgotten` lists its id.
 * 4. What was signed (heads.ndjson, and a head that was kept elsewhere) is still there: a ledger that was cut short or
 *    rewritten as a whole does not have it.
 * 5. Heads of another key are believed where the ledger says later that it was restored: a backup brings those of the
 *    host that it was made on. They are counted apart.
 */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type Failure, type JsonObject, type Result, err, ok, toHex } from '@runloop/core';
import { type Blake3 } from '../blake3.ts';
import { createSchemaCheck, type SchemaCheck } from '../kinds/check-schema.ts';
import { blobFiles } from './blob-files.ts';
import { createChain, eventHash, genesisChain } from './chain.ts';
import type { EventRow } from './event.ts';
import { type SignedHead, badSignature, readHeads } from './heads.ts';
import { allSchemas } from '../kinds/own-schemas.ts';
import { type ProgressCounts, tell } from '../progress.ts';
import { storageFailure } from '../storage-failure.ts';
import { badBlob } from './verify-blobs.ts';

export type Verified = {
  readonly events: number;
  /** The last chain value, in hex. */
  readonly head: string;
  readonly first_bad?: { readonly id: number; readonly why: string };
  /** A blob whose bytes are not what its name says. */
  readonly bad_blob?: { readonly digest: string };
  /** The first event that is whole but has not the shape of its kind: a defect of whoever wrote it. */
  readonly misfit?: { readonly id: number; readonly why: string };
  /** How many signed heads the ledger still has. */
  readonly heads: number;
  /** How many more it has that are signed with another key, from before it was restored. */
  readonly foreign_heads: number;
  /** The first signed head that it does not have, or that is not signed. */
  readonly bad_head?: { readonly id: number; readonly why: string };
};
export type VerifyOptions = {
  /** A head that was kept elsewhere. */
  readonly head?: SignedHead | undefined;
  /** The public key that heads must be signed with, in hex; any key where left out. */
  readonly key?: string | undefined;
};
export type VerifyData = {
  readonly rootDir: string;
  readonly eventsDb: string;
  readonly counts?: ProgressCounts;
};

export function verifyLedger(
  { rootDir, eventsDb: path, counts }: VerifyData,
  options: VerifyOptions,
  blake3: Blake3,
): Result<Verified, Failure> {
  try {
    using stack = new DisposableStack();
    const db = stack.adopt(new Database(path, { readonly: true, fileMustExist: true }), (opened) => opened.close());
    const known = readHeads(rootDir);
    const files = blobFiles(join(rootDir, 'blobs'));
    const rows = db.prepare<[], number>('SELECT max(id) FROM events').pluck().get() ?? 0;
    tell(counts, 0, rows + files.length);
    const found = db.transaction(() => ({ ...check(db, blake3, counts), ...checkHeads(db, known, options) }))();
    const bad = badBlob({ db, rootDir, files }, blake3, (done) => tell(counts, rows + done));
    return ok(bad === undefined ? found : { ...found, bad_blob: { digest: bad } });
  } catch (error) {
    return err(storageFailure(error, path));
  }
}

function checkHeads(
  db: Database.Database,
  { heads, badLine }: ReturnType<typeof readHeads>,
  { head, key }: VerifyOptions,
): Pick<Verified, 'heads' | 'foreign_heads' | 'bad_head'> {
  const chainAt = db.prepare<[number], Buffer>('SELECT chain_blake3 FROM events WHERE id = ?').pluck();
  const restoredAt =
    db.prepare<[], number>(`SELECT max(id) FROM events WHERE kind = 'ledger.restored'`).pluck().get() ?? 0;
  const counts = { heads: 0, foreign_heads: 0 };
  for (const one of head === undefined ? heads : [...heads, head]) {
    const { id, chain } = one;
    const isForeign = key !== undefined && one.key !== key;
    const now = id === 0 ? toHex(genesisChain) : chainAt.get(id)?.toString('hex');
    const why =
      (isForeign && (one === head || id >= restoredAt) ? 'it is signed with another key' : undefined) ??
      badSignature(one) ??
      (now === undefined
        ? 'the ledger ends before it'
        : now === chain
          ? undefined
          : 'the ledger has another chain there');
    if (why !== undefined) return { ...counts, bad_head: { id, why } };
    counts[isForeign ? 'foreign_heads' : 'heads'] += 1;
  }
  if (badLine !== undefined)
    return { ...counts, bad_head: { id: 0, why: `line ${badLine} of heads.ndjson is no head` } };
  return counts;
}

function check(
  db: Database.Database,
  blake3: Blake3,
  counts: ProgressCounts | undefined,
): Omit<Verified, 'heads' | 'foreign_heads' | 'bad_head' | 'bad_blob'> {
  const chain = createChain(blake3);
  const forgotten = forgottenIds(db);
  let head: Uint8Array = genesisChain;
  let last = 0;
  let events = 0;
  let misfit: Verified['misfit'];
  const fits = createSchemaCheck(allSchemas);
  const bad = (id: number, why: string): ReturnType<typeof check> => ({
    events,
    head: toHex(head),
    first_bad: { id, why },
  });
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
    misfit ??= misfitOf(row, fits);
    head = row.chain_blake3;
    last = row.id;
    events += 1;
    if (events % 1_000 === 0) tell(counts, events);
  }
  const counted = db.prepare<[], number>(`SELECT seq FROM sqlite_sequence WHERE name = 'events'`).pluck().get() ?? 0;
  if (counted > last) return bad(last + 1, `rows ${last + 1} to ${counted} are missing from the end`);
  return { events, head: toHex(head), ...(misfit === undefined ? {} : { misfit }) };
}

function misfitOf({ id, kind, payload_json: text }: EventRow, fits: SchemaCheck): Verified['misfit'] {
  const why = text === null ? undefined : fits(kind, JSON.parse(text) as JsonObject);
  return why === undefined ? undefined : { id, why };
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
