/**
 * The typed reads: of a run's events from the ledger, of everything else from the views. Synchronous; in the views thread.
 *
 * 1. Every answer is bounded. 2. Whoever may not see addresses gets them redacted on every path: rows, search, excerpts.
 */
import type Database from 'better-sqlite3';
import { joinLabels, type JsonValue, type Label, readLabel } from '@runloop/core';
import { type StoredEvent, storedColumns, toStored, type EventRow } from '../ledger/event.ts';
import { readBytesMax, readRowsMax } from '../limits.ts';
import { kindSchemas } from '../kinds/schemas.ts';

/** A row of a view, under its column names. */
export type Row = { readonly [column: string]: string | number | null };

export type RunEventsQuery = {
  readonly traceId: string;
  readonly afterId?: number | undefined;
  readonly afterSeq?: number | undefined;
  /** Leaves out the kinds that are on the ledger alone. */
  readonly streamedOnly?: boolean | undefined;
  readonly max: number;
};
export type RunsQuery = {
  readonly state?: string | undefined;
  readonly max: number;
  readonly before?: number | undefined;
};
export type ArtifactsQuery = {
  readonly traceId?: string | undefined;
  readonly digest?: string | undefined;
  readonly max: number;
};
export type ApprovalsQuery = {
  readonly pending?: boolean | undefined;
  readonly action?: string | undefined;
  readonly max?: number | undefined;
};
export type TaintQuery = {
  /** Events that an answer names. */
  readonly events: readonly number[];
  /** Entities that it tells of: all that was ever said of them counts. */
  readonly entities: readonly string[];
};
export const costsBy = ['run', 'node', 'agent', 'model', 'day', 'opening', 'user'] as const;
export type CostsBy = (typeof costsBy)[number];
export type CostsQuery = {
  readonly by: CostsBy;
  readonly sinceMs?: number | undefined;
  /** Only of runs that this one has submitted. */
  readonly actor?: string | undefined;
  readonly max: number;
};
export type CostRow = {
  readonly key: string | null;
  readonly calls: number;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
  /** Calls that nobody answered, or whose answer was lost, and the bound that they are booked at; in the sums as well. */
  readonly unanswered: number;
  readonly bound_tokens: number;
  readonly bound_usd_nano: number;
  /** Calls that the cache answered, and the time that the others took. */
  readonly cached: number;
  readonly wall_ms: number;
};
/** `total` is of all rows, also of those beyond `max`. */
export type Costs = { readonly rows: readonly CostRow[]; readonly total: CostRow };
export type RunWithNodes = { readonly run: Row; readonly nodes: readonly Row[] };

export const bounded = (max: number, most: number = readRowsMax): number =>
  Math.max(1, Math.min(Math.trunc(max), most));

/** About what an event takes in an answer. */
function sizeOf({ payload_json: payload, provenance_json: provenance }: EventRow): number {
  return Buffer.byteLength(payload ?? '') + Buffer.byteLength(provenance) + 256;
}

export function readRunEvents(ledger: Database.Database, q: RunEventsQuery): { events: StoredEvent[] } {
  const rows = ledger.prepare<[Buffer, number, number, number], EventRow>(
    `SELECT ${storedColumns} FROM events WHERE trace_id = ? AND id > ? AND coalesce(run_seq, 0) ${q.streamedOnly === true || q.afterSeq !== undefined ? '>' : '>='} ? ORDER BY id LIMIT ?`,
  );
  const events: StoredEvent[] = [];
  let bytes = 0;
  for (const row of rows.iterate(Buffer.from(q.traceId, 'hex'), q.afterId ?? 0, q.afterSeq ?? 0, bounded(q.max))) {
    bytes += sizeOf(row);
    if (bytes > readBytesMax && events.length > 0) break;
    events.push(toStored(row));
  }
  return { events };
}

/** The labels that the authors of these events wrote under, joined. */
export function readTaint(ledger: Database.Database, db: Database.Database, { events, entities }: TaintQuery): Label {
  const history = db.prepare<[string], number>('SELECT event_id FROM entity_history WHERE entity = ?').pluck();
  const ids = new Set([...events, ...entities.flatMap((entity) => history.all(entity))]);
  const read = ledger
    .prepare<[number], string | null>(`SELECT json_extract(provenance_json, '$.label') FROM events WHERE id = ?`)
    .pluck();
  const texts = new Set([...ids].map((id) => read.get(id)).filter((text) => typeof text === 'string'));
  return joinLabels(...[...texts].map((text) => readLabel(JSON.parse(text) as JsonValue)));
}

export function readOpenRuns(db: Database.Database): string[] {
  return db
    .prepare<[], string>(
      `SELECT trace_id FROM runs WHERE state NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY accepted_event`,
    )
    .pluck()
    .all();
}

export type KnowledgeQuery = {
  readonly afterId: number;
  readonly max: number;
  /** Only these kinds; all that can be proposed where it is empty. */
  readonly kinds: readonly string[];
};

/** A page of what was proposed and not forgotten, oldest first; `next` is where the next page begins. */
export function readKnowledge(
  ledger: Database.Database,
  q: KnowledgeQuery,
): { readonly events: readonly StoredEvent[]; readonly next: number | null } {
  const kinds =
    q.kinds.length === 0 ? Object.keys(kindSchemas) : q.kinds.filter((kind) => Object.hasOwn(kindSchemas, kind));
  const rows = ledger
    .prepare<(string | number)[], EventRow>(
      `SELECT ${storedColumns} FROM events WHERE id > ? AND payload_json IS NOT NULL AND kind IN (${kinds.map(() => '?').join(', ')}) ORDER BY id LIMIT ?`,
    )
    .iterate(q.afterId, ...kinds, bounded(q.max));
  const events: StoredEvent[] = [];
  let bytes = 0;
  for (const row of rows) {
    bytes += sizeOf(row);
    if (events.length > 0 && bytes > readBytesMax) return { events, next: events.at(-1)?.id ?? null };
    events.push(toStored(row));
  }
  return { events, next: events.length < bounded(q.max) ? null : (events.at(-1)?.id ?? null) };
}

/** The event that says that the ledger was restored from a backup, of several the last; 0 where there is none. */
export function readRestoredAt(db: Database.Database): number {
  return (
    db.prepare<[], number>(`SELECT max(event_id) FROM entity_history WHERE entity = 'ledger:restored'`).pluck().get() ??
    0
  );
}

export function readRuns(db: Database.Database, q: RunsQuery): Row[] {
  return db
    .prepare<[number, string | null, string | null, number], Row>(
      'SELECT * FROM runs WHERE accepted_event < ? AND (? IS NULL OR state = ?) ORDER BY accepted_event DESC LIMIT ?',
    )
    .all(q.before ?? Number.MAX_SAFE_INTEGER, q.state ?? null, q.state ?? null, bounded(q.max));
}

export function readRun(db: Database.Database, traceId: string): RunWithNodes | undefined {
  const run = db.prepare<[string], Row>('SELECT * FROM runs WHERE trace_id = ?').get(traceId);
  if (run === undefined) return undefined;
  return {
    run,
    nodes: db
      .prepare<[string], Row>('SELECT * FROM nodes WHERE trace_id = ? ORDER BY coalesce(started_ms, 9e15), node')
      .all(traceId),
  };
}

export function readEffects(db: Database.Database, traceId: string, max: number): Row[] {
  return db
    .prepare<[string, number], Row>('SELECT * FROM effects WHERE trace_id = ? ORDER BY source_event LIMIT ?')
    .all(traceId, bounded(max));
}

export function readArtifacts(db: Database.Database, q: ArtifactsQuery): Row[] {
  return db
    .prepare<(string | number | null)[], Row>(
      'SELECT * FROM artifacts WHERE (? IS NULL OR trace_id = ?) AND (? IS NULL OR digest = ?) ORDER BY source_event DESC LIMIT ?',
    )
    .all(q.traceId ?? null, q.traceId ?? null, q.digest ?? null, q.digest ?? null, bounded(q.max));
}

export function readApprovals(db: Database.Database, q: ApprovalsQuery): Row[] {
  return db
    .prepare<(string | number | null)[], Row>(
      `SELECT * FROM approvals WHERE (? = 0 OR state = 'pending') AND (? IS NULL OR substr(action, 1, length(?)) = ?) ORDER BY requested_ms DESC, action LIMIT ?`,
    )
    .all(
      q.pending === true ? 1 : 0,
      q.action ?? null,
      q.action ?? null,
      q.action ?? null,
      bounded(q.max ?? readRowsMax),
    );
}

/** Budgets that are frozen, for a call has used more than it had reserved, and that nobody has let go on. */
export function readOverruns(db: Database.Database): readonly string[] {
  const rows = db.prepare<[], { readonly key: string }>('SELECT key FROM overruns ORDER BY source_event').all();
  return rows.map(({ key }) => key);
}

/** Sums of what model calls were booked at, the dearest first. Sums hold both calls that were answered and those that were not. */
export function readCosts(db: Database.Database, q: CostsQuery): Costs {
  const from = 'FROM costs LEFT JOIN runs USING (trace_id) WHERE costs.ts_ms >= ? AND (? IS NULL OR runs.actor = ?)';
  const given = [q.sinceMs ?? 0, q.actor ?? null, q.actor ?? null] as const;
  const read = db.prepare<(string | number | null)[], CostRow>(
    `SELECT ${costKeys[q.by]} AS key, ${costSums} ${from} GROUP BY 1 ORDER BY usd_nano DESC, tokens_in + tokens_out DESC, key LIMIT ?`,
  );
  const all = db.prepare<(string | number | null)[], CostRow>(`SELECT NULL AS key, ${costSums} ${from}`);
  const total = all.get(...given);
  if (total === undefined) throw new Error('assumed a row of sums');
  return { rows: read.all(...given, bounded(q.max)), total };
}

const costKeys: { readonly [by in CostsBy]: string } = {
  run: 'trace_id',
  node: `trace_id || '/' || node`,
  agent: 'agent',
  model: `provider || ':' || model`,
  day: `date(costs.ts_ms / 1000, 'unixepoch')`,
  opening: 'runs.name',
  user: 'runs.actor',
};
const costSums = `count(*) AS calls, coalesce(sum(tokens_in), 0) AS tokens_in, coalesce(sum(tokens_out), 0) AS tokens_out,
  coalesce(sum(costs.usd_nano), 0) AS usd_nano, coalesce(sum(1 - answered), 0) AS unanswered,
  coalesce(sum(cache IN ('hit', 'shared', 'semantic')), 0) AS cached,
  coalesce(sum(CASE WHEN cache IN ('hit', 'shared', 'semantic') THEN 0 ELSE ceil(latency_ms) END), 0) AS wall_ms,
  coalesce(sum(CASE answered WHEN 0 THEN tokens_in + tokens_out END), 0) AS bound_tokens,
  coalesce(sum(CASE answered WHEN 0 THEN costs.usd_nano END), 0) AS bound_usd_nano`;
