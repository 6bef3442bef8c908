/**
 * Runs the operator's SQL in a child process and kills it when its time is over. Agents never come here.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Clock, type Failure, type JsonValue, type Result, err, failure, ok } from '@runloop/core';
import { queryBytesMax, queryCharsMax, queryMsMax } from '../limits.ts';

export type QueryRows = {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly JsonValue[])[];
  readonly truncated: boolean;
};

export function querySql(clock: Clock, viewDb: string, sql: string): Promise<Result<QueryRows, Failure>> {
  if (sql.length > queryCharsMax)
    return Promise.resolve(
      err(failure('LimitExceeded', `the SQL has ${sql.length} characters, the limit is ${queryCharsMax}`)),
    );
  const fromSource = import.meta.url.endsWith('.ts');
  const script = fileURLToPath(new URL(`./query-main${fromSource ? '.ts' : '.js'}`, import.meta.url));
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...(fromSource ? ['--conditions=source'] : []), script, viewDb], {
      env: {},
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let late = false;
    let complaint = '';
    const deadline = clock.after(queryMsMax, () => {
      late = true;
      child.kill('SIGKILL');
    });
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > queryBytesMax * 2) child.kill('SIGKILL');
      else chunks.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(0, 2_000);
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(sql);
    child.on('error', (error) => {
      complaint = error.message;
    });
    child.on('close', (code) => {
      deadline[Symbol.dispose]();
      if (late)
        return resolve(
          err(
            failure('DeadlineExceeded', `the query was stopped after ${queryMsMax} ms`, {
              hint: 'Narrow it, or add a LIMIT to the recursive part.',
            }),
          ),
        );
      if (code !== 0)
        return resolve(err(failure('Internal', `the query process ended with code ${code}: ${complaint}`)));
      const answer = JSON.parse(Buffer.concat(chunks).toString()) as
        QueryRows | { refused: string } | { broken: string };
      if ('broken' in answer)
        return resolve(
          err(
            failure('StorageCorrupt', `${viewDb}: ${answer.broken}`, { hint: 'Make the views anew: rlp kb rebuild.' }),
          ),
        );
      resolve(
        'refused' in answer
          ? err(
              failure('Usage', `the query was refused: ${answer.refused}`, {
                hint: 'One read-only statement over the views; see docs/kb.md.',
              }),
            )
          : ok(answer),
      );
    });
  });
}
