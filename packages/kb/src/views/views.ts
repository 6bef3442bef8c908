/**
 * pog.sqlite: the projections of the ledger, kept up to date by replaying what is new. Synchronous; lives in the views thread.
 *
 * 1. A chunk's rows and its watermark commit together: a crash leaves the views at some earlier event, never between.
 * 2. Views of another version, unfinished ones, ones that do not continue this ledger, and a file that is no database
 *    or a broken one are dropped and rebuilt (A5).
 * 3. Kinds that are not known here are skipped; the ledger keeps them (A9).
 */
import Database from 'better-sqlite3';
import { type Digest, type JsonObject, isJsonObject, parseJson, toHex } from '@runloop/core';
import { type Blake3 } from '../blake3.ts';
import type { EventRow } from '../ledger/event.ts';
import { projectEventsMax } from '../limits.ts';
import { type Projected, type ProjectionOf, metaOf } from './projection.ts';
import { projectClaims } from './project-claims.ts';
import { projectContacts, projectEdges, projectFacts, projectNotes } from './project-knowledge.ts';
import { projectForgotten, projectUpkeep } from './project-forgotten.ts';
import { projectMailbox } from './project-mailbox.ts';
import { projectApprovals, projectEffects, projectNodes, projectRecords, projectRuns } from './project-runs.ts';
import { dropDatabase, isSound } from '../damage.ts';
import { type ProgressCounts, tell } from '../progress.ts';
import { rewrite } from '../rewrite.ts';
import { isBroken } from '../storage-failure.ts';
import { viewTables, viewsSql, viewsVersion } from './views-schema.ts';

export type ViewHashes = { readonly [table: string]: Digest };

export interface Views extends Disposable {
  readonly db: Database.Database;
  /** Projects everything that the ledger holds now; answers how many events were replayed. */
  catchUp(): number;
  /** Projects one chunk; false when there was nothing left. */
  catchUpSome(): boolean;
  watermark(): number;
  /** Drops every view and replays the ledger; `compact` leaves nothing of the old ones in the file. */
  rebuild(compact?: boolean): { readonly events: number; readonly before: ViewHashes; readonly after: ViewHashes };
  hashes(): ViewHashes;
  /** How many rows each has. */
  rows(): { readonly [table: string]: number };
  /** Rewrites the file: what was deleted is nowhere in it. */
  compact(): void;
}

const projections: readonly ProjectionOf[] = [
  projectContacts,
  projectClaims,
  projectFacts,
  projectEdges,
  projectNotes,
  projectRuns,
  projectNodes,
  projectEffects,
  projectApprovals,
  projectRecords,
  projectMailbox,
  projectForgotten,
  projectUpkeep,
];

type Row = Pick<EventRow, 'id' | 'ts_ms' | 'actor' | 'kind' | 'payload_json' | 'trace_id' | 'chain_blake3'>;

/** Opens the file, made anew where what stands there cannot be read: the ledger has everything that it had. */
function connect(path: string, ledger: Database.Database): Database.Database {
  const open = (): Database.Database => {
    const db = new Database(path);
    try {
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = NORMAL');
      if (!isCurrent(db, ledger)) recreate(db);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  };
  try {
    return open();
  } catch (error) {
    if (!isBroken(error) || isSound(path)) throw error;
    dropDatabase(path);
    return open();
  }
}

/** `ledger` is a read-only connection to events.sqlite. */
export function openViews(path: string, ledger: Database.Database, blake3: Blake3, counts?: ProgressCounts): Views {
  const db = connect(path, ledger);
  let apply = prepareApply(db, blake3);
  const next = ledger.prepare<[number, number], Row>(
    'SELECT id, ts_ms, actor, kind, payload_json, trace_id, chain_blake3 FROM events WHERE id > ? ORDER BY id LIMIT ?',
  );
  const readWatermark = (): number => Number(db.prepare('SELECT watermark FROM materializer_state').pluck().get());
  let watermark = readWatermark();

  const some = (): number => {
    const rows = next.all(watermark, projectEventsMax);
    const last = rows.at(-1);
    if (last === undefined) return 0;
    db.transaction(() => {
      for (const row of rows) apply(row);
      db.prepare('UPDATE materializer_state SET watermark = ?, chain = ?').run(last.id, last.chain_blake3);
    })();
    watermark = last.id;
    return rows.length;
  };
  const catchUp = (): number => {
    let all = 0;
    for (let count = some(); count > 0; count = some()) all += count;
    return all;
  };
  return {
    db,
    catchUp,
    compact: () => rewrite(db),
    rows: () =>
      Object.fromEntries(
        Object.keys(viewTables).map((table) => [
          table,
          db.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get() ?? 0,
        ]),
      ),
    catchUpSome: () => some() > 0,
    watermark: () => watermark,
    rebuild(compact = false) {
      catchUp();
      const before = hashViews(db, blake3);
      // What cannot be read to its end cannot be replayed: the views stay as they are.
      ledger.prepare('SELECT sum(length(payload_json)) FROM events').get();
      recreate(db);
      apply = prepareApply(db, blake3);
      watermark = 0;
      db.exec('UPDATE meta SET dirty = 1');
      let events = 0;
      tell(counts, 0, ledger.prepare<[], number>('SELECT max(id) FROM events').pluck().get() ?? 0);
      for (let count = some(); count > 0; count = some()) tell(counts, (events += count));
      db.exec('UPDATE meta SET dirty = 0');
      if (compact) rewrite(db);
      return { events, before, after: hashViews(db, blake3) };
    },
    hashes: () => hashViews(db, blake3),
    [Symbol.dispose]() {
      db.close();
    },
  };
}

/** Whether the views are of this version, whole, and grown from this very ledger. */
function isCurrent(db: Database.Database, ledger: Database.Database): boolean {
  const has = db
    .prepare(`SELECT count(*) FROM sqlite_schema WHERE name IN ('meta', 'materializer_state')`)
    .pluck()
    .get();
  if (has !== 2) return false;
  const meta = db
    .prepare<[], { schema_version: number; dirty: number }>('SELECT schema_version, dirty FROM meta')
    .get();
  if (meta?.schema_version !== viewsVersion || meta.dirty !== 0) return false;
  const state = db
    .prepare<[], { watermark: number; chain: Buffer | null }>('SELECT watermark, chain FROM materializer_state')
    .get();
  if (state === undefined) return false;
  if (state.watermark === 0) return true;
  const chain = ledger
    .prepare<[number], Buffer>('SELECT chain_blake3 FROM events WHERE id = ?')
    .pluck()
    .get(state.watermark);
  return chain !== undefined && state.chain !== null && chain.equals(state.chain);
}

function recreate(db: Database.Database): void {
  db.transaction(() => {
    const tables = db
      .prepare<[], string>(
        `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'search_fts_%'`,
      )
      .pluck()
      .all();
    for (const table of tables) db.exec(`DROP TABLE "${table}"`);
    db.exec(viewsSql);
  })();
}

function prepareApply(db: Database.Database, blake3: Blake3): (row: Row) => void {
  const byKind = new Map<string, ((event: Projected) => void)[]>();
  for (const projection of projections) {
    for (const [kind, act] of Object.entries(projection(db, blake3)))
      byKind.set(kind, [...(byKind.get(kind) ?? []), act]);
  }
  return (row) => {
    const acts = byKind.get(row.kind);
    if (acts === undefined || row.payload_json === null) return;
    const parsed = parseJson(row.payload_json);
    if (!parsed.ok || !isJsonObject(parsed.value)) return;
    const payload: JsonObject = parsed.value;
    const event: Projected = {
      id: row.id,
      ts_ms: row.ts_ms,
      actor: row.actor,
      kind: row.kind,
      trace: row.trace_id === null ? null : row.trace_id.toString('hex'),
      payload,
      meta: metaOf(payload),
    };
    for (const act of acts) act(event);
  };
}

function hashViews(db: Database.Database, blake3: Blake3): ViewHashes {
  const hashes: [string, Digest][] = [];
  for (const [table, order] of Object.entries(viewTables)) {
    let running: Uint8Array = new Uint8Array(32);
    const rows = db
      .prepare(`SELECT ${table === 'search_fts' ? 'rowid, ' : ''}* FROM ${table} ORDER BY ${order}`)
      .raw()
      .iterate();
    for (const row of rows) running = blake3.digest(running, JSON.stringify(row));
    hashes.push([table, toHex(running) as Digest]);
  }
  return Object.fromEntries(hashes);
}
