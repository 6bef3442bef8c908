/**
 * Where two runs part: openings, parameters, agents, and per node its state, attempts, calls and outputs; their costs.
 *
 * 1. Everything is compared by digest; values are shown beside it where they are small.
 * 2. Times are shown and never count: two runs of the same thing take different times.
 * 3. Of the calls of a node the first that differs is told: what comes after follows from it.
 */
import { canonicalJson, isJsonObject, type JsonObject, type JsonValue } from '@runloop/core';
import type { Tape, TapeEvent } from './read-tape.ts';
import { type Cost, timelineOf } from './timeline.ts';

/** One side of a difference; a blob is named by its digest. */
export type Side = { readonly json: JsonValue } | { readonly blob: string };
export type Difference = { readonly where: string; readonly a: Side; readonly b: Side };

type Call = { readonly op: string; readonly args_hash: string; args: Side; result: Side };
type Node = {
  readonly agent: string;
  state: string;
  /** A fork took it from the other's tape: it has no calls of its own. */
  taken: boolean;
  attempts: number;
  outputs: JsonObject;
  /** Of the last attempt. */
  calls: Call[];
};

export function differences(a: Tape, b: Tape): readonly Difference[] {
  const [left, right] = [a.events[0]?.meta ?? {}, b.events[0]?.meta ?? {}];
  const [openingA, openingB] = [objectOf(left['opening']), objectOf(right['opening'])];
  const [nodesA, nodesB] = [nodesOf(a.events), nodesOf(b.events)];
  return [
    ...valueDifferences('opening', shapeOf(openingA), shapeOf(openingB)),
    ...valueDifferences('params', objectOf(left['params']), objectOf(right['params'])),
    ...valueDifferences('agent', objectOf(left['agents']), objectOf(right['agents'])),
    ...valueDifferences('', { 'model override': left['model'] ?? null }, { 'model override': right['model'] ?? null }),
    ...valueDifferences('node', specsOf(openingA), specsOf(openingB)),
    ...[...nodesA].flatMap(([id, node]) => nodeDifferences(id, node, nodesB.get(id))),
    ...valueDifferences('', endOf(a), endOf(b)),
  ];
}

/** Members that differ, each by its name; one that is not there is null. */
function valueDifferences(of: string, a: JsonObject, b: JsonObject): Difference[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => textOf(a[name]) !== textOf(b[name]))
    .map((name) => ({
      where: [of, name].filter((word) => word !== '').join(' '),
      a: { json: a[name] ?? null },
      b: { json: b[name] ?? null },
    }));
}

function nodeDifferences(id: string, a: Node, b: Node | undefined): Difference[] {
  // That it stands in one opening alone has been told.
  if (b === undefined) return [];
  const isTaken = a.taken || b.taken;
  const [first] = isTaken ? [] : callDifferences(id, a.calls, b.calls);
  return [
    ...valueDifferences(
      `node ${id}:`,
      { state: a.state, ...(isTaken ? {} : { attempts: a.attempts }) },
      { state: b.state, ...(isTaken ? {} : { attempts: b.attempts }) },
    ),
    ...(first === undefined ? [] : [first]),
    ...outputDifferences(id, a.outputs, b.outputs),
  ];
}

function callDifferences(id: string, a: readonly Call[], b: readonly Call[]): Difference[] {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const [one, other] = [a[i], b[i]];
    const where = `node ${id}: call ${i + 1}`;
    if (one?.op !== other?.op) return [{ where, a: { json: one?.op ?? null }, b: { json: other?.op ?? null } }];
    if (one === undefined || other === undefined) return [];
    if (one.args_hash !== other.args_hash) return [{ where: `${where}, ${one.op} with`, a: one.args, b: other.args }];
    if (textOf(one.result) !== textOf(other.result))
      return [{ where: `${where}, ${one.op} gave`, a: one.result, b: other.result }];
  }
  return [];
}

function outputDifferences(id: string, a: JsonObject, b: JsonObject): Difference[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((port) => textOf(digestsOf(a[port])) !== textOf(digestsOf(b[port])))
    .map((port) => ({ where: `node ${id}: output ${port}`, a: outputOf(a[port]), b: outputOf(b[port]) }));
}

function digestsOf(list: JsonValue | undefined): JsonValue {
  return Array.isArray(list)
    ? (list as readonly JsonValue[]).map((one) => (isJsonObject(one) ? [one['type'] ?? '', one['digest'] ?? ''] : null))
    : null;
}

/** One value is shown as what it is, several by their digests. */
function outputOf(list: JsonValue | undefined): Side {
  const [only] = Array.isArray(list) && list.length === 1 ? (list as readonly JsonValue[]) : [];
  return isJsonObject(only) ? { blob: String(only['digest']) } : { json: digestsOf(list) };
}

function nodesOf(events: readonly TapeEvent[]): ReadonlyMap<string, Node> {
  const opening = objectOf(events[0]?.meta['opening']) as { nodes?: readonly { id: string; use: { name: string } }[] };
  const nodes = new Map(
    (opening.nodes ?? []).map(({ id, use }): [string, Node] => [
      id,
      { agent: use.name, state: 'pending', taken: false, attempts: 0, outputs: {}, calls: [] },
    ]),
  );
  for (const { kind, meta } of events) {
    const node = nodes.get(String(meta['node']));
    if (node === undefined) continue;
    const attempt = Number(meta['attempt'] ?? 0);
    if (kind.startsWith('effect.')) addCall(node, meta);
    else if (kind === 'node.started' || kind === 'node.finished') {
      if (attempt > node.attempts) Object.assign(node, { attempts: attempt, calls: [] });
      node.state = kind === 'node.started' ? 'running' : String(meta['state']);
      node.outputs = objectOf(meta['outputs']);
      node.taken = meta['from_tape'] === true;
    }
  }
  return nodes;
}

function addCall(node: Node, meta: JsonObject): void {
  if (Number(meta['attempt']) !== node.attempts) return;
  const op = String(meta['op']);
  const args = sideOf(meta['args']);
  const result: Side =
    meta['ok'] === true
      ? sideOf(meta['value'])
      : { json: meta['ok'] === undefined ? 'no result' : (meta['error'] ?? null) };
  node.calls[Number(meta['index'])] = { op, args_hash: String(meta['args_hash']), args, result };
}

function endOf(tape: Tape): JsonObject {
  const { state, reason, cost }: { state: string; reason: string | null; cost: Cost } = timelineOf(tape);
  return { state, reason, tokens: cost.tokens, usd_nano: cost.usd_nano };
}

/** What of an opening is neither its parameters nor its nodes, which are told of one by one. */
function shapeOf(opening: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(opening).filter(([name]) => name !== 'params' && name !== 'nodes'));
}

function specsOf({ nodes }: JsonObject): JsonObject {
  const list = (Array.isArray(nodes) ? nodes : []) as readonly JsonValue[];
  return Object.fromEntries(list.filter(isJsonObject).map(({ id, ...spec }) => [String(id), spec]));
}

function sideOf(stored: JsonValue | undefined): Side {
  if (!isJsonObject(stored)) return { json: null };
  return typeof stored['blob'] === 'string' ? { blob: stored['blob'] } : { json: stored['json'] ?? null };
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

function textOf(value: JsonValue | Side | undefined): string {
  const text = canonicalJson(value ?? null);
  return text.ok ? text.value : JSON.stringify(value);
}
