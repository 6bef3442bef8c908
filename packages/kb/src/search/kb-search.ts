/**
 * Searching as the knowledge base offers it: the views catch up, the embedder is asked, the search thread answers.
 *
 * 1. A search sees every append that was answered before it was asked.
 * 2. An embedder that fails makes a search by words alone, and the answer says so.
 * 3. Vectors of a model are made in the background, a request at a time, each kept as soon as it is there: whatever
 *    interrupts it, the next start goes on where it was.
 */
import { type Failure, type Log, type Result, err, failure, ok } from '@runloop/core';
import { type Embedder, normalised } from './embedder.ts';
import { embedRequestMax, embedUnaskedMax, searchTextMax } from '../limits.ts';
import type { Found, LentText, SearchQuestion, VectorsStatus } from './search-desk.ts';
import type { SearchHit, SearchQuery } from './search.ts';
import type { NewVector } from './search-vectors.ts';
import type { Thread } from '../thread.ts';

type Asked<T> = Promise<Result<T, Failure>>;

export type Vectors = VectorsStatus & {
  /** Whether vectors are being made. */
  readonly running: boolean;
  /** Why an embedder's request failed. */
  readonly problem?: string;
};
export type SearchFound = { readonly hits: readonly SearchHit[]; readonly vectors: Vectors };

export interface KbSearch {
  search(q: SearchQuery): Asked<SearchFound>;
  /** Where the vectors stand; with `start`, what is missing is made in the background. */
  reembed(start: boolean): Asked<Vectors>;
  /** Deletes the vectors of texts that no document has any more, so that no byte of them stays. */
  purgeVectors(): Asked<{ readonly purged: number }>;
}

type SearchDeps = {
  readonly log: Log;
  readonly caughtUp: () => Asked<unknown>;
  /** Makes damaged views anew; false where they are none. */
  readonly mend: () => Asked<boolean>;
  readonly thread: Thread<SearchQuestion>;
  /** None: the built-in one, which the search thread is itself. */
  readonly embedder: Embedder | undefined;
  readonly closing: AbortSignal;
};

export function createKbSearch({ log, caughtUp, mend, thread, embedder, closing }: SearchDeps): KbSearch {
  const ask: Ask = async <T>(question: SearchQuestion) => {
    const answer = await thread.ask(question);
    if (answer.ok || answer.error.code !== 'StorageCorrupt') return answer as Result<T, Failure>;
    const mended = await mend();
    return (mended.ok && mended.value ? await thread.ask(question) : answer) as Result<T, Failure>;
  };
  const work = embedder === undefined ? undefined : new Embedding(ask, embedder, log, closing);
  /** Why the last search had no vector. */
  let refused: Failure | undefined;
  const tell = (status: VectorsStatus): Vectors => {
    const problem = refused ?? work?.stopped;
    return {
      ...status,
      running: work?.running ?? status.missing > 0,
      ...(problem === undefined ? {} : { problem: problem.message }),
    };
  };
  const vectorOf = async (q: SearchQuery): Asked<Float32Array | undefined> => {
    if (embedder === undefined || q.mode === 'keyword' || q.text.trim() === '') return ok(undefined);
    const made = await embedder.embed([q.text], closing);
    refused = made.ok ? undefined : made.error;
    return made.ok ? ok(made.value[0]) : made;
  };
  return {
    async search(asked) {
      const q = { ...asked, text: asked.text.slice(0, searchTextMax).toWellFormed() };
      const ready = await caughtUp();
      if (!ready.ok) return ready;
      const vector = await vectorOf(q);
      if (!vector.ok && q.mode === 'semantic') return vector;
      const found = await ask<Found>({ type: 'search', q, ...(vector.ok ? { vector: vector.value } : {}) });
      if (!found.ok) return found;
      const { hits, vectors } = found.value;
      const isSmall = vectors.missing > 0 && vectors.missing <= embedUnaskedMax;
      if (isSmall && vector.ok && vector.value !== undefined && work?.stopped === undefined) void work?.start();
      return ok({ hits, vectors: tell(vectors) });
    },
    async reembed(start) {
      const ready = await caughtUp();
      if (!ready.ok) return ready;
      if (start) void work?.start();
      const status = await ask<VectorsStatus>({ type: 'status' });
      return status.ok ? ok(tell(status.value)) : status;
    },
    async purgeVectors() {
      const ready = await caughtUp();
      return ready.ok ? ask({ type: 'purge' }) : ready;
    },
  };
}

type Ask = <T>(question: SearchQuestion) => Asked<T>;

/** Makes what is missing, a request at a time, until nothing is or a request fails. */
class Embedding {
  readonly #ask: Ask;
  readonly #by: Embedder;
  readonly #log: Log;
  readonly #closing: AbortSignal;
  running = false;
  /** Why it ended before its time; it begins again when somebody asks for it, for each time may cost. */
  stopped: Failure | undefined;

  constructor(ask: Ask, by: Embedder, log: Log, closing: AbortSignal) {
    this.#ask = ask;
    this.#by = by;
    this.#log = log;
    this.#closing = closing;
  }

  async start(): Promise<void> {
    if (this.running || this.#closing.aborted) return;
    this.running = true;
    this.stopped = undefined;
    for (let more = true; more && !this.#closing.aborted;) {
      const done = await this.#some();
      more = done.ok && done.value;
      if (done.ok || this.#closing.aborted) continue;
      this.stopped = done.error;
      this.#log.log('warn', 'no vectors', { embedder: this.#by.id, why: done.error.message });
    }
    this.running = false;
  }

  async #some(): Asked<boolean> {
    const lent = await this.#ask<readonly LentText[]>({ type: 'lend', max: embedRequestMax });
    if (!lent.ok) return lent;
    if (lent.value.length === 0) return ok(false);
    const texts = lent.value.map(({ text }) => text);
    const made = await this.#by.embed(texts, this.#closing);
    if (!made.ok) return made;
    if (made.value.length !== texts.length) {
      const what = `${this.#by.id} answered ${made.value.length} vectors for ${texts.length} texts`;
      return err(failure('ProviderFailed', what, { hint: 'Choose another model for kb.embedder.' }));
    }
    const vectors = lent.value.flatMap(({ digest }, i): NewVector[] => {
      const vector = made.value[i];
      return vector === undefined ? [] : [{ digest, vector: normalised(vector) }];
    });
    const stored = await this.#ask<VectorsStatus>({ type: 'store', vectors });
    return stored.ok ? ok(true) : stored;
  }
}
