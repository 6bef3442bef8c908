/**
 * The operator's SQL, in a process of its own: one read-only statement over the views, answered as JSON on standard output.
 *
 * It is killed from outside when its time is over, for nothing inside stops a recursive query (query.ts).
 */
import { readFileSync, writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { queryBytesMax, queryRowsMax } from '../limits.ts';
import { isBroken } from '../storage-failure.ts';

type QueryAnswer =
  { columns: string[]; rows: unknown[][]; truncated: boolean } | { refused: string } | { broken: string };

function run(path: string, sql: string): QueryAnswer {
  const names = namesIn(sql).trim();
  if (!/^(?:select|with|values|explain)\b/i.test(names))
    return { refused: 'only SELECT, WITH, VALUES and EXPLAIN are answered' };
  if (/\bpragma_|\bload_extension\b|\bsqlite_dbpage\b|\bdbstat\b|\b(?:search_fts|search_vec)_\w/i.test(names)) {
    return { refused: 'pragmas, extensions and shadow tables are not part of the views' };
  }
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { readonly: true, fileMustExist: true });
    const statement = db.prepare(sql).safeIntegers();
    if (!statement.reader || !statement.readonly) return { refused: 'the statement is not a read' };
    const rows: unknown[][] = [];
    let bytes = 0;
    for (const row of statement.raw().iterate() as Iterable<unknown[]>) {
      const plain = row.map(plainOf);
      bytes += Buffer.byteLength(JSON.stringify(plain));
      if (rows.length === 0 && bytes > queryBytesMax)
        return { refused: `one row has ${bytes} bytes, the limit is ${queryBytesMax}` };
      if (rows.length >= queryRowsMax || bytes > queryBytesMax)
        return { columns: statement.columns().map(({ name }) => name), rows, truncated: true };
      rows.push(plain);
    }
    return { columns: statement.columns().map(({ name }) => name), rows, truncated: false };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return isBroken(error) ? { broken: why } : { refused: why };
  } finally {
    db?.close();
  }
}

/** The words of a statement and what may be a name: a word between single quotes may; comments and other text may not. */
function namesIn(sql: string): string {
  return sql.replace(
    /'((?:[^']|'')*)'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g,
    (part, text?: string) => {
      if (text !== undefined) return /^\w+$/.test(text) ? ` ${text} ` : ' ';
      return /^(?:--|\/\*)/.test(part) ? ' ' : part;
    },
  );
}

/** As JSON can carry it: larger integers are text. */
function plainOf(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (!Buffer.isBuffer(value)) return value;
  if (value.length > queryBytesMax) throw new Error(`a value has ${value.length} bytes, the limit is ${queryBytesMax}`);
  return value.toString('hex');
}

const output = Buffer.from(JSON.stringify(run(process.argv[2] ?? '', readFileSync(0, 'utf8'))));
for (let at = 0; at < output.length;) at += writeSync(1, output, at);
