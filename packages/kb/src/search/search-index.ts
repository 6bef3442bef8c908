/**
 * What the search thread holds in memory: each document's filters in typed arrays, and its vectors as rows of 7 bits a number.
 *
 * 1. It follows pog.sqlite: new and closed versions are read when the file has changed, all of them when it was rebuilt.
 * 2. It holds the vectors of one embedder, so that only like is compared with like.
 * 3. A document as it is, and as those see it who may not see addresses, has two rows where the texts differ.
 */
import type Database from 'better-sqlite3';
import { Best } from './best.ts';
import { Column, Names } from './columns.ts';
import { createRowMatrix, type RowMatrix } from './scan.ts';
import { keyOf, type VectorStore } from './search-vectors.ts';

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
  /** The documents that pass and are nearest to the query by those rows, at most `max`, none below `least`; in no order. */
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
  readonly ts_ms: number;
  readonly recorded_from: number;
  readonly recorded_to: number | null;
  readonly closed_event: number | null;
  readonly text: Buffer;
  readonly text_redacted: Buffer;
};

/** No row yet; no room for one; the row of the text as it is. */
const [none, full, same] = [-1, -2, -3];

/** The vectors of one embedder as rows of 7 bits a number, each with its id in the store. */
class Rows {
  readonly ids: Column<Float64Array<ArrayBuffer>> = new Column(Float64Array);
  readonly #bytesMax: number;
  matrix: RowMatrix | undefined;
  leftOut = 0;
  /** Rows by their texts' digests, until the documents that are there have been read: to look each up would take longer. */
  byText: Map<string, number> | undefined = new Map();

  constructor(store: VectorStore, embedder: string, bytesMax: number) {
    this.#bytesMax = bytesMax;
    for (const { id, digest, vector } of store.all(embedder)) this.byText?.set(keyOf(digest), this.add(id, vector));
  }

  add(id: number, vector: Float32Array): number {
    const known = this.ids.search(id);
    if (known !== undefined) return known;
    this.matrix ??= createRowMatrix(vector.length, this.#bytesMax);
    if (this.matrix.add(vector)) return this.ids.push(id);
    this.leftOut += 1;
    return full;
  }
}

/** What filters and rows each document has, by its position. */
class Documents {
  readonly ids: Column<Float64Array<ArrayBuffer>> = new Column(Float64Array);
  readonly froms: Column<Float64Array<ArrayBuffer>> = new Column(Float64Array);
  readonly tos: Column<Float64Array<ArrayBuffer>> = new Column(Float64Array);
  readonly saids: Column<Float64Array<ArrayBuffer>> = new Column(Float64Array);
  readonly kinds: Column<Uint32Array<ArrayBuffer>> = new Column(Uint32Array);
  readonly actors: Column<Uint32Array<ArrayBuffer>> = new Column(Uint32Array);
  readonly confirmed: Column<Uint8Array<ArrayBuffer>> = new Column(Uint8Array);
  readonly raws: Column<Int32Array<ArrayBuffer>> = new Column(Int32Array);
  readonly redacteds: Column<Int32Array<ArrayBuffer>> = new Column(Int32Array);
  readonly names: Names = new Names();

  add(row: DocRow): number {
    this.saids.push(row.ts_ms);
    this.froms.push(row.recorded_from);
    this.tos.push(row.recorded_to ?? Number.POSITIVE_INFINITY);
    this.kinds.push(this.names.codeOf(row.kind));
    this.actors.push(this.names.codeOf(row.actor));
    this.confirmed.push(row.confirmed);
    return this.ids.push(row.id);
  }

  passes(q: DocFilter): (position: number) => boolean {
    const { kinds, by, asOfMs, sinceMs, untilMs } = q;
    const { names, froms, tos } = this;
    const kindCodes =
      kinds === undefined || kinds.length === 0 ? undefined : names.codesOf((name) => kinds.includes(name));
    const byCodes = by === undefined ? undefined : names.codesOf((name) => isBy(name, by));
    const stands = (at: number): boolean =>
      asOfMs === undefined ? tos.at(at) === Number.POSITIVE_INFINITY : froms.at(at) <= asOfMs && asOfMs < tos.at(at);
    return (at) =>
      stands(at) &&
      (kindCodes === undefined || kindCodes.has(this.kinds.at(at))) &&
      (byCodes === undefined || byCodes.has(this.actors.at(at))) &&
      (q.confirmedOnly !== true || this.confirmed.at(at) === 1) &&
      (sinceMs === undefined || this.saids.at(at) >= sinceMs) &&
      (untilMs === undefined || this.saids.at(at) < untilMs);
  }

  /** Row of the document's vector, or a negative number. */
  rowAt(position: number, redacted: boolean): number {
    const row = redacted ? this.redacteds.at(position) : same;
    return row === same ? this.raws.at(position) : row;
  }
}

/** `writer` is `agent:writer`, `operator` is `operator:1000`; a whole name is itself. */
function isBy(actor: string, by: string): boolean {
  return actor === by || actor.startsWith(`${by}:`) || actor.endsWith(`:${by}`);
}

export function createSearchIndex(
  db: Database.Database,
  store: VectorStore,
  embedder: string,
  bytesMax: number,
): SearchIndex {
  const docs = new Documents();
  const rows = new Rows(store, embedder, bytesMax);
  const missing: number[] = [];
  let closedUpTo = 0;

  const codeOf = ({ position, redacted }: Missing): number => position * 2 + (redacted ? 1 : 0);
  const rowOf = (text: Buffer): number | undefined => {
    if (rows.byText !== undefined) return rows.byText.get(keyOf(text));
    const id = store.find(embedder, text);
    return id === undefined ? undefined : (rows.ids.search(id) ?? full);
  };
  const link = (position: number, redacted: boolean, text: Buffer): number => {
    const row = rowOf(text);
    if (row !== undefined) return row;
    missing.push(codeOf({ position, redacted }));
    return none;
  };
  const addDoc = (row: DocRow): void => {
    const position = docs.add(row);
    docs.raws.push(link(position, false, row.text));
    docs.redacteds.push(row.text.equals(row.text_redacted) ? same : link(position, true, row.text_redacted));
    closedUpTo = Math.max(closedUpTo, row.closed_event ?? 0);
  };
  const newer = db.prepare<[number], DocRow>(
    `SELECT id, kind, actor, confirmed, ts_ms, recorded_from, recorded_to, closed_event, text, text_redacted
     FROM search_docs WHERE id > ? ORDER BY id`,
  );
  const closed = db.prepare<[number], { id: number; recorded_to: number; closed_event: number }>(
    'SELECT id, recorded_to, closed_event FROM search_docs WHERE closed_event > ?',
  );

  return {
    get docs() {
      return docs.ids.length;
    },
    get leftOut() {
      return rows.leftOut;
    },
    get matrix() {
      return rows.matrix;
    },
    refresh() {
      for (const one of closed.all(closedUpTo)) {
        const position = docs.ids.search(one.id);
        if (position !== undefined) docs.tos.set(position, one.recorded_to);
        closedUpTo = Math.max(closedUpTo, one.closed_event);
      }
      for (const row of newer.iterate(docs.ids.length === 0 ? 0 : docs.ids.at(docs.ids.length - 1))) addDoc(row);
      rows.byText = undefined;
    },
    positionOf: (id) => docs.ids.search(id),
    idAt: (position) => docs.ids.at(position),
    passes: (filter) => docs.passes(filter),
    nearest(query, q, max, least) {
      if (rows.matrix === undefined) return [];
      const scores = rows.matrix.scan(query);
      const passes = docs.passes(q);
      const best = new Best(max, least);
      for (let position = 0; position < docs.ids.length; position += 1) {
        const row = docs.rowAt(position, q.redacted);
        const score = row < 0 ? least : (scores[row] ?? least);
        if (score > best.least && passes(position)) best.add(position, score);
      }
      return best.positions().map((position) => ({ position, vector: rows.ids.at(docs.rowAt(position, q.redacted)) }));
    },
    get missing() {
      return missing.length;
    },
    takeMissing: (max) =>
      missing.splice(-max).map((code) => ({ position: Math.floor(code / 2), redacted: code % 2 === 1 })),
    giveBack: (taken) => void missing.push(...taken.map(codeOf)),
    found({ position, redacted }, id, vector) {
      (redacted ? docs.redacteds : docs.raws).set(position, rows.add(id, vector));
    },
  };
}
