/**
 * Databases that can be made again: whether their files are damaged, and taking them away.
 */
import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';

/** Whether every page of the file is what SQLite wrote, as it stands on disk now. */
export function isSound(path: string): boolean {
  try {
    using stack = new DisposableStack();
    const db = stack.adopt(new Database(path, { readonly: true, fileMustExist: true }), (opened) => opened.close());
    return db.pragma('quick_check(1)', { simple: true }) === 'ok';
  } catch {
    return false;
  }
}

/** Nobody may have it open who still wants to write. */
export function dropDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}
