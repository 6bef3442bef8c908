/**
 * What the bus remembers of each topic: who takes its frames, and which frames it has seen.
 *
 * 1. A route is worked out once and forgotten when any subscription changes.
 * 2. At most `topicsMax` topics and `keysTotalMax` keys of all topics; the topic remembered longest leaves first,
 *    and its keys that were younger than their age count as evictions.
 */
import { DedupeTable } from './dedupe.ts';
import type { BusLimits } from './limits.ts';
import { isTopic } from './topics.ts';

export type TopicState<R> = { route: R; version: number; dedupe: DedupeTable | undefined };

/** Keys of all topics together: about 50 bytes each. */
export const keysTotalMax: number = 1024 * 1024;

export class TopicTable<R> {
  readonly #limits: BusLimits;
  readonly #routeOf: (topic: string) => R;
  readonly #topics = new Map<string, TopicState<R>>();
  #version = 0;
  #capacity = 0;
  #evictions = 0;

  constructor(limits: BusLimits, routeOf: (topic: string) => R) {
    this.#limits = limits;
    this.#routeOf = routeOf;
  }

  get size(): number {
    return this.#topics.size;
  }

  /** Every route is worked out anew. */
  invalidate(): void {
    this.#version += 1;
  }

  /** The topic's state, or undefined where the text is no topic. */
  at(topic: string, nowMs: number): TopicState<R> | undefined {
    const known = this.#topics.get(topic);
    if (known !== undefined) {
      if (known.version !== this.#version) {
        known.route = this.#routeOf(topic);
        known.version = this.#version;
      }
      return known;
    }
    if (!isTopic(topic)) return undefined;
    if (this.#topics.size >= this.#limits.topicsMax) this.#evictOldest(nowMs);
    const state = { route: this.#routeOf(topic), version: this.#version, dedupe: undefined };
    this.#topics.set(topic, state);
    return state;
  }

  /** Was this frame seen on this topic before? It is now. */
  seen(
    state: TopicState<R>,
    principal: number,
    bytes: Uint8Array,
    trace: number,
    msgId: number,
    nowMs: number,
  ): boolean {
    if (state.dedupe === undefined) {
      state.dedupe = new DedupeTable(this.#limits.dedupeKeysMax, this.#limits.ttlMsMax);
      this.#capacity += state.dedupe.capacity;
    }
    const before = state.dedupe.capacity;
    const seen = state.dedupe.seen(principal, bytes, trace, msgId, nowMs);
    if (state.dedupe.capacity !== before) {
      this.#capacity += state.dedupe.capacity - before;
      while (this.#capacity > keysTotalMax && this.#topics.size > 1) this.#evictOldest(nowMs, state);
    }
    return seen;
  }

  get evictions(): number {
    let total = this.#evictions;
    for (const { dedupe } of this.#topics.values()) total += dedupe?.evictions ?? 0;
    return total;
  }

  #evictOldest(nowMs: number, keep?: TopicState<R>): void {
    for (const [topic, state] of this.#topics) {
      if (state === keep) continue;
      this.#topics.delete(topic);
      if (state.dedupe === undefined) return;
      this.#capacity -= state.dedupe.capacity;
      const isYoung = state.dedupe.youngestMs + this.#limits.ttlMsMax >= nowMs;
      this.#evictions += state.dedupe.evictions + (isYoung ? state.dedupe.size : 0);
      return;
    }
  }
}
