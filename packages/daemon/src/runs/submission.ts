/**
 * What is submitted, and what is answered: a trace id names one run for ever.
 */
import { err, type Failure, failure, type JsonObject, ok, type Result } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import type { Plan } from '@runloop/openings';
import { metaOf } from './tape.ts';

export type OpeningText = { readonly file: string; readonly text: string };
export type NestedTexts = ReadonlyMap<string, OpeningText>;

export type Submission = OpeningText & {
  readonly traceId: string;
  /** The openings that it nests, by the name that they are used under. */
  readonly nested?: NestedTexts;
  readonly params: JsonObject;
  readonly onConfirm: 'wait' | 'deny';
  readonly priority: number;
  readonly actor: string;
  /** What `.` means in a grant of files; the operator alone can give one. */
  readonly folder?: string | undefined;
  /** 32 bytes in hex from which all its randomness comes; drawn where left out. */
  readonly seed?: string;
};
export type Submitted = {
  readonly trace_id: string;
  readonly run_id: string;
  readonly name: string;
  readonly existing: boolean;
};

export type Planned = Plan & {
  /** Of the opening's text: what `rlp opening trust` agrees to. */
  readonly digest: string;
  readonly trusted: boolean;
  readonly not_in_force: readonly string[];
};

/** The answer to a trace id that names a run already: that run, if it was submitted by the same actor with the same. */
export function againAs(
  request: Submission,
  name: string,
  openingId: string,
  first: StoredEvent,
): Result<Submitted, Failure> {
  const { traceId } = request;
  const meta = metaOf(first);
  const isSame =
    first.payload?.['opening_id'] === openingId &&
    meta['actor'] === request.actor &&
    meta['on_confirm'] === request.onConfirm &&
    meta['folder'] === request.folder &&
    meta['priority'] === request.priority;
  if (!isSame) return err(taken(traceId));
  return ok(submitted(traceId, String(first.payload['run_id']), name, true));
}

export function submitted(trace_id: string, run_id: string, name: string, existing: boolean): Submitted {
  return { trace_id, run_id, name, existing };
}

export function taken(traceId: string): Failure {
  return failure('Conflict', `a run with the trace id ${traceId} exists already`, {
    hint: 'Use a new trace id for each run.',
  });
}
