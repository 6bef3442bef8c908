/**
 * The tables of events.sqlite, and the triggers that make it append-only.
 *
 * 1. No row is deleted, replaced or renumbered; ids only grow.
 * 2. A blob is what its digest says: it may go, once forgotten, but not become another.
 * 3. The only update of an event is erasure: payload and salt become NULL together, everything else stays what it was.
 */
export const ledgerVersion = 2;

const kept = [
  'id',
  'ts_ms',
  'actor',
  'kind',
  'scope',
  'provenance_json',
  'hash_blake3',
  'chain_blake3',
  'dedupe_key',
  'trace_id',
  'run_seq',
];

export const ledgerSql: string = `
CREATE TABLE IF NOT EXISTS events(
  id INTEGER PRIMARY KEY AUTOINCREMENT, ts_ms INTEGER NOT NULL, actor TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL,
  payload_json TEXT, payload_salt BLOB, provenance_json TEXT NOT NULL, hash_blake3 BLOB NOT NULL, chain_blake3 BLOB NOT NULL,
  dedupe_key TEXT UNIQUE, trace_id BLOB, run_seq INTEGER);
CREATE INDEX IF NOT EXISTS events_of_run ON events(trace_id, id) WHERE trace_id IS NOT NULL;
CREATE TRIGGER IF NOT EXISTS events_no_delete BEFORE DELETE ON events BEGIN
  SELECT RAISE(ABORT, 'the ledger is append-only: no row is deleted');
END;
CREATE TRIGGER IF NOT EXISTS events_no_renumber BEFORE INSERT ON events
WHEN NEW.id <> -1 AND NEW.id <= (SELECT coalesce(max(id), 0) FROM events) BEGIN
  SELECT RAISE(ABORT, 'the ledger is append-only: ids only grow');
END;
CREATE TRIGGER IF NOT EXISTS events_only_erased BEFORE UPDATE ON events
WHEN NEW.payload_json IS NOT NULL OR NEW.payload_salt IS NOT NULL OR ${kept.map((column) => `NEW.${column} IS NOT OLD.${column}`).join(' OR ')} BEGIN
  SELECT RAISE(ABORT, 'the ledger is append-only: a row changes only by erasing its payload');
END;
CREATE TABLE IF NOT EXISTS blobs(digest BLOB PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS blobs_no_change BEFORE UPDATE ON blobs BEGIN
  SELECT RAISE(ABORT, 'a blob does not change');
END;
`;
