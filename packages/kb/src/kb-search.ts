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
import { embedRequestMax, embedUnaskedMax, searchTextMax } from './limits.ts';
import type { Found, LentText, SearchQuestion, VectorsStatus } from './search-desk.ts';
import type { SearchHit, SearchQuery } from './search.ts';
import type { NewVector } from './search-vectors.ts';
import type { Thread } from './thread.ts';

type Asked<T> = Promise<Result<T, Failure>>;

export type Vectors = VectorsStatus & {
  /** Whether vectors are being made. */
  readonly running: boolean;
  /** Why an embedder's request failed. */
  readonly problem?: string;
};
export type SearchFound = { readonly hits: readonly SearchHit[]; readonly vectors: Vectors };

export interface KbSearch extends Disposable {
  search(q: SearchQuery): Asked<SearchFound>;
  /** Where the vectors stand; with `start`, what is missing is made in the background. */
  reembed(start: boolean): Asked<Vectors>;
  /** Deletes the vectors of texts that no document has any more, so that no byte of them stays. */
  purgeVectors(): Asked<{ readonly purged: number }>;
}

type SearchDeps = {
  readonly log: Log;
  readonly caughtUp: () => Asked<unknown>;
  readonly thread: Thread<SearchQuestion>;
  /** None: the built-in one, which the search thread is itself. */
  readonly embedder: Embedder | undefined;
};

export function createKbSearch({ log, caughtUp, thread, embedder }: SearchDeps): KbSearch {
  const ending = new AbortController();
  let running = false;
  /** Why no vectors are being made, until somebody asks for it again: it may cost each time. */
  let stopped: Failure | undefined;
  /** Why the last search had no vector. */
  let refused: Failure | undefined;
  const ask = <T>(question: SearchQuestion): Asked<T> => thread.ask(question) as Asked<T>;
  const tell = (status: VectorsStatus): Vectors => {
    const problem = refused ?? stopped;
    return {
      ...status,
      running: embedder === undefined ? status.missing > 0 : running,
      ...(problem === undefined ? {} : { problem: problem.message }),
    };
  };

  const embedSome = async (by: Embedder): Asked<boolean> => {
    const lent = await ask<readonly LentText[]>({ type: 'lend', max: embedRequestMax });
    if (!lent.ok) return lent;
    if (lent.value.length === 0) return ok(false);
    const made = await by.embed(
      lent.value.map(({ text }) => text),
      ending.signal,
    );
    if (!made.ok) return made;
    if (made.value.length !== lent.value.length) {
      return err(
        failure('ProviderFailed', `${by.id} answered ${made.value.length} vectors for ${lent.value.length} texts`),
      );
    }
    const vectors = lent.value.flatMap(({ digest }, i): NewVector[] => {
      const vector = made.value[i];
      return vector === undefined ? [] : [{ digest, vector: normalised(vector) }];
    });
    const stored = await ask<VectorsStatus>({ type: 'store', vectors });
    return stored.ok ? ok(true) : stored;
  };
  const moveOn = async (by: Embedder): Promise<void> => {
    if (running || ending.signal.aborted) return;
    running = true;
    stopped = undefined;
    for (let more = true; more && !ending.signal.aborted;) {
      const done = await embedSome(by);
      more = done.ok && done.value;
      if (!done.ok && !ending.signal.aborted) {
        stopped = done.error;
        log.log('warn', 'no vectors', { embedder: by.id, why: done.error.message });
      }
    }
    running = false;
  };
  const vectorOf = async (text: string, signal: AbortSignal): Asked<Float32Array | undefined> => {
    if (embedder === undefined) return ok(undefined);
    const made = await embedder.embed([text], signal);
    return made.ok ? ok(made.value[0]) : made;
  };

  return {
    async search(asked) {
      const q = { ...asked, text: asked.text.slice(0, searchTextMax) };
      const ready = await caughtUp();
      if (!ready.ok) return ready;
      const vector =
        q.mode === 'keyword' || q.text.trim() === '' ? ok(undefined) : await vectorOf(q.text, ending.signal);
      if (q.mode !== 'keyword') refused = vector.ok ? undefined : vector.error;
      if (!vector.ok && q.mode === 'semantic') return vector;
      const found = await ask<Found>({ type: 'search', q, ...(vector.ok ? { vector: vector.value } : {}) });
      if (!found.ok) return found;
      const { hits, vectors } = found.value;
      const isAuto = vector.ok && stopped === undefined && vectors.missing > 0 && vectors.missing <= embedUnaskedMax;
      if (embedder !== undefined && isAuto && q.mode !== 'keyword') void moveOn(embedder);
      return ok({ hits, vectors: tell(vectors) });
    },
    async reembed(start) {
      const ready = await caughtUp();
      if (!ready.ok) return ready;
      if (start && embedder !== undefined) void moveOn(embedder);
      const status = await ask<VectorsStatus>({ type: 'status' });
      return status.ok ? ok(tell(status.value)) : status;
    },
    async purgeVectors() {
      const ready = await caughtUp();
      return ready.ok ? ask({ type: 'purge' }) : ready;
    },
    [Symbol.dispose]: () => ending.abort(),
  };
}
