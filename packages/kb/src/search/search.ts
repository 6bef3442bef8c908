/**
 * One search: the order by words (FTS5, BM25) and the order by nearness (vectors), joined by reciprocal rank.
 *
 * 1. Filters come before the cut: both orders hold only what passes them.
 * 2. Whoever may not see addresses is searched and answered with redacted texts and their vectors alone, so that an address
 *    cannot be guessed by asking.
 * 3. Its cost is bounded: the most frequent words are left out, and nearness is looked at exactly only for the best by 7 bits a number.
 */
import type Database from 'better-sqlite3';
import { wordsOf } from './hash-ngram.ts';
import {
  frequenciesMax,
  searchCandidatesMax,
  searchHitsMax,
  searchMatchesMax,
  searchTermsMax,
  sourceEventsMax,
} from '../limits.ts';
import { redactText } from '../views/redact.ts';
import type { DocFilter, SearchIndex } from './search-index.ts';
import type { NearVector, VectorStore } from './search-vectors.ts';

export const searchModes = ['hybrid', 'keyword', 'semantic'] as const;
export type SearchMode = (typeof searchModes)[number];
export type SearchQuery = DocFilter & {
  readonly text: string;
  readonly max: number;
  /** Whether e-mail addresses are looked in and shown. */
  readonly raw?: boolean | undefined;
  readonly mode?: SearchMode | undefined;
};
export type SearchHit = {
  readonly entity: string;
  readonly kind: string;
  /** The larger the better: joined reciprocal ranks, BM25 or the cosine, by mode. */
  readonly score: number;
  readonly excerpt: string;
  /** When it was said. */
  readonly ts_ms: number;
  /** Who said it last. */
  readonly actor: string;
  /** Whether a person has written what it says. */
  readonly confirmed: boolean;
  /** The events of this version and of those before it, oldest first. */
  readonly source_events: readonly number[];
};

/** What a rank counts: 1 / (60 + rank), as reciprocal rank fusion was published. */
const rankOffset = 60;
const excerptChars = 160;
/** What 7 bits a number may be off. */
const roundingMax = 0.02;

type Match = { readonly id: number; readonly score: number };

/** A document's position in the index, with its score in one order. */
type Ranked = { readonly position: number; readonly score: number };

export type QueryVector = {
  readonly vector: Float32Array;
  /** Cosines below say nothing. */
  readonly cosineMin: number;
};

export interface Searcher {
  search(q: SearchQuery, index: SearchIndex, near: QueryVector | undefined): readonly SearchHit[];
  /** Word frequencies are read anew. */
  forgetFrequencies(): void;
}

/** `db` is a read-only connection to the views. */
export function createSearcher(db: Database.Database, store: VectorStore): Searcher {
  db.exec(`CREATE VIRTUAL TABLE temp.search_words USING fts5vocab('main', 'search_fts', 'row')`);
  const frequency = db.prepare<[string], number>('SELECT doc FROM temp.search_words WHERE term = ?').pluck();
  const matches = 'SELECT rowid AS id, -bm25(search_fts) AS score FROM search_fts WHERE search_fts MATCH ? ORDER BY';
  const best = db.prepare<[string], Match>(`${matches} rank, rowid`);
  const newest = db.prepare<[string], Match>(`${matches} rowid DESC`);
  const read = db.prepare<[number], StoredDoc>(
    `SELECT d.*, f.body, f.body_redacted FROM search_docs d JOIN search_fts f ON f.rowid = d.id WHERE d.id = ?`,
  );
  const sources = db
    .prepare<[string, number, number], number>(
      'SELECT source_event FROM search_docs WHERE entity = ? AND id <= ? ORDER BY id DESC LIMIT ?',
    )
    .pluck();
  const frequencies = new Map<string, number>();
  const frequencyOf = (word: string): number => {
    let known = frequencies.get(word);
    if (known === undefined) {
      if (frequencies.size >= frequenciesMax) frequencies.clear();
      frequencies.set(word, (known = frequency.get(word) ?? 0));
    }
    return known;
  };

  const byWords = (words: readonly string[], index: SearchIndex, q: SearchQuery): Ranked[] => {
    const chosen = rarest(words, frequencyOf);
    const [first] = chosen;
    if (first === undefined) return [];
    const passes = index.passes(q);
    const column = q.raw === true ? 'body' : 'body_redacted';
    const ranked: Ranked[] = [];
    const expression = `${column} : (${chosen.map((word) => `"${word}"`).join(' OR ')})`;
    // Words that stand nearly everywhere order nothing.
    for (const { id, score } of (frequencyOf(first) > searchMatchesMax ? newest : best).iterate(expression)) {
      const position = index.positionOf(id);
      if (position === undefined || !passes(position)) continue;
      ranked.push({ position, score });
      if (ranked.length === searchCandidatesMax) break;
    }
    return ranked;
  };

  return {
    search(q, index, near) {
      const { mode = 'hybrid' } = q;
      const words = [...new Set(wordsOf(q.text))].slice(0, searchTermsMax);
      const lexical = mode === 'semantic' ? [] : byWords(words, index, q);
      const nearest = near === undefined ? [] : byNearness(near, index, store, q);
      const ranked = mode === 'hybrid' ? fuse([lexical, nearest]) : [...lexical, ...nearest];
      return ranked.slice(0, Math.max(1, Math.min(q.max, searchHitsMax))).flatMap(({ position, score }) => {
        const doc = read.get(index.idAt(position));
        if (doc === undefined) return [];
        const events = sources.all(doc.entity, doc.id, sourceEventsMax).reverse();
        return [{ ...hitOf(doc, score, words, q.raw === true), source_events: events }];
      });
    },
    forgetFrequencies: () => frequencies.clear(),
  };
}

/** The words to look up, rare ones first, until they stand in too many documents; one at least, and none that stands nowhere. */
function rarest(words: readonly string[], frequencyOf: (word: string) => number): readonly string[] {
  const known = words.map((word) => ({ word, count: frequencyOf(word) })).filter(({ count }) => count > 0);
  known.sort((a, b) => a.count - b.count);
  let sum = 0;
  return known.filter(({ count }, i) => (sum += count) <= searchMatchesMax || i === 0).map(({ word }) => word);
}

function byNearness(
  { vector, cosineMin }: QueryVector,
  index: SearchIndex,
  store: VectorStore,
  q: SearchQuery,
): Ranked[] {
  const positions = new Map<number, number[]>();
  const near = index.nearest(vector, { ...q, redacted: q.raw !== true }, searchCandidatesMax, cosineMin - roundingMax);
  for (const { position, vector: id } of near) positions.set(id, [...(positions.get(id) ?? []), position]);
  return store
    .rank([...positions.keys()], vector)
    .filter(({ cosine }: NearVector) => cosine >= cosineMin)
    .flatMap(({ id, cosine }) => (positions.get(id) ?? []).map((position) => ({ position, score: cosine })));
}

function fuse(orders: readonly (readonly Ranked[])[]): Ranked[] {
  const scores = new Map<number, number>();
  for (const order of orders) {
    for (const [i, { position }] of order.entries()) {
      scores.set(position, (scores.get(position) ?? 0) + 1 / (rankOffset + i + 1));
    }
  }
  return [...scores]
    .map(([position, score]) => ({ position, score }))
    .sort((a, b) => b.score - a.score || a.position - b.position);
}

type StoredDoc = {
  readonly id: number;
  readonly entity: string;
  readonly kind: string;
  readonly actor: string;
  readonly confirmed: number;
  readonly ts_ms: number;
  readonly body: string;
  readonly body_redacted: string;
};

function hitOf(
  doc: StoredDoc,
  score: number,
  words: readonly string[],
  raw: boolean,
): Omit<SearchHit, 'source_events'> {
  return {
    entity: raw ? doc.entity : redactText(doc.entity),
    kind: doc.kind,
    score,
    excerpt: excerptOf(raw ? doc.body : doc.body_redacted, words),
    ts_ms: doc.ts_ms,
    actor: doc.actor,
    confirmed: doc.confirmed === 1,
  };
}

/** The text around the first of the words, or its beginning. */
function excerptOf(body: string, words: readonly string[]): string {
  if (body.length <= excerptChars) return body;
  const lower = body.toLowerCase();
  const found = words.map((word) => lower.indexOf(word)).filter((at) => at >= 0);
  const first = found.length === 0 ? 0 : Math.min(...found);
  const from = first < excerptChars / 2 ? 0 : body.indexOf(' ', first - excerptChars / 4) + 1;
  const to = from + excerptChars;
  // A cut may leave half a character, which nothing can carry.
  const part = body.slice(from, to).replace(/[\ud800-\udbff]$/, '');
  return `${from > 0 ? '…' : ''}${part.trim()}${to < body.length ? '…' : ''}`;
}
