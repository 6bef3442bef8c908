/**
 * What runs need from their neighbours, in their own words; joined in main.ts.
 */
import type { Failure, JsonObject, JsonValue, Result, RunEvent, RunEventKind } from '@runloop/core';
import type { AgentInterface } from '@runloop/openings';
import type { Bundle } from '@runloop/runtime';

export type LedgerDraft = {
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly scope: string;
  readonly payload: JsonObject;
  readonly provenance: JsonObject;
  readonly dedupe_key?: string;
  readonly trace_id?: string;
  readonly run_seq?: number;
};

/** A row of the ledger as it is read back. */
export type LedgerRow = {
  readonly id: number;
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly payload: JsonObject | undefined;
  readonly run_seq?: number | undefined;
};

/** The ledger as runs see it: an append is answered only when it is durable. */
export interface RunLedger {
  append(drafts: readonly LedgerDraft[]): Promise<Result<readonly { readonly id: number }[], Failure>>;
  putBlob(bytes: Uint8Array): Promise<Result<string, Failure>>;
  getBlob(digest: string): Promise<Result<Uint8Array, Failure>>;
  /** Rows of one run in order, from the ledger, all kinds unless `streamedOnly`. */
  runEvents(query: {
    readonly traceId: string;
    readonly afterId?: number;
    readonly afterSeq?: number;
    readonly streamedOnly?: boolean;
    readonly max: number;
  }): Promise<Result<readonly LedgerRow[], Failure>>;
  /** Trace ids of runs that were accepted and have not finished, oldest first. */
  openRuns(): Promise<Result<readonly string[], Failure>>;
}

/** Agents by name for a new run, by digest for one that was accepted before. */
export interface AgentSource {
  interfaces(names: readonly string[]): Promise<Result<ReadonlyMap<string, AgentInterface>, Failure>>;
  /** Pins the agent of this name: its bundle is kept for as long as a tape names it. */
  pin(name: string): Promise<Result<Bundle, Failure>>;
  pinned(digest: string): Promise<Result<Bundle, Failure>>;
}

/** Who performs a host call that the kernel has let through. */
export type Performed =
  | { readonly ok: true; readonly value: JsonValue; readonly events?: readonly RunDraft[] }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly retryable: boolean; readonly events?: readonly RunDraft[] };

export type CallScope = {
  readonly traceId: string;
  readonly runId: string;
  readonly opening: string;
  readonly node: string;
  readonly attempt: number;
  readonly agent: string;
  readonly agentDigest: string;
  readonly actor: string;
  readonly callId: string;
  readonly budgets: { readonly runTokens?: number; readonly nodeTokens?: number; readonly runUsd?: number };
  readonly bundle: Bundle;
  /** Says that the attempt goes on living only for this long, milliseconds. */
  readonly deadlineMs: number;
};

export interface HostPerformer {
  perform(op: string, args: JsonValue, scope: CallScope, signal: AbortSignal): Promise<Performed>;
}

/** An event of a run before it has a sequence number and a time. */
export type RunDraft = {
  readonly kind: RunEventKind;
  readonly level: RunEvent['level'];
  readonly message: string;
  readonly meta: JsonObject;
};

/** Tells the world that something new stands on the ledger. */
export interface RunPublisher {
  published(event: RunEvent): void;
  lossy(event: RunEvent): void;
}
