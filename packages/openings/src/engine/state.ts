/**
 * The state of a run: the fold of its durable events, and nothing else.
 *
 * A state belongs to `step`, which changes it in place and hands it back: whoever calls keeps no older copy.
 * That keeps one step's cost at the degree of the node that it touches.
 */
import type { JsonValue } from '@runloop/core';
import { type Graph, graphOf } from '../graph.ts';
import type { Opening } from '../ir.ts';
import { ReadyQueue } from './ready.ts';

export type NodePhase = 'pending' | 'ready' | 'running' | 'waiting' | 'succeeded' | 'failed' | 'skipped' | 'cancelled';
export type RunPhase = 'new' | 'running' | 'paused' | 'waiting' | 'succeeded' | 'failed' | 'cancelled';

/** A value on a port: its type and the digest of its canonical JSON; the value itself only where a predicate reads it. */
export type PortValue = { readonly type: string; readonly digest: string; readonly value?: JsonValue };
export type Outputs = { readonly [port: string]: readonly PortValue[] };

export type NodeState = {
  phase: NodePhase;
  /** Attempts begun. */
  attempt: number;
  /** Inbound edges that are not settled yet. */
  unsettled: number;
  delivered: number;
  waitingFor: 'approval' | 'budget' | 'timer' | 'operator' | undefined;
  /** Handed to the scheduler and not started yet. */
  enqueued: boolean;
  outputs: Outputs | undefined;
  code: string | undefined;
  reason: string | undefined;
};

/** A nested opening as it stands; `startedMs` is the run's running time when its first node started. */
export type GroupState = { left: number; skipped: number; startedMs: number | undefined };

export type RunState = {
  readonly opening: Opening;
  readonly graph: Graph;
  readonly seed: Uint8Array;
  readonly maxParallel: number;
  phase: RunPhase;
  /** Streamed events so far. */
  seq: number;
  readonly nodes: NodeState[];
  readonly edges: ('pending' | 'delivered' | 'skipped')[];
  readonly ready: ReadyQueue;
  counts: { [phase in NodePhase]: number };
  enqueued: number;
  /** Nodes that wait for a timer. */
  timed: number;
  /** Nodes that a success condition reads. */
  readonly judged: ReadonlySet<number>;
  /** How many nodes may still be handed out while paused. */
  steps: number;
  /** The first failure that no `err` edge took. */
  failure: string | undefined;
  /** Why the run is being wound up; its outcome once nothing runs any more. */
  ending: { readonly state: 'succeeded' | 'failed' | 'cancelled'; readonly reason: string } | undefined;
  /** Milliseconds in which the run was neither waiting, paused nor without a daemon. */
  activeMs: number;
  /** When it was accepted, as its ledger says; what its agents' clock starts from. */
  acceptedMs: number;
  lastTsMs: number;
  tokens: number;
  usdNano: number;
  readonly groups: ReadonlyMap<string, GroupState>;
};

export const finalPhases: ReadonlySet<RunPhase> = new Set(['succeeded', 'failed', 'cancelled']);

export function newState(opening: Opening, seed: Uint8Array, maxParallel: number): RunState {
  const graph = graphOf(opening);
  return {
    opening,
    graph,
    seed,
    maxParallel: opening.policy.max_parallel ?? maxParallel,
    phase: 'new',
    seq: 0,
    nodes: opening.nodes.map((_, index) => ({
      phase: 'pending',
      attempt: 0,
      unsettled: graph.inbound[index]?.length ?? 0,
      delivered: 0,
      waitingFor: undefined,
      enqueued: false,
      outputs: undefined,
      code: undefined,
      reason: undefined,
    })),
    edges: opening.edges.map(() => 'pending'),
    ready: new ReadyQueue(),
    counts: {
      pending: opening.nodes.length,
      ready: 0,
      running: 0,
      waiting: 0,
      succeeded: 0,
      failed: 0,
      skipped: 0,
      cancelled: 0,
    },
    enqueued: 0,
    timed: 0,
    judged: new Set(
      [opening, ...(opening.groups ?? [])]
        .flatMap(({ success }) => success?.conditions ?? [])
        .map(({ port }) => graph.indexOf.get(port.node) ?? -1),
    ),
    steps: 0,
    failure: undefined,
    ending: undefined,
    activeMs: 0,
    acceptedMs: 0,
    lastTsMs: 0,
    tokens: 0,
    usdNano: 0,
    groups: new Map(
      (opening.groups ?? []).map(({ id, nodes }) => [id, { left: nodes, skipped: 0, startedMs: undefined }]),
    ),
  };
}

export function enter(state: RunState, index: number, phase: NodePhase): NodeState {
  const node = state.nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  state.counts[node.phase] -= 1;
  state.counts[phase] += 1;
  if (node.phase === 'waiting' && node.waitingFor === 'timer') state.timed -= 1;
  node.phase = phase;
  if (node.enqueued) {
    node.enqueued = false;
    state.enqueued -= 1;
  }
  return node;
}

/** The inputs of a node: per port the values delivered, in the order of the edges in the file. */
export function inputsOf(state: RunState, index: number): Outputs {
  // Without a prototype: a port may be named like something that every object has.
  const inputs = Object.create(null) as { [port: string]: PortValue[] };
  for (const edgeIndex of state.graph.inbound[index] ?? []) {
    const edge = state.opening.edges[edgeIndex];
    if (edge === undefined || state.edges[edgeIndex] !== 'delivered') continue;
    const source = state.nodes[state.graph.indexOf.get(edge.from.node) ?? -1];
    (inputs[edge.to.port] ??= []).push(...outputsOn(source, edge.from.port));
  }
  return inputs;
}

/** What a node gave on a port. */
export function outputsOn(node: NodeState | undefined, port: string): readonly PortValue[] {
  return node?.outputs !== undefined && Object.hasOwn(node.outputs, port) ? (node.outputs[port] ?? []) : [];
}
