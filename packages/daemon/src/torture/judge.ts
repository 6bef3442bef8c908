/**
 * What must hold of runs whatever happened to the daemon, read from the ledger and from the world's books.
 */
import { digestJson, isJsonObject, type JsonObject, type JsonValue, type RunEvent } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import type { Opening } from '@runloop/openings';
import { metaOf } from '../runs/tape.ts';
import type { World } from './world.ts';

/** Where a run has ended up: equal for equal runs, whatever happened on the way. */
export type Ending = { readonly state: string; readonly nodes: { readonly [id: string]: NodeEnding } };
export type NodeEnding = {
  readonly state: string;
  readonly attempt: number;
  readonly outputs: JsonObject;
  /** Of all that its calls were answered: ids of events and messages among them. */
  readonly told: string;
  /** The nodes that it was given something by. */
  readonly after: readonly string[];
};

/** The rules that the events of one run break; none where all is well. */
export function judgeRun(rows: readonly StoredEvent[]): readonly string[] {
  const broken: string[] = [];
  const expect = (holds: boolean, rule: string): void => void (holds || broken.push(rule));
  expect(rows[0]?.kind === 'run.accepted', 'the first event is run.accepted');
  const streamed = rows.filter((row) => row.run_seq !== undefined);
  expect(streamed.at(-1)?.kind === 'run.finished', 'the run has finished, and nothing comes after it');
  expect(
    streamed.every((row, i) => row.run_seq === i + 1),
    'seq counts from 1 without gaps',
  );
  for (const kind of ['run.accepted', 'run.started', 'run.finished'])
    expect(rows.filter((row) => row.kind === kind).length === 1, `there is one ${kind}`);
  const over = new Set<string>();
  const asked = new Map<string, number>();
  const decided = new Map<string, number>();
  const count = (map: Map<string, number>, key: string): number => {
    map.set(key, (map.get(key) ?? 0) + 1);
    return map.get(key) ?? 0;
  };
  for (const row of rows) {
    const meta = metaOf(row);
    const node = String(meta['node']);
    if (row.kind === 'node.started') expect(!over.has(node), `${node} is not run again after it has finished`);
    if (row.kind === 'node.finished') {
      expect(!over.has(node), `${node} finishes once`);
      over.add(node);
    }
    if (row.kind === 'action.requested')
      expect(
        count(asked, `${String(meta['call'])} ${String(meta['hash'])}`) === 1,
        `${String(meta['op'])} of ${node} is asked about once`,
      );
    if (row.kind === 'action.decided')
      expect(count(decided, String(meta['action'])) === 1, `${String(meta['action'])} is answered once`);
  }
  return broken;
}

/** What was heard on the bus stands on the ledger, as it was heard and in its order. */
export function judgeStream(heard: readonly RunEvent[], rows: readonly StoredEvent[]): readonly string[] {
  const kinds = new Map(rows.map((row) => [row.run_seq, row.kind]));
  let last = 0;
  for (const { seq, kind } of heard) {
    if (seq === undefined) continue;
    if (kinds.get(seq) !== kind) return [`${kind} (seq ${seq}) was told and does not stand on the ledger`];
    if (seq <= last) return [`${kind} (seq ${seq}) was told after seq ${last}`];
    last = seq;
  }
  return [];
}

/** What the world's books say that no daemon may do. */
export function judgeWorld(world: World, rows: readonly StoredEvent[]): readonly string[] {
  const broken: string[] = [];
  for (const [call, { op, count }] of world.deeds) {
    if (count > 1) broken.push(`${op} was done ${count} times (call ${call.slice(0, 12)}…)`);
  }
  const booked = tokensOf(rows);
  if (booked < world.provider.tokens)
    broken.push(`the provider counts ${world.provider.tokens} tokens, the ledger ${booked}`);
  return broken;
}

/** Tokens that the ledger says were spent, with those of calls whose answer was lost. */
export function tokensOf(rows: readonly StoredEvent[]): number {
  const numbers = rows.flatMap((row) => {
    const meta = metaOf(row);
    return row.kind === 'model.called' || row.kind === 'budget.settled' ? [meta['tokens_in'], meta['tokens_out']] : [];
  });
  return numbers.reduce<number>((sum, number) => sum + Number(number ?? 0), 0);
}

export function endingOf(rows: readonly StoredEvent[]): Ending {
  const nodes: { [id: string]: NodeEnding } = {};
  const told = new Map<string, JsonValue[]>();
  const after = new Map<string, string[]>();
  let state = '';
  for (const row of rows) {
    const meta = metaOf(row);
    const node = String(meta['node']);
    if (row.kind === 'run.accepted')
      for (const { from, to } of (meta['opening'] as unknown as Opening).edges)
        after.set(to.node, [...(after.get(to.node) ?? []), from.node]);
    if (row.kind === 'effect.result')
      told.set(node, [...(told.get(node) ?? []), meta['value'] ?? meta['error'] ?? null]);
    if (row.kind === 'run.finished') state = String(meta['state']);
    if (row.kind !== 'node.finished') continue;
    const { outputs } = meta;
    nodes[node] = {
      state: String(meta['state']),
      attempt: Number(meta['attempt']),
      outputs: isJsonObject(outputs) ? outputs : {},
      told: digestJson(told.get(node) ?? []),
      after: after.get(node) ?? [],
    };
  }
  return { state, nodes };
}

/**
 * The first difference of two endings, in words. A node may give other values only where it, or one before it, was told
 * something else: an event's id, or the operator's word for what a call gave whose answer was lost.
 */
export function differenceOf(expected: Ending, found: Ending): string | undefined {
  if (expected.state !== found.state) return `the run ${found.state}, without a crash it ${expected.state}`;
  const otherwise = toldOtherwise(expected, found);
  for (const [id, node] of Object.entries(expected.nodes)) {
    const other = found.nodes[id];
    const isSame =
      other?.state === node.state &&
      other.attempt === node.attempt &&
      shapeOf(other.outputs) === shapeOf(node.outputs) &&
      (otherwise.has(id) || digestJson(other.outputs) === digestJson(node.outputs));
    if (!isSame) return `node ${id} ended as ${JSON.stringify(other)}, without a crash as ${JSON.stringify(node)}`;
  }
  return undefined;
}

function toldOtherwise(expected: Ending, found: Ending): ReadonlySet<string> {
  const ids = Object.keys(expected.nodes);
  const otherwise = new Set(ids.filter((id) => expected.nodes[id]?.told !== found.nodes[id]?.told));
  for (let before = -1; before !== otherwise.size;) {
    before = otherwise.size;
    for (const id of ids) if (expected.nodes[id]?.after.some((one) => otherwise.has(one)) === true) otherwise.add(id);
  }
  return otherwise;
}

/** Ports and types, without the values. */
function shapeOf(outputs: JsonObject): string {
  const ports = Object.entries(outputs).map(([port, items]) => [
    port,
    ...(items as unknown as readonly { readonly type: string }[]).map(({ type }) => type),
  ]);
  return JSON.stringify(ports.sort());
}
