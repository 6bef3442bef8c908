/**
 * A run as nodes, attempts and calls with their times and costs: what every view of a trace is drawn from.
 *
 * 1. Nothing but the tape goes in: the same tape gives the same timeline.
 * 2. What a call to a model was booked at stands with the call; what belongs to none stands with the node.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '@runloop/core';
import type { Tape, TapeEvent } from './read-tape.ts';

export type Cost = { tokens: number; usd_nano: number };
export type CallSpan = {
  readonly index: number;
  readonly op: string;
  readonly class: string;
  readonly call: string;
  /** When its intent was durable; a call without one took place before its result was. */
  readonly began_ms: number | null;
  ended_ms: number | null;
  ok: boolean | null;
  error: string | null;
  readonly args_hash: string;
  readonly args_bytes: number | null;
  value_bytes: number | null;
  /** Who answered from outside: a provider and its model, a host, a tool. */
  outside: string | null;
  readonly cost: Cost;
};
export type AttemptSpan = {
  readonly attempt: number;
  readonly began_ms: number;
  ended_ms: number | null;
  state: string;
  reason: string | null;
  readonly calls: CallSpan[];
};
export type NodeSpan = {
  readonly node: string;
  readonly agent: string;
  state: string;
  reason: string | null;
  /** It was not run: a fork took it from another run's tape. */
  from_tape: boolean;
  readonly attempts: AttemptSpan[];
  readonly cost: Cost;
};
export type Timeline = {
  readonly trace_id: string;
  readonly run_id: string;
  readonly name: string;
  state: string;
  reason: string | null;
  readonly began_ms: number;
  ended_ms: number;
  readonly nodes: readonly NodeSpan[];
  readonly cost: Cost;
};

export function timelineOf(tape: Tape): Timeline {
  const [first] = tape.events;
  if (first === undefined) throw new Error('assumed a run that was accepted');
  const opening = first.meta['opening'] as
    { readonly nodes?: readonly { id: string; use: { name: string } }[] } | undefined;
  const nodes = new Map(
    (opening?.nodes ?? []).map(({ id, use }): [string, NodeSpan] => [
      id,
      { node: id, agent: use.name, state: 'pending', reason: null, from_tape: false, attempts: [], cost: noCost() },
    ]),
  );
  const line: Timeline = {
    trace_id: first.trace_id,
    run_id: first.run_id,
    name: textOf(first.meta, 'name') ?? '(forgotten)',
    state: 'running',
    reason: null,
    began_ms: first.ts_ms,
    ended_ms: tape.events.at(-1)?.ts_ms ?? first.ts_ms,
    nodes: [...nodes.values()],
    cost: noCost(),
  };
  const reader = new Reader(tape, nodes, line);
  for (const event of tape.events) reader.take(event);
  return line;
}

class Reader {
  readonly #tape: Tape;
  readonly #nodes: ReadonlyMap<string, NodeSpan>;
  readonly #line: Timeline;
  /** Events that tell of a call whose result is still to come, by attempt. */
  readonly #told = new Map<string, TapeEvent[]>();

  constructor(tape: Tape, nodes: ReadonlyMap<string, NodeSpan>, line: Timeline) {
    this.#tape = tape;
    this.#nodes = nodes;
    this.#line = line;
  }

  take(event: TapeEvent): void {
    const { kind, meta, ts_ms } = event;
    if (kind === 'run.finished') {
      this.#line.state = textOf(meta, 'state') ?? 'finished';
      this.#line.reason = textOf(meta, 'reason');
      this.#line.ended_ms = ts_ms;
    }
    const node = this.#nodes.get(String(meta['node']));
    if (node === undefined) return;
    const attempt = node.attempts.find((one) => one.attempt === meta['attempt']);
    switch (kind) {
      case 'node.ready':
        node.state = 'ready';
        return;
      case 'node.started':
        node.state = 'running';
        if (attempt === undefined) node.attempts.push(beginning(Number(meta['attempt']), ts_ms));
        else Object.assign(attempt, { state: 'running', ended_ms: null });
        return;
      case 'node.retrying':
      case 'node.waiting':
      case 'node.finished':
        return ended(node, attempt, event);
      case 'effect.intent':
      case 'effect.result':
        return this.#call(attempt, event);
      case 'model.called':
      case 'budget.settled':
      case 'tool.called':
        return this.#tell(node, attempt, event);
      default:
        return;
    }
  }

  #call(attempt: AttemptSpan | undefined, { kind, meta, ts_ms }: TapeEvent): void {
    if (attempt === undefined) return;
    const index = Number(meta['index']);
    let call = attempt.calls.findLast((one) => one.index === index);
    if (call === undefined) {
      call = {
        index,
        op: textOf(meta, 'op') ?? '',
        class: textOf(meta, 'class') ?? '',
        call: textOf(meta, 'call') ?? '',
        began_ms: kind === 'effect.intent' ? ts_ms : null,
        ended_ms: null,
        ok: null,
        error: null,
        args_hash: textOf(meta, 'args_hash') ?? '',
        args_bytes: bytesOf(meta['args'], this.#tape),
        value_bytes: null,
        outside: null,
        cost: noCost(),
      };
      attempt.calls.push(call);
    }
    if (kind === 'effect.intent') return;
    call.ended_ms = ts_ms;
    call.ok = meta['ok'] === true;
    call.value_bytes = bytesOf(meta['value'], this.#tape);
    if (isJsonObject(meta['error']))
      call.error = `${String(meta['error']['code'])}: ${String(meta['error']['message'])}`;
    const key = keyOf(meta);
    for (const told of this.#told.get(key) ?? []) {
      call.outside = outsideOf(told.meta) ?? call.outside;
      add(call.cost, told.meta);
    }
    this.#told.delete(key);
  }

  #tell(node: NodeSpan, attempt: AttemptSpan | undefined, event: TapeEvent): void {
    add(node.cost, event.meta);
    add(this.#line.cost, event.meta);
    const lost = attempt?.calls.find(({ call }) => call === event.meta['call']);
    if (lost !== undefined) return add(lost.cost, event.meta);
    const key = keyOf(event.meta);
    this.#told.set(key, [...(this.#told.get(key) ?? []), event]);
  }
}

function beginning(attempt: number, began_ms: number): AttemptSpan {
  return { attempt, began_ms, ended_ms: null, state: 'running', reason: null, calls: [] };
}

function ended(node: NodeSpan, attempt: AttemptSpan | undefined, { kind, meta, ts_ms }: TapeEvent): void {
  const state = kind === 'node.retrying' ? 'failed' : kind === 'node.waiting' ? 'waiting' : String(meta['state']);
  const reason = textOf(meta, 'reason') ?? textOf(meta, 'for');
  node.state = kind === 'node.retrying' ? 'retrying' : state;
  node.reason = reason;
  node.from_tape = meta['from_tape'] === true;
  if (attempt !== undefined) Object.assign(attempt, { state, reason, ended_ms: ts_ms });
}

/** Bytes of a value as it stands in an event; of one in a blob, the blob's. */
export function bytesOf(stored: JsonValue | undefined, { bytes }: Tape): number | null {
  if (!isJsonObject(stored)) return null;
  if (stored['json'] !== undefined) return Buffer.byteLength(JSON.stringify(stored['json']));
  return bytes.get(String(stored['blob'])) ?? null;
}

/** Who it was that answered from outside, in the words of model.called, budget.settled and tool.called. */
export function outsideOf(meta: JsonObject): string | null {
  const provider = textOf(meta, 'provider');
  if (provider !== null) return `${provider}:${textOf(meta, 'model') ?? ''}`;
  return textOf(meta, 'target') ?? textOf(meta, 'tool');
}

export function textOf(meta: JsonObject, name: string): string | null {
  const value = meta[name];
  return typeof value === 'string' ? value : null;
}

function add(cost: Cost, meta: JsonObject): void {
  cost.tokens += Number(meta['tokens_in'] ?? 0) + Number(meta['tokens_out'] ?? 0);
  cost.usd_nano += Number(meta['usd_nano'] ?? 0);
}

const noCost = (): Cost => ({ tokens: 0, usd_nano: 0 });
const keyOf = (meta: JsonObject): string => `${String(meta['node'])}#${String(meta['attempt'])}`;
