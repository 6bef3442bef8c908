/**
 * Which blobs are of old runs alone. Reads the whole ledger, on a connection of its own.
 */
import type Database from 'better-sqlite3';
import { digestsIn } from '../ledger/ledger-blobs.ts';

export type ArchivePlan = { readonly runs: number; readonly digests: readonly string[] };

/** The blobs that only runs name which ended before `beforeMs`. */
export function planArchive(ledger: Database.Database, beforeMs: number): ArchivePlan {
  const traces = oldRuns(ledger, beforeMs);
  return { runs: traces.size, digests: [...namedOnlyBy(ledger, traces)] };
}

function oldRuns(ledger: Database.Database, beforeMs: number): ReadonlySet<string> {
  const rows = ledger
    .prepare<[number], string>(`SELECT lower(hex(trace_id)) FROM events WHERE kind = 'run.finished' AND ts_ms < ?`)
    .pluck();
  return new Set(rows.all(beforeMs));
}

/** Digests that stand in events of these runs and in no other event. */
function namedOnlyBy(ledger: Database.Database, traces: ReadonlySet<string>): ReadonlySet<string> {
  const named = new Set<string>();
  const others = new Set<string>();
  if (traces.size === 0) return named;
  const rows = ledger
    .prepare<[], { trace: string | null; payload_json: string }>(
      'SELECT lower(hex(trace_id)) AS trace, payload_json FROM events WHERE payload_json IS NOT NULL',
    )
    .iterate();
  for (const { trace, payload_json: payload } of rows) {
    const into = trace !== null && traces.has(trace) ? named : others;
    for (const digest of digestsIn(payload)) into.add(digest);
  }
  return named.difference(others);
}
