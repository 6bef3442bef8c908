/**
 * What the search thread does with its questions, wherever it runs: reads pog.sqlite, owns vectors.sqlite and the index in
 * memory, makes the built-in embedder's vectors, and keeps those of others.
 *
 * 1. It may lag behind the views with its vectors, never with its documents: what has no vector yet is found by its words.
 * 2. All that it knows can be made again from the views, but for vectors that were paid for: those stand in vectors.sqlite.
 */
import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { hashNgramDimension, hashNgramId, hashNgrams } from './hash-ngram.ts';
import { dimensionMax, embedBeforeAnswerMax, embedChunkMax, vectorBytesMax } from '../limits.ts';
import { normalised } from './embedder.ts';
import { createSearcher, type QueryVector, type Searcher, type SearchHit, type SearchQuery } from './search.ts';
import { createSearchIndex, type Missing, type SearchIndex } from './search-index.ts';
import { keyOf, type NewVector, openVectors, type VectorStore } from './search-vectors.ts';
import { dropDatabase, isSound } from '../damage.ts';
import { isBroken, storageFailure } from '../storage-failure.ts';

export type SearchData = {
  readonly viewDb: string;
  readonly vectorDb: string;
  /** Id of the embedder whose vectors are compared. */
  readonly embedder: string;
  readonly vectorBytesMax?: number | undefined;
};

export type VectorsStatus = {
  readonly embedder: string;
  /** Versions of documents, and the texts among them that have no vector yet. */
  readonly docs: number;
  readonly missing: number;
  /** Vectors that memory had no room for. */
  readonly left_out: number;
};
export type LentText = { readonly digest: Uint8Array; readonly text: string };
export type Found = { readonly hits: readonly SearchHit[]; readonly vectors: VectorsStatus };

export type SearchQuestion =
  /** `vector` is the text's, where the embedder is not the built-in one. */
  | { readonly type: 'search'; readonly q: SearchQuery; readonly vector?: Float32Array | undefined }
  | { readonly type: 'status' }
  /** Texts without a vector, lent until the next such question. */
  | { readonly type: 'lend'; readonly max: number }
  | { readonly type: 'store'; readonly vectors: readonly NewVector[] }
  | { readonly type: 'purge' }
  | { readonly type: 'compact' };

export interface SearchDesk extends Disposable {
  answer(question: SearchQuestion): Result<unknown, Failure>;
  /** Makes some of the missing vectors, where the embedder is the built-in one; false when there is nothing left. */
  embedSome(): boolean;
}

/** Nearness below this is chance: two texts that share no word are about as often above it as 1 in 50. */
const hashNgramCosineMin = 0.12;

type Open = {
  readonly inode: number;
  readonly schema: unknown;
  readonly db: Database.Database;
  readonly store: VectorStore;
  readonly index: SearchIndex;
  readonly searcher: Searcher;
  /** SQLite's number of the state that the index was read from. */
  version: unknown;
};

export function createSearchDesk(data: SearchData): SearchDesk {
  const isBuiltIn = data.embedder === hashNgramId;
  let held: Open | undefined;
  let lent: readonly MissingText[] = [];
  const close = (): void => {
    held?.db.close();
    held?.store[Symbol.dispose]();
    held = undefined;
    lent = [];
  };
  const open = (): Open => {
    if (held !== undefined && !isSame(held, data.viewDb)) close();
    held ??= openAll(data);
    const version = held.db.pragma('data_version', { simple: true });
    if (version !== held.version) {
      held.index.refresh();
      held.searcher.forgetFrequencies();
      held.version = version;
    }
    return held;
  };
  const mended = <T>(act: () => T): T => mending(data.vectorDb, close, act);
  const answerFrom = (question: SearchQuestion): unknown => {
    const here = open();
    switch (question.type) {
      case 'search':
        return search(here, data, question, lent.length);
      case 'status':
        return statusOf(data, here.index, lent.length);
      case 'lend':
        here.index.giveBack(lent);
        lent = textsOf(here, here.index.takeMissing(question.max));
        return lent.map(({ digest, text }): LentText => ({ digest, text }));
      case 'store': {
        // What was lent by a thread that has rested since, or before something was forgotten: what still is a text is stored.
        const texts = lent.length > 0 ? undefined : textsInUse(here.db);
        const vectors = question.vectors.filter(({ digest }) => texts?.has(keyOf(digest)) ?? true);
        putVectors(here, data.embedder, lent, vectors);
        if (lent.length === 0) close();
        lent = [];
        return statusOf(data, open().index, 0);
      }
      case 'purge': {
        const kept = textsInUse(here.db);
        const purged = here.store.purge((text) => kept.has(keyOf(text)));
        close();
        return { purged };
      }
      case 'compact':
        return here.store.compact();
      default:
        return question satisfies never;
    }
  };
  return {
    answer(question) {
      try {
        if (question.type === 'store') {
          const known = mended(() => open().index.matrix?.dimension);
          const wrong = wrongVectors(question.vectors, known);
          if (wrong !== undefined) return err(wrong);
        }
        return ok(mended(() => answerFrom(question)));
      } catch (error) {
        close();
        return err(storageFailure(error, data.viewDb));
      }
    },
    embedSome() {
      if (!isBuiltIn) return false;
      try {
        return embedMissing(open(), embedChunkMax) > 0;
      } catch (error) {
        close();
        storageFailure(error, data.vectorDb);
        return false;
      }
    },
    [Symbol.dispose]: close,
  };
}

/** Damaged vectors are made again; damaged views are for the views thread to mend. */
function mending<T>(vectorDb: string, close: () => void, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!isBroken(error) || isSound(vectorDb)) throw error;
    close();
    dropDatabase(vectorDb);
    return act();
  }
}

function openAll(data: SearchData): Open {
  using opening = new DisposableStack();
  const inode = statSync(data.viewDb).ino;
  const store = opening.use(openVectors(data.vectorDb));
  const db = new Database(data.viewDb, { readonly: true, fileMustExist: true });
  opening.defer(() => db.close());
  const index = createSearchIndex(db, store, data.embedder, data.vectorBytesMax ?? vectorBytesMax);
  const searcher = createSearcher(db, store);
  const schema = db.pragma('schema_version', { simple: true });
  opening.move();
  return { inode, schema, db, store, index, searcher, version: undefined };
}

/** Whether the views are still the file and the tables that the index was read from. */
function isSame({ db, inode, schema }: Open, viewDb: string): boolean {
  return statSync(viewDb).ino === inode && db.pragma('schema_version', { simple: true }) === schema;
}

function search(
  here: Open,
  data: SearchData,
  { q, vector }: Extract<SearchQuestion, { type: 'search' }>,
  lent: number,
): Found {
  const isBuiltIn = data.embedder === hashNgramId;
  if (isBuiltIn && q.mode !== 'keyword') embedMissing(here, embedBeforeAnswerMax);
  const near = q.mode === 'keyword' ? undefined : isBuiltIn ? builtIn(q.text) : given(here, vector);
  // One state of the views for the words and for what is read of the hits.
  const hits = here.db.transaction(() => here.searcher.search(q, here.index, near))();
  return { hits, vectors: statusOf(data, here.index, lent) };
}

function builtIn(text: string): QueryVector {
  const vector = new Float32Array(hashNgramDimension);
  hashNgrams(text, vector);
  return { vector, cosineMin: hashNgramCosineMin };
}

/** A model's vector of the query, where it fits those that are stored. */
function given({ index }: Open, vector: Float32Array | undefined): QueryVector | undefined {
  if (vector === undefined || index.matrix?.dimension !== vector.length) return undefined;
  return { vector: normalised(vector), cosineMin: 0 };
}

function statusOf({ embedder }: SearchData, { docs, missing, leftOut }: SearchIndex, lent: number): VectorsStatus {
  return { embedder, docs, missing: missing + lent, left_out: leftOut };
}

type MissingText = Missing & LentText;

/** What is missing with its text; what the views have dropped meanwhile is left out. */
function textsOf({ db, index }: Open, missing: readonly Missing[]): MissingText[] {
  const columns = (suffix: string): string =>
    `SELECT d.text${suffix} AS digest, f.body${suffix} AS text FROM search_docs d JOIN search_fts f ON f.rowid = d.id WHERE d.id = ?`;
  const raw = db.prepare<[number], LentText>(columns(''));
  const redacted = db.prepare<[number], LentText>(columns('_redacted'));
  return missing.flatMap((one) => {
    const found = (one.redacted ? redacted : raw).get(index.idAt(one.position));
    return found === undefined ? [] : [{ ...one, ...found }];
  });
}

/** Makes up to `max` of the missing vectors; answers how many. */
function embedMissing(here: Open, max: number): number {
  let made = 0;
  while (made < max) {
    const missing = here.index.takeMissing(embedChunkMax);
    if (missing.length === 0) break;
    const texts = textsOf(here, missing);
    const vectors = texts.map(({ digest, text }): NewVector => {
      const vector = new Float32Array(hashNgramDimension);
      hashNgrams(text, vector);
      return { digest, vector };
    });
    putVectors(here, hashNgramId, texts, vectors);
    made += missing.length;
  }
  return made;
}

/** Stores vectors, and tells the index of those that were asked for; what was not answered is missing again. */
function putVectors(here: Open, embedder: string, asked: readonly MissingText[], vectors: readonly NewVector[]): void {
  const ids = here.store.put(embedder, vectors);
  const stored = new Map(vectors.map(({ digest, vector }, i) => [keyOf(digest), { vector, id: ids[i] }]));
  const unanswered: Missing[] = [];
  for (const one of asked) {
    const { id, vector } = stored.get(keyOf(one.digest)) ?? {};
    if (id === undefined || vector === undefined) unanswered.push(one);
    else here.index.found(one, id, vector);
  }
  here.index.giveBack(unanswered);
}

function wrongVectors(vectors: readonly NewVector[], known: number | undefined): Failure | undefined {
  const isFinite = vectors.every(({ vector }) => vector.every(Number.isFinite));
  if (!isFinite)
    return failure('ProviderFailed', 'the embedder answered with what is no number', {
      hint: 'Choose another model for kb.embedder.',
    });
  const dimension = known ?? vectors[0]?.vector.length;
  const bad = vectors.find(({ vector: { length } }) => length === 0 || length > dimensionMax || length !== dimension);
  if (bad === undefined) return undefined;
  const expected = known === undefined ? `1 to ${dimensionMax}, all the same` : `${known}, as before`;
  return failure(
    'LimitExceeded',
    `the embedder answered with ${bad.vector.length} numbers for a text, not ${expected}`,
    {
      hint: 'Choose another model for kb.embedder.',
    },
  );
}

/** The texts that some version of a document has, as BLAKE3. */
function textsInUse(db: Database.Database): ReadonlySet<string> {
  const kept = new Set<string>();
  const rows = db.prepare<[], { text: Buffer; text_redacted: Buffer }>('SELECT text, text_redacted FROM search_docs');
  for (const { text, text_redacted } of rows.iterate()) {
    kept.add(keyOf(text));
    kept.add(keyOf(text_redacted));
  }
  return kept;
}
