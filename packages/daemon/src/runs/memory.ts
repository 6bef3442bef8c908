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
  readonly #labels: Map<string, Label>;
  /** Evidence of nodes whose calls stand on another run's tape. */
  readonly #taken = new Map<string, readonly number[]>();

  constructor(rows: readonly StoredEvent[]) {
    this.#tape = tapeOf(rows);
    this.#told = toldOf(rows);
    this.#labels = labelsOf(rows);
    for (const row of rows) if (row.kind === 'node.finished') this.take(metaOf(row));
  }

  /** Remembers what a fork has taken of a node: its label, and what it rests on. */
  take({ from_tape, node, label, evidence }: JsonObject): void {
    if (from_tape !== true) return;
    if (label !== undefined) this.#labels.set(String(node), readLabel(label));
    if (Array.isArray(evidence)) this.#taken.set(String(node), evidence as readonly number[]);
  }

  /** Remembers a call, so that an attempt that is suspended can run over it again. */
  remember(call: TapedCall): void {
    const key = tapeKey(call.node, call.attempt);
    const list = this.#tape.get(key) ?? [];
    addCall(list, call);
    this.#tape.set(key, list);
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
    const labels: Label[] = [this.of(node)];
    const before = new Set([node]);
    for (const id of before) {
      for (const edge of state.graph.inbound[state.graph.indexOf.get(id) ?? -1] ?? []) {
        const source = state.opening.edges[edge]?.from.node ?? '';
        const label = this.#labels.get(source);
        if (label === undefined) before.add(source);
        else labels.push(label);
      }
    }
    return joinLabels(...labels);
  }

  /** Events that a node's work rests on: what it read itself, and what those before it had read. */
  evidence(node: string, state: RunState): readonly number[] {
    const before = new Set([node]);
    for (const id of before) {
      for (const edge of state.graph.inbound[state.graph.indexOf.get(id) ?? -1] ?? []) {
        const source = state.opening.edges[edge]?.from.node;
        if (source !== undefined && state.edges[edge] === 'delivered') before.add(source);
      }
    }
    const ids = new Set([...before].flatMap((id) => this.#taken.get(id) ?? []));
    for (const calls of this.#tape.values()) {
      for (const call of calls) if (before.has(call.node)) for (const id of call.evidence ?? []) ids.add(id);
    }
    return [...ids].sort((a, b) => a - b).slice(0, evidenceMax);
  }
}
