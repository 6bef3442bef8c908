/**
 * What a run remembers of its attempts: their calls, what they were told, the events that their work rests on, and the
 * labels of what they gave.
 *
 * It is read back from the ledger after a restart; nothing here is truth.
 */
import { cleanLabel, joinLabels, type JsonObject, type Label, readLabel } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import type { RunState } from '@runloop/openings';
import { addCall, evidenceMax, labelsOf, metaOf, type TapedCall, tapeKey, tapeOf, type Told, toldOf } from './tape.ts';

export class RunMemory {
  readonly #tape: Map<string, TapedCall[]>;
  readonly #told: Map<string, Told>;
  /** What nodes gave carries these; of one that did not run, what it would have been given. */
  readonly #labels: Map<string, Label>;
  /** Events that a node's own calls rest on. */
  readonly #read = new Map<string, Set<number>>();
  /** Events that what came before a node rests on: all of that is over when it is asked for. */
  readonly #before = new Map<string, readonly number[]>();

  constructor(rows: readonly StoredEvent[]) {
    this.#tape = tapeOf(rows);
    this.#told = toldOf(rows);
    this.#labels = labelsOf(rows);
    for (const calls of this.#tape.values()) for (const call of calls) this.#reads(call);
    for (const row of rows) if (row.kind === 'node.finished') this.take(metaOf(row));
  }

  /** Remembers what a fork has taken of a node: its label, and all that it rests on. */
  take({ from_tape, node, label, evidence }: JsonObject): void {
    if (from_tape !== true) return;
    if (label !== undefined) this.#labels.set(String(node), readLabel(label));
    if (Array.isArray(evidence)) this.#read.set(String(node), new Set(evidence as readonly number[]));
  }

  /** Remembers a call, so that an attempt that is suspended can run over it again. */
  remember(call: TapedCall): void {
    const key = tapeKey(call.node, call.attempt);
    const list = this.#tape.get(key) ?? [];
    addCall(list, call);
    this.#tape.set(key, list);
    this.#reads(call);
  }

  #reads({ node, evidence = [] }: TapedCall): void {
    if (evidence.length === 0) return;
    const read = this.#read.get(node) ?? new Set();
    this.#read.set(node, read);
    for (const id of evidence) read.add(id);
  }

  calls(node: string, attempt: number): readonly TapedCall[] {
    return this.#tape.get(tapeKey(node, attempt)) ?? [];
  }

  /** Whether the call was begun before this time; its intent of this time is remembered already. */
  repeated(node: string, attempt: number, call: string): boolean {
    const before = this.calls(node, attempt).find((one) => one.call === call)?.begun ?? 0;
    return before > 1 || this.earlier(node, attempt).some((one) => one.call === call);
  }

  /** Calls of class `once` that earlier attempts of the node have made. */
  earlier(node: string, attempt: number): TapedCall[] {
    const calls: TapedCall[] = [];
    for (let before = 1; before < attempt; before += 1) calls.push(...this.calls(node, before));
    return calls.filter((call) => call.class === 'once');
  }

  /** What the attempt was told at first; `tell` is called where it was told nothing yet. */
  told(node: string, attempt: number, tell: () => Told): Told {
    const key = tapeKey(node, attempt);
    const before = this.#told.get(key);
    if (before !== undefined) return before;
    const told = tell();
    this.#told.set(key, told);
    return told;
  }

  /** What `node` gives carries this label. */
  give(node: string, label: Label): void {
    this.#labels.set(node, label);
  }

  of(node: string): Label {
    return this.#labels.get(node) ?? cleanLabel;
  }

  /**
   * The label of all that a node is given. Values that a predicate kept back count too: that the node runs at all, and on
   * which port nothing came, was decided by them; a node that never ran hands on what it would have been given. That
   * there is another attempt, and what it has left to spend, was decided by the one before.
   */
  given(node: string, state: RunState): Label {
    const before = (id: string): readonly string[] => sourcesOf(id, state, () => true);
    const handedOn = (id: string): Label => joinLabels(...before(id).map((source) => this.of(source)));
    for (const source of before(node)) settle(this.#labels, source, before, handedOn);
    return joinLabels(this.of(node), handedOn(node));
  }

  /** Events that a node's work rests on: what it read itself, and what those before it had read. */
  evidence(node: string, state: RunState): readonly number[] {
    const before = (id: string): readonly string[] => sourcesOf(id, state, (edge) => state.edges[edge] === 'delivered');
    const known = (id: string): Iterable<number>[] => [this.#before.get(id) ?? [], this.#read.get(id) ?? []];
    settle(this.#before, node, before, (id) => lowest(before(id).flatMap(known)));
    return lowest(known(node));
  }
}

/** Nodes right before this one, by edges that count, each once. */
function sourcesOf(node: string, { graph, opening }: RunState, counts: (edge: number) => boolean): readonly string[] {
  const sources = new Set<string>();
  for (const edge of graph.inbound[graph.indexOf.get(node) ?? -1] ?? []) {
    const source = opening.edges[edge]?.from.node;
    if (source !== undefined && counts(edge)) sources.add(source);
  }
  return [...sources];
}

/** Keeps what `of` makes of the node, and first of all before it of which nothing is kept: each once in a run. */
function settle<T>(
  kept: Map<string, T>,
  node: string,
  before: (node: string) => readonly string[],
  of: (node: string) => T,
): void {
  const due = [node];
  for (let id = due.at(-1); id !== undefined; id = due.at(-1)) {
    const missing = kept.has(id) ? [] : before(id).filter((source) => !kept.has(source));
    if (missing.length > 0) {
      for (const source of missing) due.push(source);
      continue;
    }
    if (!kept.has(id)) kept.set(id, of(id));
    due.pop();
  }
}

/** The first of them, which are the oldest events. */
function lowest(lists: readonly Iterable<number>[]): readonly number[] {
  const ids = new Set<number>();
  for (const list of lists) for (const id of list) ids.add(id);
  return ids.size === 0 ? none : [...ids].sort((a, b) => a - b).slice(0, evidenceMax);
}

const none: readonly number[] = [];
