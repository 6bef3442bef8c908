/**
 * How calls to the outside are told: one `tool.called` for each, beside its result.
 */
import type { JsonObject } from '@runloop/core';
import type { CallResult } from '@runloop/runtime';
import type { CallScope, Performed } from '../runs/ports.ts';

export type Told = {
  readonly op: string;
  readonly target: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly more?: JsonObject;
};

export function told(result: CallResult, { node, attempt, bundle }: CallScope, call: Told): Performed {
  const outcome = result.ok ? { ok: true } : { ok: false, code: result.code };
  const meta = {
    node,
    attempt,
    agent: bundle.name,
    tool: call.op,
    target: call.target,
    ...outcome,
    duration_ms: Math.round(call.endedMs - call.startedMs),
    ...call.more,
  };
  const message = `${node} called ${call.op} on ${call.target}${result.ok ? '' : `: ${result.code}`}.`;
  return { result, events: [{ kind: 'tool.called', level: result.ok ? 'info' : 'warn', message, meta }] };
}
