/**
 * The shapes of the ledger: what is proposed to it, what it answers, what it keeps.
 */
import type { Digest, JsonObject } from '@runloop/core';

/** An event that asks to be written. */
export type EventDraft = {
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly scope: string;
  readonly payload: JsonObject;
  readonly provenance: JsonObject;
  /** Whoever gives the same key again is answered with the first event's id, and nothing is written. */
  readonly dedupe_key?: string | undefined;
  /** 32 lower-case hex digits. */
  readonly trace_id?: string | undefined;
  readonly run_seq?: number | undefined;
};

/** A blob of at most `ledgerBlobBytesMax` that becomes durable together with the events that name it. */
export type BlobDraft = { readonly digest: Digest; readonly content: string | Uint8Array };

/** What a durable append answers; `existing` says that the dedupe key was already there. */
export type AppendedEvent = { readonly id: number; readonly existing: boolean };

/** A row of the ledger. A forgotten one has no payload. */
export type StoredEvent = {
  readonly id: number;
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly scope: string;
  readonly payload: JsonObject | null;
  readonly provenance: JsonObject;
  readonly trace_id?: string;
  readonly run_seq?: number;
};

/** A row as SQLite gives it. */
export type EventRow = {
  readonly id: number;
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly scope: string;
  readonly payload_json: string | null;
  readonly payload_salt: Buffer | null;
  readonly provenance_json: string;
  readonly hash_blake3: Buffer;
  readonly chain_blake3: Buffer;
  readonly dedupe_key: string | null;
  readonly trace_id: Buffer | null;
  readonly run_seq: number | null;
};

/** The columns that a reader of events selects, in the words of `toStored`. */
export const storedColumns = 'id, ts_ms, actor, kind, scope, payload_json, provenance_json, trace_id, run_seq';

export function toStored(
  row: Omit<EventRow, 'payload_salt' | 'hash_blake3' | 'chain_blake3' | 'dedupe_key'>,
): StoredEvent {
  return {
    id: row.id,
    ts_ms: row.ts_ms,
    actor: row.actor,
    kind: row.kind,
    scope: row.scope,
    payload: row.payload_json === null ? null : (JSON.parse(row.payload_json) as JsonObject),
    provenance: JSON.parse(row.provenance_json) as JsonObject,
    ...(row.trace_id === null ? {} : { trace_id: row.trace_id.toString('hex') }),
    ...(row.run_seq === null ? {} : { run_seq: row.run_seq }),
  };
}
