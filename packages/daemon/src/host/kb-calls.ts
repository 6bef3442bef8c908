/**
 * The knowledge base as agents see it: parameterised reads, redacted unless granted, and proposals.
 */
import { failure, type Failure, isClean, isJsonObject, type JsonObject, type JsonValue } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import { domainOf } from '@runloop/runtime';
import type { CallScope, Performed } from '../runs/ports.ts';

/** Rows that one read answers at most. */
export const agentRowsMax = 200;

type KbPort = Pick<Kb, 'find' | 'search' | 'why' | 'propose' | 'taint'>;

export async function performKb(kb: KbPort, op: string, args: JsonObject, scope: CallScope): Promise<Performed> {
  const raw = seesAddresses(scope);
  const max = Math.min(typeof args['max'] === 'number' ? args['max'] : 20, agentRowsMax);
  switch (op) {
    case 'kb.query': {
      const kind = args['kind'];
      if (kind !== 'contact' && kind !== 'fact' && kind !== 'edge' && kind !== 'note' && kind !== 'artifact') {
        return refused(failure('InvalidParams', 'kb.query: kind must be contact, fact, edge, note or artifact'));
      }
      const found = await kb.find({
        kind,
        max,
        raw,
        key: text(args['key']),
        text: text(args['text']),
        relation: text(args['relation']),
        object: text(args['object']),
        sinceMs: number(args['since_ms']),
        untilMs: number(args['until_ms']),
        asOfMs: number(args['as_of_ms']),
      });
      return found.ok ? tell(kb, { rows: found.value as unknown as JsonValue }, found.value) : refused(found.error);
    }
    case 'kb.search': {
      const kinds = Array.isArray(args['kinds'])
        ? args['kinds'].filter((kind): kind is string => typeof kind === 'string')
        : undefined;
      const found = await kb.search({
        text: text(args['text']) ?? '',
        max,
        raw,
        ...(kinds === undefined ? {} : { kinds }),
        by: text(args['by']),
        asOfMs: number(args['as_of_ms']),
        sinceMs: number(args['since_ms']),
        untilMs: number(args['until_ms']),
        confirmedOnly: args['confirmed_only'] === true,
      });
      if (!found.ok) return refused(found.error);
      const { hits } = found.value;
      return tell(kb, { hits: hits as unknown as JsonValue }, hits);
    }
    case 'kb.why': {
      const found = await kb.why(text(args['entity']) ?? '', raw);
      if (!found.ok) return refused(found.error);
      const { values: _, ...ladder } = found.value;
      const steps = ladder.steps.map((step) => withheld(scope, step));
      return tell(kb, { ...ladder, steps }, steps);
    }
    default:
      return propose(kb, args, scope);
  }
}

/** A ladder leads to other domains: that something stands there is told, what it says only where it may be read. */
function withheld<T extends { readonly kind: string; readonly summary: string }>(scope: CallScope, step: T): T {
  const { kb_read: domains } = scope.caps;
  const domain = domainOf(step.kind);
  const isRead = domains === true || ['run', 'node', 'model'].includes(domain) || domains.includes(domain);
  return isRead ? step : { ...step, summary: `missing grant: kb_read = ["${domain}"]` };
}

/** An answer with the label of all that it rests on. */
async function tell(
  kb: KbPort,
  value: JsonValue,
  rows: readonly { readonly [column: string]: unknown }[],
): Promise<Performed> {
  const events = rows.flatMap(({ id, source_event, source_events }) =>
    [id, source_event, ...(Array.isArray(source_events) ? (source_events as unknown[]) : [])].filter(
      (one) => typeof one === 'number',
    ),
  );
  const entities = rows.flatMap(({ contact, entity }) => [contact, entity].filter((one) => typeof one === 'string'));
  const label = await kb.taint({ events, entities });
  return label.ok ? { result: { ok: true, value, label: label.value } } : refused(label.error);
}

async function propose(kb: KbPort, args: JsonObject, scope: CallScope): Promise<Performed> {
  const { payload, evidence } = args;
  if (!isJsonObject(payload)) return refused(failure('InvalidDelta', 'kb.propose: payload must be a map'));
  if (payload['trust'] === 'trusted' && scope.label.trust === 'untrusted') {
    const why = 'it rests on what somebody else wrote; write trust: "low", and let a person raise it';
    return refused(failure('InvalidDelta', `kb.propose: "${text(args['kind']) ?? ''}" cannot be trusted: ${why}`));
  }
  const given: readonly unknown[] = Array.isArray(evidence) ? evidence : [];
  const ids = given.filter((id): id is number => typeof id === 'number');
  if (ids.length < given.length)
    return refused(failure('InvalidDelta', 'kb.propose: evidence must be numbers of events'));
  const proposed = await kb.propose(
    { kind: text(args['kind']) ?? '', payload, evidence: ids, dedupe_key: `call/${scope.callId}` },
    {
      actor: `agent:${scope.bundle.name}`,
      scope: `run/${scope.traceId}`,
      kb_write: scope.bundle.caps.kb_write,
      trace_id: scope.traceId,
      provenance: provenanceOf(scope),
    },
  );
  return proposed.ok ? answered({ event_id: proposed.value.event_id }) : refused(proposed.error);
}

export function provenanceOf(scope: CallScope): JsonObject {
  return {
    run: scope.traceId,
    node: scope.node,
    attempt: scope.attempt,
    agent: scope.bundle.name,
    agent_digest: scope.bundle.digest,
    by: scope.actor,
    ...(isClean(scope.label) ? {} : { label: scope.label }),
  };
}

export function answered(value: JsonValue): Performed {
  return { result: { ok: true, value } };
}

export function refused(fault: Failure, retryable = false): Performed {
  return { result: { ok: false, code: fault.code, message: fault.message, retryable } };
}

function seesAddresses(scope: CallScope): boolean {
  const domains = scope.bundle.caps.kb_read;
  return Array.isArray(domains) && domains.includes('contacts_raw');
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function number(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
