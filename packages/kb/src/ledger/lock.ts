/**
 * One daemon a state directory: an exclusive lock that the operating system drops when its holder dies, however it dies.
 *
 * The lock is SQLite's own on `lock.sqlite`; who holds it stands in `owner.pid`, for the message alone.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { storageFailure } from '../storage-failure.ts';

export function takeLock(rootDir: string, pid: number): Result<Disposable, Failure> {
  const owner = join(rootDir, 'owner.pid');
  let db: Database.Database | undefined;
  try {
    db = new Database(join(rootDir, 'lock.sqlite'), { timeout: 0 });
    db.exec('BEGIN EXCLUSIVE');
    writeFileSync(owner, `${pid}\n`, { mode: 0o600 });
    const held = db;
    return ok({ [Symbol.dispose]: () => void held.close() });
  } catch (error) {
    db?.close();
    const failed = storageFailure(error, join(rootDir, 'lock.sqlite'));
    if (failed.code !== 'Busy') return err(failed);
    const other = readOwner(owner);
    return err(
      failure('Busy', `${rootDir} is held by the process with pid ${other}`, {
        hint: `Stop that process first, or use another state directory.`,
        details: { pid: other },
      }),
    );
  }
}

function readOwner(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
