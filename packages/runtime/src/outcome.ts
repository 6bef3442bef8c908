/** What comes of one attempt of one node in a cell, and what the host must answer meanwhile. */
import type { JsonObject, JsonValue } from '@runloop/core';
import type { FsGrant } from './files/fs-grants.ts';

export type AttemptUsage = {
  readonly wall_ms: number;
  readonly fuel: number;
  readonly memory_bytes: number;
  readonly hostcalls: number;
  readonly output_bytes: number;
  /** Log text that was cut because it was too much. */
  readonly log_bytes_dropped: number;
};

export type AttemptFailureCode =
  | 'AgentFailed'
  | 'AgentTrapped'
  | 'OutOfMemory'
  | 'OutOfFuel'
  | 'DeadlineExceeded'
  | 'OutputTooLarge'
  | 'CellLost'
  | 'InvalidBundle'
  | 'DigestMismatch'
  | 'Busy'
  | 'Internal';

export type TypedValue = { readonly type: string; readonly value: JsonValue };

export type AttemptOutcome = { readonly usage: AttemptUsage } & (
  | { readonly type: 'succeeded'; readonly outputs: { readonly [port: string]: readonly TypedValue[] } }
  | { readonly type: 'failed'; readonly code: AttemptFailureCode; readonly reason: string; readonly retryable: boolean }
  | { readonly type: 'suspended'; readonly reason: string }
  | { readonly type: 'cancelled' }
);

export type HostAnswer =
  | { readonly type: 'value'; readonly value: JsonValue }
  | { readonly type: 'error'; readonly code: string; readonly message: string; readonly retryable: boolean }
  /** Give the cell up; the attempt is run again later, over its recorded calls. */
  | { readonly type: 'suspend'; readonly reason: string };

export interface HostCalls {
  call(op: string, args: JsonValue, signal: AbortSignal): Promise<HostAnswer>;
  log(level: string, text: string): void;
  stdout(text: string): void;
  stderr(text: string): void;
}

export type RunIdentity = {
  readonly trace_id: string;
  readonly run_id: string;
  readonly node: string;
  readonly attempt: number;
  /** Hex. */
  readonly seed: string;
  readonly accepted_ms: number;
  /** Wall milliseconds that are left. */
  readonly deadline_ms: number;
  readonly tokens_left?: number;
  /** Directories that it is granted; none where left out. */
  readonly fs?: readonly FsGrant[];
  /** The folder that the operator gave the run along, where it is granted any of it. */
  readonly folder?: string;
  /** Its clocks are real ones. */
  readonly time?: boolean;
};

export type AgentRequest = {
  readonly with: JsonObject;
  readonly inputs: { readonly [port: string]: readonly JsonValue[] };
};
