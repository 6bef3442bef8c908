/**
 * A run as an OTLP/JSON trace: spans for the run, its nodes' attempts and their calls.
 *
 * Span ids are digests of the trace id and the place in the run: the same run gives the same spans.
 */
import { digestText, type JsonObject } from '@runloop/core';
import type { AttemptSpan, CallSpan, NodeSpan, Timeline } from './timeline.ts';

const kinds = { internal: 1, server: 2, client: 3 } as const;

export function otlpOf(line: Timeline, version: string): JsonObject {
  const root = spanId(line.trace_id);
  const run = span(line, {
    id: root,
    name: line.name,
    kind: kinds.server,
    began_ms: line.began_ms,
    ended_ms: line.ended_ms,
    error: line.state === 'succeeded' ? undefined : (line.reason ?? line.state),
    attributes: {
      'runloop.run_id': line.run_id,
      'runloop.state': line.state,
      'runloop.tokens': line.cost.tokens,
      'runloop.usd_nano': line.cost.usd_nano,
    },
  });
  const inner = line.nodes.flatMap((node) => node.attempts.flatMap((attempt) => spansOf(line, node, attempt, root)));
  const resource = { attributes: attributesOf({ 'service.name': 'runloop', 'service.version': version }) };
  return {
    resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'runloop', version }, spans: [run, ...inner] }] }],
  };
}

function spansOf(line: Timeline, node: NodeSpan, attempt: AttemptSpan, parent: string): JsonObject[] {
  const id = spanId(line.trace_id, node.node, attempt.attempt);
  const ended_ms = attempt.ended_ms ?? line.ended_ms;
  const own = span(line, {
    id,
    parent,
    name: node.node,
    kind: kinds.internal,
    began_ms: attempt.began_ms,
    ended_ms,
    error: attempt.state === 'failed' ? (attempt.reason ?? 'failed') : undefined,
    attributes: {
      'runloop.node': node.node,
      'runloop.agent': node.agent,
      'runloop.attempt': attempt.attempt,
      'runloop.state': attempt.state,
    },
  });
  const calls = attempt.calls.map((call) =>
    span(line, {
      id: spanId(line.trace_id, node.node, attempt.attempt, call.index),
      parent: id,
      name: call.op,
      kind: call.outside === null ? kinds.internal : kinds.client,
      began_ms: call.began_ms ?? call.ended_ms ?? attempt.began_ms,
      ended_ms: call.ended_ms ?? ended_ms,
      error: call.ok === false ? (call.error ?? 'failed') : undefined,
      attributes: callAttributes(call),
    }),
  );
  return [own, ...calls];
}

function callAttributes(call: CallSpan): { readonly [name: string]: string | number } {
  return {
    'runloop.call': call.call,
    'runloop.class': call.class,
    'runloop.args_hash': call.args_hash,
    ...(call.outside === null ? {} : { 'server.address': call.outside }),
    ...(call.cost.tokens === 0 ? {} : { 'runloop.tokens': call.cost.tokens }),
    ...(call.cost.usd_nano === 0 ? {} : { 'runloop.usd_nano': call.cost.usd_nano }),
  };
}

type Given = {
  readonly id: string;
  readonly parent?: string;
  readonly name: string;
  readonly kind: number;
  readonly began_ms: number;
  readonly ended_ms: number;
  readonly error: string | undefined;
  readonly attributes: { readonly [name: string]: string | number };
};

function span(
  { trace_id }: Timeline,
  { id, parent, name, kind, began_ms, ended_ms, error, attributes }: Given,
): JsonObject {
  return {
    traceId: trace_id,
    spanId: id,
    ...(parent === undefined ? {} : { parentSpanId: parent }),
    name,
    kind,
    startTimeUnixNano: `${began_ms}000000`,
    endTimeUnixNano: `${ended_ms}000000`,
    attributes: attributesOf(attributes),
    status: error === undefined ? { code: 1 } : { code: 2, message: error },
  };
}

function attributesOf(given: { readonly [name: string]: string | number }): JsonObject[] {
  return Object.entries(given).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { intValue: String(value) },
  }));
}

function spanId(...place: readonly (string | number)[]): string {
  return digestText(JSON.stringify(place)).slice(0, 16);
}
