/**
 * How calls to the outside are told: `tool.called` for each, and `cap.audit` for one that was refused on its way.
 */
import { digestJson, type JsonObject, type JsonValue } from '@runloop/core';
import type { CallResult } from '@runloop/runtime';
import type { CallScope, Performed, RunDraft } from '../runs/ports.ts';

export type Told = {
  readonly op: string;
  readonly cap: string;
  readonly target: string;
  readonly args: JsonValue;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly more?: JsonObject;
};

export function told(result: CallResult, scope: CallScope, { more = {}, ...call }: Told): Performed {
  const { node, attempt } = scope;
  const agent = scope.bundle.name;
  const duration = Math.round(call.endedMs - call.startedMs);
  const outcome = result.ok ? { ok: true } : { ok: false, code: result.code };
  const meta = { node, attempt, agent, tool: call.op, target: call.target, ...outcome, duration_ms: duration, ...more };
  const message = `${node} called ${call.op} on ${call.target}${result.ok ? '' : `: ${result.code}`}.`;
  const called: RunDraft = { kind: 'tool.called', level: result.ok ? 'info' : 'warn', message, meta };
  if (result.ok || result.code !== 'CapabilityDenied') return { result, events: [called] };
  const audit: RunDraft = {
    kind: 'cap.audit',
    level: 'warn',
    message: `${agent} was refused ${call.op}: ${result.message}`,
    meta: {
      agent,
      node,
      cap: call.cap,
      op: call.op,
      target: call.target,
      args_hash: digestJson(call.args),
      decision: 'deny',
      reason: result.message,
    },
  };
  return { result, events: [called, audit] };
}
