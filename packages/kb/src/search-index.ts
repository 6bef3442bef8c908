/**
 * What the search thread holds in memory: each document's filters in typed arrays, and its vectors as int8 rows.
 *
 * 1. It follows pog.sqlite: new and closed versions are read when the file has changed, all of them when it was rebuilt.
 * 2. It holds the vectors of one embedder, so that only like is compared with like.
 * 3. A document as it is, and as those see it who may not see addresses, has two rows where the texts differ.
 */
import type Database from 'better-sqlite3';
import { Best } from './best.ts';
import { createRowMatrix, type RowMatrix } from './scan.ts';
import type { VectorStore } from './search-vectors.ts';

export type DocFilter = {
  readonly kinds?: readonly string[] | undefined;
  readonly by?: string | undefined;
  readonly asOfMs?: number | undefined;
  readonly confirmedOnly?: boolean | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
};

/** A text that has no vector yet: that of the document at this position, as it is or redacted. */
export type Missing = { readonly position: number; readonly redacted: boolean };

export interface SearchIndex {
  readonly docs: number;
  /** Documents whose vectors found no room. */
  readonly leftOut: number;
  /** Reads what has changed since the last time. */
  refresh(): void;
  /** Position of the document with this id. */
  positionOf(id: number): number | undefined;
  idAt(position: number): number;
  passes(filter: DocFilter): (position: number) => boolean;
  /** The documents that pass and are nearest to the query by int8, at most `max`, none below `least`; in no order. */
  nearest(
    query: Float32Array,
    q: DocFilter & { readonly redacted: boolean },
    max: number,
    least: number,
  ): readonly Near[];
  /** None before the first vector. */
  readonly matrix: RowMatrix | undefined;
  readonly missing: number;
  /** Hands out what is missing, the newest first; whoever takes it finds it or gives it back. */
  takeMissing(max: number): readonly Missing[];
  giveBack(missing: readonly Missing[]): void;
  /** A vector has been stored for what was missing. */
  found(missing: Missing, id: number, vector: Float32Array): void;
}

/** A document's position, and its vector's id in the store. */
export type Near = { readonly position: number; readonly vector: number };

type DocRow = {
  readonly id: number;
  readonly kind: string;
  readonly actor: string;
  readonly confirmed: number;
  readonly recorded_from: number;
  readonly recorded_to: number | null;
  readonly closed_event: number | null;
  readonly text: Buffer;
  readonly text_redacted: Buffer;
};

/** No row yet; no room for one; the row of the text as it is. */
const [none, full, same] = [-1, -2, -3];

export function createSearchIndex(
  db: Database.Database,
  store: VectorStore,
  embedder: string,
  bytesMax: number,
): SearchIndex {
  const ids = new Column(Float64Array);
  const [froms, tos] = [new Column(Float64Array), new Column(Float64Array)];
  const [kinds, actors, confirmed] = [new Column(Uint32Array), new Column(Uint32Array), new Column(Uint8Array)];
  const [raws, redacteds] = [new Column(Int32Array), new Column(Int32Array)];
  const vectorIds = new Column(Float64Array);
  const names = new Names();
  const missing: number[] = [];
  let matrix: RowMatrix | undefined;
  let leftOut = 0;
  let closedUpTo = 0;

  const addRow = (id: number, vector: Float32Array): number => {
    const known = vectorIds.search(id);
    if (known !== undefined) return known;
    matrix ??= createRowMatrix(vector.length, bytesMax);
    if (!matrix.add(vector)) {
      leftOut += 1;
      return full;
    }
    return vectorIds.push(id);
  };
  const codeOf = ({ position, redacted }: Missing): number => position * 2 + (redacted ? 1 : 0);
  const link = (position: number, redacted: boolean, text: Buffer): number => {
    const id = store.find(embedder, text);
    if (id !== undefined) return vectorIds.search(id) ?? full;
    missing.push(codeOf({ position, redacted }));
    return none;
  };
  const addDoc = (row: DocRow): void => {
    const doc = ids.push(row.id);
    froms.push(row.recorded_from);
    tos.push(row.recorded_to ?? Number.POSITIVE_INFINITY);
    kinds.push(names.codeOf(row.kind));
    actors.push(names.codeOf(row.actor));
    confirmed.push(row.confirmed);
    const raw = link(doc, false, row.text);
    raws.push(raw);
    redacteds.push(row.text.equals(row.text_redacted) ? same : link(doc, true, row.text_redacted));
    if (row.closed_event !== null) closedUpTo = Math.max(closedUpTo, row.closed_event);
  };
  const passesOf = ({
    kinds: wanted,
    by,
    asOfMs,
    confirmedOnly,
    sinceMs,
    untilMs,
  }: DocFilter): ((position: number) => boolean) => {
    const kindCodes =
      wanted === undefined || wanted.length === 0 ? undefined : names.codesOf((name) => wanted.includes(name));
    const byCodes = by === undefined ? undefined : names.codesOf((name) => isBy(name, by));
    return (at) =>
      (asOfMs === undefined
        ? tos.at(at) === Number.POSITIVE_INFINITY
        : froms.at(at) <= asOfMs && asOfMs < tos.at(at)) &&
      (kindCodes === undefined || kindCodes.has(kinds.at(at))) &&
      (byCodes === undefined || byCodes.has(actors.at(at))) &&
      (confirmedOnly !== true || confirmed.at(at) === 1) &&
      (sinceMs === undefined || froms.at(at) >= sinceMs) &&
      (untilMs === undefined || froms.at(at) < untilMs);
  };
  const newer = db.prepare<[number], DocRow>(
    `SELECT id, kind, actor, confirmed, recorded_from, recorded_to, closed_event, text, text_redacted
     FROM search_docs WHERE id > ? ORDER BY id`,
  );
  const closed = db.prepare<[number], { id: number; recorded_to: number; closed_event: number }>(
    'SELECT id, recorded_to, closed_event FROM search_docs WHERE closed_event > ?',
  );
  for (const { id, vector } of store.all(embedder)) addRow(id, vector);

  return {
    get docs() {
      return ids.length;
    },
    get leftOut() {
      return leftOut;
    },
    get matrix() {
      return matrix;
    },
    refresh() {
      for (const one of closed.all(closedUpTo)) {
        const doc = ids.search(one.id);
        if (doc !== undefined) tos.set(doc, one.recorded_to);
        closedUpTo = Math.max(closedUpTo, one.closed_event);
      }
      for (const row of newer.iterate(ids.length === 0 ? 0 : ids.at(ids.length - 1))) addDoc(row);
    },
    positionOf: (id) => ids.search(id),
    idAt: (position) => ids.at(position),
    passes: passesOf,
    nearest(query, q, max, least) {
      if (matrix === undefined) return [];
      const scores = matrix.scan(query);
      const passes = passesOf(q);
      const best = new Best(max, least);
      const [raw, redacted, count] = [raws.values, redacteds.values, ids.length];
      const rowAt = (position: number): number => {
        const row = q.redacted ? (redacted[position] ?? none) : same;
        return row === same ? (raw[position] ?? none) : row;
      };
      for (let position = 0; position < count; position += 1) {
        const row = rowAt(position);
        const score = row < 0 ? least : (scores[row] ?? least);
        if (score > best.least && passes(position)) best.add(position, score);
      }
      return best.positions().map((position) => ({ position, vector: vectorIds.at(rowAt(position)) }));
    },
    get missing() {
      return missing.length;
    },
    takeMissing: (max) =>
      missing.splice(-max).map((code) => ({ position: Math.floor(code / 2), redacted: code % 2 === 1 })),
    giveBack: (taken) => void missing.push(...taken.map(codeOf)),
    found({ position, redacted }, id, vector) {
      (redacted ? redacteds : raws).set(position, addRow(id, vector));
    },
  };
}

/** `writer` is `agent:writer`, `operator` is `operator:1000`; a whole name is itself. */
function isBy(actor: string, by: string): boolean {
  return actor === by || actor.startsWith(`${by}:`) || actor.endsWith(`:${by}`);
}

/** Names as small numbers. */
class Names {
  readonly #codes = new Map<string, number>();

  codeOf(name: string): number {
    const known = this.#codes.get(name);
    if (known !== undefined) return known;
    this.#codes.set(name, this.#codes.size);
    return this.#codes.size - 1;
  }

  codesOf(pick: (name: string) => boolean): ReadonlySet<number> {
    return new Set([...this.#codes].filter(([name]) => pick(name)).map(([, code]) => code));
  }
}

type Numbers = Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** A typed array that grows. */
class Column<T extends Numbers> {
  readonly #make: new (length: number) => T;
  values: T;
  length = 0;

  constructor(make: new (length: number) => T) {
    this.#make = make;
    this.values = new make(256);
  }

  push(value: number): number {
    if (this.length === this.values.length) {
      const larger = new this.#make(Math.ceil(this.length * 1.5));
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length] = value;
    this.length += 1;
    return this.length - 1;
  }

  at(index: number): number {
    return this.values[index] ?? Number.NaN;
  }

  set(index: number, value: number): void {
    this.values[index] = value;
  }

  /** Position of a value in a column that only rises. */
  search(value: number): number | undefined {
    let [low, high] = [0, this.length - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const here = this.at(middle);
      if (here === value) return middle;
      if (here < value) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }
}
