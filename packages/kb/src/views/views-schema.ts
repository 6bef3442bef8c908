/**
 * The tables of pog.sqlite. All of them are projections: dropping them loses nothing (A5).
 *
 * Times are milliseconds; ids of events are those of the ledger; `source_event` is the event that wrote the row last.
 */
export const viewsVersion = 10;

/** Each view with the columns that order it when it is hashed. */
export const viewTables: { readonly [table: string]: string } = {
  contacts: 'contact',
  accounts: 'account',
  artifacts: 'digest, trace_id, node, port',
  facts: 'id, part',
  claims: 'entity, field, source',
  edges: 'id',
  notes: 'id',
  runs: 'trace_id',
  nodes: 'trace_id, node',
  effects: 'trace_id, node, attempt, idx',
  approvals: 'action',
  costs: 'source_event',
  overruns: 'key',
  audit: 'source_event',
  mailbox: 'id',
  entity_history: 'entity, event_id',
  search_docs: 'id',
  search_fts: 'rowid',
};

export const viewsSql: string = `
CREATE TABLE meta(schema_version INTEGER NOT NULL, dirty INTEGER NOT NULL, ts_ms INTEGER NOT NULL);
CREATE TABLE materializer_state(watermark INTEGER NOT NULL, chain BLOB);
INSERT INTO meta VALUES (${viewsVersion}, 0, 0);
INSERT INTO materializer_state VALUES (0, NULL);
CREATE TABLE contacts(contact TEXT PRIMARY KEY, name TEXT, email TEXT, email_redacted TEXT, org TEXT, notes TEXT, notes_redacted TEXT, confidence REAL, trust TEXT, source_event INTEGER NOT NULL);
CREATE TABLE accounts(account TEXT PRIMARY KEY, name TEXT, payload_json TEXT NOT NULL, source_event INTEGER NOT NULL);
CREATE TABLE artifacts(digest TEXT, trace_id TEXT, node TEXT, port TEXT, type TEXT, run_id TEXT, bytes INTEGER, ts_ms INTEGER, source_event INTEGER NOT NULL, PRIMARY KEY(digest, trace_id, node, port)) WITHOUT ROWID;
CREATE INDEX artifacts_of_run ON artifacts(trace_id);
CREATE TABLE facts(id INTEGER NOT NULL, part INTEGER NOT NULL, subject TEXT NOT NULL, predicate TEXT NOT NULL, object_json TEXT NOT NULL, confidence REAL, valid_from INTEGER, valid_to INTEGER, recorded_from INTEGER NOT NULL, recorded_to INTEGER, origin INTEGER NOT NULL, source_event INTEGER NOT NULL, PRIMARY KEY(id, part));
CREATE INDEX facts_from ON facts(origin) WHERE recorded_to IS NULL;
CREATE INDEX facts_of ON facts(subject, predicate);
CREATE INDEX facts_open ON facts(subject, predicate, id, part) WHERE recorded_to IS NULL;
CREATE TABLE edges(id INTEGER PRIMARY KEY, subject TEXT NOT NULL, relation TEXT NOT NULL, object TEXT NOT NULL, valid_from INTEGER, valid_to INTEGER, recorded_from INTEGER NOT NULL, recorded_to INTEGER, source_event INTEGER NOT NULL);
CREATE INDEX edges_of ON edges(subject, relation);
CREATE INDEX edges_open ON edges(subject, relation, object) WHERE recorded_to IS NULL;
CREATE TABLE claims(entity TEXT NOT NULL, field TEXT NOT NULL, source TEXT NOT NULL, value_json TEXT NOT NULL, valid_from INTEGER, valid_to INTEGER, ts_ms INTEGER NOT NULL, source_event INTEGER NOT NULL, PRIMARY KEY(entity, field, source)) WITHOUT ROWID;
CREATE TABLE notes(id INTEGER PRIMARY KEY, entity TEXT, text TEXT NOT NULL, text_redacted TEXT NOT NULL, ts_ms INTEGER NOT NULL, source_event INTEGER NOT NULL);
CREATE TABLE runs(trace_id TEXT PRIMARY KEY, run_id TEXT, opening_id TEXT, name TEXT, state TEXT NOT NULL, actor TEXT, priority TEXT, seed TEXT, engine TEXT, params_json TEXT, agents_json TEXT, reason TEXT, accepted_ms INTEGER, started_ms INTEGER, finished_ms INTEGER, duration_ms INTEGER, tokens INTEGER, usd_nano INTEGER, accepted_event INTEGER NOT NULL, source_event INTEGER NOT NULL, forgotten_event INTEGER);
CREATE INDEX runs_of_state ON runs(state, accepted_event);
CREATE INDEX runs_by_event ON runs(accepted_event);
CREATE TABLE nodes(trace_id TEXT, node TEXT, attempt INTEGER, agent TEXT, state TEXT NOT NULL, inputs TEXT, waits_for TEXT, action TEXT, code TEXT, reason TEXT, outputs_json TEXT, started_ms INTEGER, finished_ms INTEGER, duration_ms INTEGER, fuel INTEGER, memory_bytes INTEGER, source_event INTEGER NOT NULL, PRIMARY KEY(trace_id, node)) WITHOUT ROWID;
CREATE TABLE effects(trace_id TEXT, node TEXT, attempt INTEGER, idx INTEGER, call TEXT, op TEXT, class TEXT, args_hash TEXT, state TEXT NOT NULL, error_json TEXT, cost_json TEXT, intent_event INTEGER, source_event INTEGER NOT NULL, PRIMARY KEY(trace_id, node, attempt, idx)) WITHOUT ROWID;
CREATE TABLE approvals(action TEXT PRIMARY KEY, trace_id TEXT, node TEXT, agent TEXT, op TEXT, hash TEXT, what TEXT, args_json TEXT, about_json TEXT, expires_ms INTEGER, state TEXT NOT NULL, decided_by TEXT, requested_ms INTEGER, decided_ms INTEGER, source_event INTEGER NOT NULL);
CREATE INDEX approvals_of_state ON approvals(state);
CREATE TABLE costs(source_event INTEGER PRIMARY KEY, ts_ms INTEGER NOT NULL, trace_id TEXT, node TEXT, agent TEXT, answered INTEGER NOT NULL, provider TEXT, model TEXT, tokens_in INTEGER, tokens_out INTEGER, usd_nano INTEGER, cache TEXT, latency_ms REAL);
CREATE TABLE overruns(key TEXT PRIMARY KEY, trace_id TEXT, provider TEXT, model TEXT, ts_ms INTEGER NOT NULL, source_event INTEGER NOT NULL);
CREATE TABLE audit(source_event INTEGER PRIMARY KEY, ts_ms INTEGER NOT NULL, trace_id TEXT, agent TEXT, cap TEXT, op TEXT, target TEXT, args_hash TEXT, decision TEXT, reason TEXT);
CREATE TABLE mailbox(id INTEGER PRIMARY KEY, recipient TEXT NOT NULL, sender TEXT, type TEXT, value_json TEXT, label_json TEXT, bytes INTEGER NOT NULL, call TEXT, ts_ms INTEGER NOT NULL, received_by TEXT, source_event INTEGER NOT NULL);
CREATE INDEX mailbox_of ON mailbox(recipient, received_by);
CREATE TABLE entity_history(entity TEXT, event_id INTEGER, PRIMARY KEY(entity, event_id)) WITHOUT ROWID;
CREATE TABLE search_docs(id INTEGER PRIMARY KEY, entity TEXT NOT NULL, kind TEXT NOT NULL, actor TEXT NOT NULL, confirmed INTEGER NOT NULL, ts_ms INTEGER NOT NULL, recorded_from INTEGER NOT NULL, recorded_to INTEGER, closed_event INTEGER, source_event INTEGER NOT NULL, text BLOB NOT NULL, text_redacted BLOB NOT NULL);
CREATE INDEX search_docs_of ON search_docs(entity);
CREATE INDEX search_docs_closed ON search_docs(closed_event) WHERE closed_event IS NOT NULL;
CREATE VIRTUAL TABLE search_fts USING fts5(body, body_redacted, tokenize = 'unicode61 remove_diacritics 2');
`;
