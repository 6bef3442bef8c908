/**
 * What goes into the engine and what comes out.
 *
 * Facts are durable events, the only thing that changes a state. Signals are news that is not durable yet:
 * they change nothing, and the engine answers with the events that would make them so.
 */
import type { JsonObject, LogLevel, RunEventKind } from '@runloop/core';
import type { Outputs } from './state.ts';

/** One of the run's own events, as it stands on the ledger. */
export type Fact = {
  readonly type: 'fact';
  readonly kind: RunEventKind;
  readonly tsMs: number;
  readonly meta: JsonObject;
};

export type Signal =
  | { readonly type: 'slot'; readonly node: string }
  | {
      readonly type: 'outcome';
      readonly node: string;
      readonly attempt: number;
      readonly outcome: Outcome;
      readonly usage: Usage;
    }
  | {
      readonly type: 'suspended';
      readonly node: string;
      readonly attempt: number;
      readonly for: 'approval' | 'budget' | 'operator';
      readonly action?: string;
    }
  | { readonly type: 'timer'; readonly node: string }
  /** With `anew` the node begins its next attempt instead of going on with the one that waits. */
  | { readonly type: 'decided'; readonly node: string; readonly anew?: true }
  /** The time of the run, or of the nested opening that is named, is over. */
  | { readonly type: 'deadline'; readonly group?: string }
  /** Everything known has been folded and nothing is on its way to the ledger. */
  | { readonly type: 'idle' }
  | { readonly type: 'pause' | 'resume' | 'step'; readonly by: string }
  | { readonly type: 'cancel'; readonly by: string; readonly reason: string };

export type Outcome =
  | { readonly state: 'succeeded'; readonly outputs: Outputs }
  | {
      readonly state: 'failed';
      readonly code: string;
      readonly reason: string;
      readonly retryable: boolean;
      /** The digest of `{reason, retryable}` as a value, for the node's `err` port. */
      readonly error: string;
    }
  | { readonly state: 'cancelled'; readonly reason: string };

export type Usage = {
  readonly duration_ms: number;
  readonly fuel: number;
  readonly memory_bytes: number;
  readonly tokens: number;
  readonly usd_nano: number;
};

export type EngineEvent = Fact | Signal;

export type Effect =
  /** Make this durable, then feed it back as a fact. */
  | {
      readonly type: 'append';
      readonly kind: RunEventKind;
      readonly level: LogLevel;
      readonly message: string;
      readonly meta: JsonObject;
    }
  /** The node is ready and within the run's parallelism: give it a slot when the machine has one. */
  | { readonly type: 'enqueue'; readonly node: string; readonly index: number }
  | { readonly type: 'start'; readonly node: string; readonly index: number; readonly attempt: number }
  | { readonly type: 'stop'; readonly node: string; readonly attempt: number; readonly reason: string }
  | { readonly type: 'timer'; readonly node: string; readonly delayMs: number }
  /** The run has ended; nothing more will be asked of it. */
  | { readonly type: 'finished' };

export function finished(id: string, attempt: number, state: string, more: JsonObject, message: string): Effect {
  const level = state === 'failed' ? 'error' : state === 'cancelled' ? 'warn' : 'info';
  return { type: 'append', kind: 'node.finished', level, message, meta: { node: id, attempt, state, ...more } };
}

export function append(kind: RunEventKind, message: string, meta: JsonObject): Effect {
  return { type: 'append', kind, level: 'info', message, meta };
}
