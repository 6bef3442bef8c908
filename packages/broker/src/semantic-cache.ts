/**
 * Answers to questions that mean nearly the same: an index by embedding over the answers that the exact cache holds.
 *
 * 1. It holds vectors and keys, no answers: what the cache forgets, for its age, for room or by a purge, is answered no more.
 * 2. Two questions meet in a group alone: one owner, one label set, one route, one of everything but the last turn's text.
 * 3. An embedding that cannot be had, is refused by a budget or takes too long is a miss, never a failure of the call.
 * An answer that was found so is not kept under the question that found it: likeness does not go on from one to the next.
 */
import { type Clock, digestJson, type Failure, type Log, type Result, joinSignals } from '@runloop/core';
import {
  semanticBytesMax,
  semanticDimensionMax,
  semanticGroupMax,
  semanticTextCharsMax,
  semanticWaitMs,
} from './limits.ts';
import type { CallContext, CompletionRequest, Message } from './request.ts';

/** What is compared, and all else of the request that must be equal. */
export type Question = { readonly text: string; readonly rest: CompletionRequest };
export type Vector = { readonly by: string; readonly values: readonly number[] };

/** What came of looking: an answer, or a place under which the one that is now paid for can be kept. */
export type Looked<T> = { readonly answer?: T; readonly keep: (key: string) => void };

export interface SemanticCache<T> {
  look(question: Question, group: unknown, ctx: CallContext, signal: AbortSignal): Promise<Looked<T> | undefined>;
  purge(): void;
}

export type SemanticDeps<T> = {
  readonly clock: Clock;
  readonly log: Log;
  readonly threshold: number;
  /** By the broker's own way: with its budgets, its cache and its bill. */
  readonly embed: (text: string, ctx: CallContext, signal: AbortSignal) => Promise<Result<Vector, Failure>>;
  /** What the exact cache holds under a key. */
  readonly answerOf: (key: string) => T | undefined;
};

/** Whether its answer may be given again: it says so, or leaves nothing to chance. */
export function isKept({ cache, temperature }: CompletionRequest): boolean {
  return cache ?? temperature === 0;
}

/** Undefined where the request is none that a near one may answer: it waits for a tool, or has no last turn in words. */
export function questionOf(request: CompletionRequest): Question | undefined {
  const { messages } = request;
  const last = messages.at(-1);
  if (last?.role !== 'user') return undefined;
  const results = new Set(messages.map(({ tool_call_id }) => tool_call_id));
  if (messages.some(({ tool_calls }) => tool_calls?.some(({ id }) => !results.has(id)))) return undefined;
  const text = textOf(last);
  if (text.trim() === '' || text.length > semanticTextCharsMax) return undefined;
  return { text, rest: { ...request, messages: [...messages.slice(0, -1), withoutText(last)] } };
}

function textOf({ content }: Message): string {
  if (typeof content === 'string') return content;
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

function withoutText(message: Message): Message {
  const { content } = message;
  if (typeof content === 'string') return { ...message, content: '' };
  return { ...message, content: content.map((part) => (part.type === 'text' ? { ...part, text: '' } : part)) };
}

export function createSemanticCache<T>({ clock, log, threshold, embed, answerOf }: SemanticDeps<T>): SemanticCache<T> {
  const index = new VectorIndex();
  let told = '';
  const vectorOf = async (text: string, ctx: CallContext, signal: AbortSignal): Promise<Vector | undefined> => {
    const late = new AbortController();
    using _deadline = clock.after(semanticWaitMs, () => late.abort());
    // What a person has agreed to send to the model has not been agreed to be sent here.
    const own = { ...ctx, agreed: undefined, onDelta: undefined };
    using either = joinSignals(signal, late.signal);
    const embedded = await embed(text, own, either.signal);
    const problem = embedded.ok ? '' : embedded.error.code;
    if (!embedded.ok && problem !== told && !signal.aborted)
      log.log('warn', 'the semantic cache has no embedding, and is passed by', { reason: embedded.error.message });
    told = problem;
    return embedded.ok ? embedded.value : undefined;
  };
  return {
    async look({ text, rest }, group, ctx, signal) {
      const vector = await vectorOf(text, ctx, signal);
      const unit = vector === undefined ? undefined : unitOf(vector.values);
      if (vector === undefined || unit === undefined) return undefined;
      const name = digestJson(JSON.parse(JSON.stringify({ by: vector.by, group, rest })));
      const keep = (key: string): void => {
        if (answerOf(key) !== undefined) index.put(name, key, unit);
      };
      for (const key of index.near(name, unit, threshold)) {
        const answer = answerOf(key);
        if (answer !== undefined) return { answer, keep };
        index.drop(key);
      }
      return { keep };
    },
    purge: () => index.clear(),
  };
}

/** Of length 1, so that a product of two is their cosine; undefined where it has no direction, or too many numbers. */
function unitOf(values: readonly number[]): Float64Array | undefined {
  const length = Math.hypot(...(values.length > semanticDimensionMax ? [] : values));
  return length > 0 && Number.isFinite(length) ? Float64Array.from(values, (one) => one / length) : undefined;
}

type Entry = { readonly group: string; readonly vector: Float64Array };

/** Vectors in groups; those that were not asked for the longest make room. */
class VectorIndex {
  readonly #entries = new Map<string, Entry>();
  readonly #groups = new Map<string, Set<string>>();
  #bytes = 0;

  /** Keys of a group whose vectors are near enough, the nearest first. */
  near(group: string, vector: Float64Array, threshold: number): readonly string[] {
    const found: { readonly key: string; readonly cosine: number }[] = [];
    for (const key of this.#groups.get(group) ?? []) {
      const cosine = cosineOf(this.#entries.get(key)?.vector, vector);
      if (cosine >= threshold) found.push({ key, cosine });
    }
    const keys = found.sort((a, b) => b.cosine - a.cosine).map(({ key }) => key);
    const entry = keys[0] === undefined ? undefined : this.#entries.get(keys[0]);
    if (keys[0] !== undefined && entry !== undefined) this.put(group, keys[0], entry.vector);
    return keys;
  }

  put(group: string, key: string, vector: Float64Array): void {
    this.drop(key);
    this.#entries.set(key, { group, vector });
    const keys = this.#groups.get(group) ?? new Set();
    this.#groups.set(group, keys.add(key));
    this.#bytes += vector.byteLength;
    if (keys.size > semanticGroupMax) this.#dropFirst(keys);
    while (this.#bytes > semanticBytesMax) this.#dropFirst(this.#entries);
  }

  drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.vector.byteLength;
    const keys = this.#groups.get(entry.group);
    keys?.delete(key);
    if (keys?.size === 0) this.#groups.delete(entry.group);
  }

  #dropFirst(keys: { keys(): Iterable<string> }): void {
    for (const key of keys.keys()) return this.drop(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#groups.clear();
    this.#bytes = 0;
  }
}

function cosineOf(a: Float64Array | undefined, b: Float64Array): number {
  if (a?.length !== b.length) return -1;
  let sum = 0;
  for (const [i, one] of a.entries()) sum += one * (b[i] ?? 0);
  return sum;
}
