-- A ledger as version 1 of its schema wrote it: three events of a run; the output of node a is a blob in a file.
BEGIN TRANSACTION;
CREATE TABLE events(
  id INTEGER PRIMARY KEY AUTOINCREMENT, ts_ms INTEGER NOT NULL, actor TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL,
  payload_json TEXT, payload_salt BLOB, provenance_json TEXT NOT NULL, hash_blake3 BLOB NOT NULL, chain_blake3 BLOB NOT NULL,
  dedupe_key TEXT UNIQUE, trace_id BLOB, run_seq INTEGER);
INSERT INTO "events" VALUES(1,1000,'user:test','run.accepted','run/abababababababababababababababab','{"level":"info","message":"run.accepted","meta":{"agents":{},"name":"old","params":{}},"opening_id":"op_1","run_id":"run_1","seq":1}',X'2F343F4168EA2DE5E3061ECF624DB54A','{}',X'E65C1104CB1BFEBF844F15DBB515ADAAD039C00621882E16D56BD2EA95858BA3',X'7B2A907ABD4E97D1DB119FC1CF4BF1C23CFCC5476D736529ACEF23185B65431D',NULL,X'ABABABABABABABABABABABABABABABAB',1);
INSERT INTO "events" VALUES(2,1000,'user:test','run.started','run/abababababababababababababababab','{"level":"info","message":"run.started","meta":{},"opening_id":"op_1","run_id":"run_1","seq":2}',X'C70486502167D1384F75D1ED5A6EDE5B','{}',X'2C2593AA274864856DB1CB1B813D4869F96FFD8F24A59212976F1FFEDF3E9FD6',X'5B65DD49BCBFE6B81E3AE7381B15D0D476FEE733441EDCE300A7B28018508D55',NULL,X'ABABABABABABABABABABABABABABABAB',2);
INSERT INTO "events" VALUES(3,1000,'user:test','node.finished','run/abababababababababababababababab','{"level":"info","message":"node.finished","meta":{"attempt":1,"node":"a","outputs":{"out":[{"digest":"887f39b3bbf54c2bcdf2ee2a548df4538a7ab603f5218492860657bfe85a4554","type":"json"}]},"state":"succeeded"},"opening_id":"op_1","run_id":"run_1","seq":3}',X'1F50E8A901440C689D5CF48D293A4827','{}',X'76CA8A628FD10EF9DB98D3B96A15C395056E8832BE8ABF626D1CA2BFD261164F',X'758378829E182E54A96C92A29D2466266312509B050E5DF749AD243B3E8FF186',NULL,X'ABABABABABABABABABABABABABABABAB',3);
CREATE INDEX events_of_run ON events(trace_id, id) WHERE trace_id IS NOT NULL;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN
  SELECT RAISE(ABORT, 'the ledger is append-only: no row is deleted');
END;
CREATE TRIGGER events_no_renumber BEFORE INSERT ON events
WHEN NEW.id <> -1 AND NEW.id <= (SELECT coalesce(max(id), 0) FROM events) BEGIN
  SELECT RAISE(ABORT, 'the ledger is append-only: ids only grow');
END;
CREATE TRIGGER events_only_erased BEFORE UPDATE ON events
WHEN NEW.payload_json IS NOT NULL OR NEW.payload_salt IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.ts_ms IS NOT OLD.ts_ms OR NEW.actor IS NOT OLD.actor OR NEW.kind IS NOT OLD.kind OR NEW.scope IS NOT OLD.scope OR NEW.provenance_json IS NOT OLD.provenance_json OR NEW.hash_blake3 IS NOT OLD.hash_blake3 OR NEW.chain_blake3 IS NOT OLD.chain_blake3 OR NEW.dedupe_key IS NOT OLD.dedupe_key OR NEW.trace_id IS NOT OLD.trace_id OR NEW.run_seq IS NOT OLD.run_seq BEGIN
  SELECT RAISE(ABORT, 'the ledger is append-only: a row changes only by erasing its payload');
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',3);
COMMIT;
PRAGMA user_version = 1;
