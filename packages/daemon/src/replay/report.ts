/**
 * What a replay says: per node what was compared, and the first difference with both its sides.
 */
import type { JsonValue } from '@runloop/core';

export type NodeReplay = {
  readonly node: string;
  readonly attempt: number;
  readonly equal: boolean;
  readonly calls: number;
  readonly how: 'ran' | 'taken from the tape';
};
export type ReplayDivergence = {
  readonly node: string;
  readonly attempt: number;
  /** Counts from 1; left out where it is no call that differs. */
  readonly call?: number;
  readonly what: string;
  readonly recorded: JsonValue;
  readonly replayed: JsonValue;
};
export type ReplayReport = {
  readonly trace_id: string;
  readonly name: string;
  readonly state: string;
  readonly equal: boolean;
  readonly nodes: readonly NodeReplay[];
  readonly divergence?: ReplayDivergence;
};

/** Where a divergence lies, for whoever finds one there. */
export type Place = { readonly node: string; readonly attempt: number; readonly call?: number };

export function differs(place: Place, what: string, recorded: JsonValue, replayed: JsonValue): ReplayDivergence {
  const { node, attempt, call } = place;
  return { node, attempt, ...(call === undefined ? {} : { call }), what, recorded, replayed };
}

export function callWords(index: number): string {
  return `host call ${index + 1}`;
}
