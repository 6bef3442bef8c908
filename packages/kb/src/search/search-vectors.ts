/**
 * vectors.sqlite: what embedders made of texts, by embedder and BLAKE3 of the text, in sqlite-vec's format (float32).
 *
 * 1. It stands beside the views, not among them: a rebuild drops nothing that was paid for (A5 holds: what is missing is
 *    made again).
 * 2. A text that stands in many documents has one vector for each embedder.
 * 3. What is deleted is overwritten (`secure_delete`), and the write-ahead log is emptied after a purge.
 */
import Database from 'better-sqlite3';
import { load as loadVec } from 'sqlite-vec';
import { dropDatabase } from '../damage.ts';
import { emptyLog, rewrite } from '../rewrite.ts';
import { isBroken } from '../storage-failure.ts';

/** A vector of length 1, and the BLAKE3 of its text. */
export type NewVector = { readonly digest: Uint8Array; readonly vector: Float32Array };
export type NearVector = { readonly id: number; readonly cosine: number };

export interface VectorStore extends Disposable {
  /** Ids of the vectors, in the order given; one that is there already keeps its id. */
  put(embedder: string, vectors: readonly NewVector[]): readonly number[];
  find(embedder: string, text: Uint8Array): number | undefined;
  all(embedder: string): IterableIterator<NewVector & { readonly id: number }>;
  /** The exact cosines of these vectors with the query, best first. */
  rank(ids: readonly number[], query: Float32Array): readonly NearVector[];
  /** Deletes the vectors of all texts that `keep` does not hold, and leaves no byte of them. */
  purge(keep: (text: Uint8Array) => boolean): number;
  /** Rewrites the file. */
  compact(): void;
}

const schema = `CREATE TABLE IF NOT EXISTS search_vec(id INTEGER PRIMARY KEY, embedder TEXT NOT NULL, text BLOB NOT NULL, vector BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS search_vec_of ON search_vec(embedder, text);`;

/** The file is a database, but not this one. */
class OtherSchemaError extends Error {}

/** Opens the file, made anew where what stands there is no database, or another. */
function connect(path: string): Database.Database {
  const open = (): Database.Database => {
    const db = new Database(path);
    try {
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = NORMAL');
      db.pragma('secure_delete = ON');
      loadVec(db);
      const columns = db.prepare<[], string>(`SELECT name FROM pragma_table_info('search_vec')`).pluck().all();
      if (columns.length > 0 && columns.join() !== 'id,embedder,text,vector') throw new OtherSchemaError();
      db.exec(schema);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  };
  try {
    return open();
  } catch (error) {
    if (!isBroken(error) && !(error instanceof OtherSchemaError)) throw error;
    dropDatabase(path);
    return open();
  }
}

export function openVectors(path: string): VectorStore {
  const db = connect(path);
  const idOf = db
    .prepare<[string, Uint8Array], number>('SELECT id FROM search_vec WHERE embedder = ? AND text = ?')
    .pluck();
  const add = db.prepare('INSERT INTO search_vec(embedder, text, vector) VALUES (?, ?, ?)');
  const read = db.prepare<[string], { id: number; text: Buffer; vector: Buffer }>(
    // With the plus the table is read as it stands: by the index of embedders, SQLite would sort all vectors.
    'SELECT id, text, vector FROM search_vec WHERE +embedder = ? ORDER BY id',
  );
  const near = db.prepare<[Uint8Array, string], NearVector>(
    // The zero vector, which a text without words has, is near nothing.
    `SELECT id, coalesce(1 - vec_distance_cosine(vector, ?), -1) AS cosine FROM search_vec
     WHERE id IN (SELECT value FROM json_each(?)) ORDER BY cosine DESC, id`,
  );
  return {
    put: db.transaction((embedder: string, vectors: readonly NewVector[]) =>
      vectors.map(
        ({ digest, vector }) =>
          idOf.get(embedder, digest) ?? Number(add.run(embedder, digest, bytesOf(vector)).lastInsertRowid),
      ),
    ),
    find: (embedder, text) => idOf.get(embedder, text),
    *all(embedder) {
      for (const { id, text, vector } of read.iterate(embedder)) yield { id, digest: text, vector: floatsOf(vector) };
    },
    rank: (ids, query) => near.all(bytesOf(query), JSON.stringify(ids)),
    purge(keep) {
      const rows = db.prepare<[], { id: number; text: Buffer }>('SELECT id, text FROM search_vec').all();
      const gone = rows.filter(({ text }) => !keep(text));
      const remove = db.prepare('DELETE FROM search_vec WHERE id = ?');
      db.transaction(() => gone.forEach(({ id }) => remove.run(id)))();
      emptyLog(db);
      return gone.length;
    },
    compact: () => rewrite(db),
    [Symbol.dispose]: () => db.close(),
  };
}

function bytesOf(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}

function floatsOf(bytes: Buffer): Float32Array {
  // A Float32Array wants an address that is a multiple of four.
  const { buffer, byteOffset, byteLength } =
    bytes.byteOffset % 4 === 0 ? bytes : Buffer.from(new Uint8Array(bytes).buffer);
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}

/** A digest as a key: half the room of hex. */
export function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1');
}
