/**
 * The identity of a host call.
 *
 * BLAKE3 over run, node, attempt, call index, operation and canonical arguments; for class `once` without attempt and
 * index but with a count of equal calls, so that a retried node is answered from the record instead of sending again.
 */
import { type Digest, digestJson } from '@runloop/core';
import type { RetryClass } from './operations.ts';

export type CallPlace = {
  readonly run_id: string;
  readonly node: string;
  readonly attempt: number;
  readonly index: number;
  /** How many calls of this attempt with the same operation and arguments came before. */
  readonly equal: number;
};

export function callId(place: CallPlace, cls: RetryClass, op: string, argsHash: Digest): Digest {
  const { run_id, node, attempt, index, equal } = place;
  return digestJson(
    cls === 'once' ? { run_id, node, equal, op, args: argsHash } : { run_id, node, attempt, index, op, args: argsHash },
  );
}
