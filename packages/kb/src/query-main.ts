/**
 * The operator's SQL, in a process of its own: one read-only statement over the views, answered as JSON on standard output.
 *
 * It is killed from outside when its time is over, for nothing inside stops a recursive query (query.ts).
 */
import { readFileSync, writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { queryBytesMax, queryRowsMax } from './limits.ts';

type QueryAnswer = { columns: string[]; rows: unknown[][]; truncated: boolean } | { refused: string };

function run(path: string, sql: string): QueryAnswer {
  const bare = sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'/g, ' ').trim();
  if (!/^(?:select|with|values|explain)\b/i.test(bare))
    return { refused: 'only SELECT, WITH, VALUES and EXPLAIN are answered' };
  if (/\bpragma_|\bload_extension\b|\bsqlite_dbpage\b|\b(?:search_fts|search_vec)_\w/i.test(bare)) {
    return { refused: 'pragmas, extensions and shadow tables are not part of the views' };
  }
  const db = new Database(path, { readonly: true, fileMustExist: true });
  try {
    const statement = db.prepare(sql);
    if (!statement.reader || !statement.readonly) return { refused: 'the statement is not a read' };
    const rows: unknown[][] = [];
    let bytes = 0;
    for (const row of statement.raw().iterate() as Iterable<unknown[]>) {
      const plain = row.map((value) => (Buffer.isBuffer(value) ? value.toString('hex') : value));
      bytes += JSON.stringify(plain).length;
      if (rows.length >= queryRowsMax || bytes > queryBytesMax)
        return { columns: statement.columns().map(({ name }) => name), rows, truncated: true };
      rows.push(plain);
    }
    return { columns: statement.columns().map(({ name }) => name), rows, truncated: false };
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) };
  } finally {
    db.close();
  }
}

const output = Buffer.from(JSON.stringify(run(process.argv[2] ?? '', readFileSync(0, 'utf8'))));
for (let at = 0; at < output.length;) at += writeSync(1, output, at);
