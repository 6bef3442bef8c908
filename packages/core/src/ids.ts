/**
 * Branded identifiers.
 *
 * A trace id is the u128 of the RMP header, 32 lower-case hex digits; people may also write it as a UUID or with `trace:` before it.
 */
import { type Result, err, ok } from './result.ts';
import { toHex } from './digest.ts';
import type { Random } from './ports.ts';

export type TraceId = string & { readonly __brand: 'TraceId' };
export type RunId = string & { readonly __brand: 'RunId' };
export type ActionId = string & { readonly __brand: 'ActionId' };

/** Names of openings, agents, nodes and ports. */
export const namePattern: RegExp = /^[a-z][a-z0-9_]{0,63}$/;

export function isName(text: string): boolean {
  return namePattern.test(text);
}

export function newTraceId(random: Random): TraceId {
  return toHex(random.bytes(16)) as TraceId;
}

export function newRunId(random: Random): RunId {
  return `run_${toHex(random.bytes(10))}` as RunId;
}

export function newActionId(random: Random): ActionId {
  return `act_${toHex(random.bytes(6))}` as ActionId;
}

/** Accepts 32 hex digits, a UUID, and either with the prefix `trace:`. */
export function parseTraceId(text: string): Result<TraceId, { type: 'InvalidTraceId'; text: string }> {
  const bare = text
    .trim()
    .toLowerCase()
    .replace(/^trace:/, '');
  const isUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(bare);
  const digits = isUuid ? bare.replaceAll('-', '') : bare;
  return /^[0-9a-f]{32}$/.test(digits) ? ok(digits as TraceId) : err({ type: 'InvalidTraceId', text });
}
