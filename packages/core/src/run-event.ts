/**
 * The events of a run: the one vocabulary that engine, ledger, bus, CLI and monitor share.
 *
 * 1. `seq` counts from 1 without gaps over the streamed kinds of one run; ledger-only and lossy kinds have none.
 * 2. The first streamed event is `run.accepted`, the last is `run.finished`, always.
 */
import type { JsonObject } from './json.ts';
import type { LogLevel } from './ports.ts';

/** On the ledger and on the stream. */
export const streamedKinds = [
  'run.accepted',
  'run.started',
  'run.waiting',
  'run.paused',
  'run.resumed',
  'run.recovered',
  'run.finished',
  'node.ready',
  'node.started',
  'node.retrying',
  'node.waiting',
  'node.finished',
  'model.called',
  'tool.called',
  'action.requested',
  'action.decided',
  'cap.audit',
  'budget.reserved',
  'budget.settled',
  'budget.exhausted',
  'budget.raised',
  'budget.overrun',
  'artifact.created',
] as const;
/** On the ledger alone. */
export const ledgerOnlyKinds = ['effect.intent', 'effect.result', 'run.trace'] as const;
/** On the stream alone: bounded, lossy, counted, without `seq`. */
export const lossyKinds = ['node.stdout', 'node.stderr', 'model.delta'] as const;

export type StreamedKind = (typeof streamedKinds)[number];
export type LedgerOnlyKind = (typeof ledgerOnlyKinds)[number];
export type LossyKind = (typeof lossyKinds)[number];
export type RunEventKind = StreamedKind | LedgerOnlyKind | LossyKind;

/** One object a line in NDJSON; the payload of `observation.run.event.v1` on the bus. */
export type RunEvent = {
  readonly seq?: number;
  readonly ts_ms: number;
  readonly trace_id: string;
  readonly run_id: string;
  /** Digest of the opening's canonical IR. */
  readonly opening_id: string;
  readonly kind: RunEventKind;
  readonly level: LogLevel;
  /** One sentence for people; never parsed. */
  readonly message: string;
  /** What programs read; its shape depends on `kind` (docs/openings.md). */
  readonly meta: JsonObject;
};

const streamed: ReadonlySet<string> = new Set(streamedKinds);

export function isStreamedKind(kind: string): kind is StreamedKind {
  return streamed.has(kind);
}
