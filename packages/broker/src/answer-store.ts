/**
 * Answers of models in a file, so that a restart forgets none that is still good: SQLite, read where memory has nothing.
 *
 * 1. It may be deleted at any time; one that cannot be read is deleted and made anew.
 * 2. What is forgotten is overwritten: `purge` empties the file and gives its room back.
 * 3. The oldest answers make room: it never holds more than its limits say.
 * It waits for no disk: an answer that a crash takes is asked for again.
 */
import { chmodSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Clock, type JsonValue, type Log, parseJson } from '@runloop/core';
import { storedAnswerBytesMax, storedBytesMax, storedEntriesMax } from './limits.ts';

export interface AnswerStore extends Disposable {
  /** The answer and when it ends, by the wall clock. */
  get(key: string): { readonly value: JsonValue; readonly untilMs: number } | undefined;
  put(key: string, value: unknown, untilMs: number): void;
  purge(): void;
}

export type AnswerStoreDeps = {
  readonly clock: Clock;
  readonly log: Log;
  /** What holds a secret is not kept. */
  readonly scrub: (text: string) => string;
};

const version = 1;

export function openAnswerStore(deps: AnswerStoreDeps, path: string): AnswerStore {
  let db: Database.Database;
  try {
    db = opened(path);
  } catch (error) {
    deps.log.log('warn', 'the cache of answers could not be read and is made anew', { path, reason: String(error) });
    for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    db = opened(path);
  }
  return storeOver(deps, db);
}

function opened(path: string): Database.Database {
  const db = new Database(path);
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = OFF');
    db.pragma('secure_delete = ON');
    if (db.pragma('user_version', { simple: true }) !== version) {
      db.exec(`DROP TABLE IF EXISTS answers;
        CREATE TABLE answers(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, until_ms INTEGER NOT NULL, value TEXT NOT NULL);
        PRAGMA user_version = ${version};`);
    }
    if (path !== ':memory:') chmodSync(path, 0o600);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function storeOver({ clock, scrub }: AnswerStoreDeps, db: Database.Database): AnswerStore {
  const read = db.prepare<[string, number], { value: string; until_ms: number }>(
    'SELECT value, until_ms FROM answers WHERE key = ? AND until_ms > ?',
  );
  const write = db.prepare<[string, number, string]>(
    'INSERT OR REPLACE INTO answers(key, until_ms, value) VALUES (?, ?, ?)',
  );
  const drop = db.prepare<[number]>('DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT ?)');
  const end = db.prepare<[number]>('DELETE FROM answers WHERE until_ms <= ?');
  const sums = db.prepare<[], { entries: number; bytes: number }>(
    'SELECT count(*) AS entries, coalesce(sum(length(value)), 0) AS bytes FROM answers',
  );
  end.run(clock.nowMs());
  let held = sums.get() ?? { entries: 0, bytes: 0 };
  const makeRoom = (): void => {
    end.run(clock.nowMs());
    for (
      held = sums.get() ?? held;
      held.entries > storedEntriesMax || held.bytes > storedBytesMax;
      held = sums.get() ?? held
    )
      drop.run(Math.ceil(held.entries / 10));
  };
  return {
    get(key) {
      const row = read.get(key, clock.nowMs());
      const parsed = row === undefined ? undefined : parseJson(row.value);
      return row !== undefined && parsed?.ok === true ? { value: parsed.value, untilMs: row.until_ms } : undefined;
    },
    put(key, value, untilMs) {
      const text = JSON.stringify(value);
      if (!db.open || text.length > storedAnswerBytesMax || scrub(text) !== text) return;
      write.run(key, untilMs, text);
      held = { entries: held.entries + 1, bytes: held.bytes + text.length };
      if (held.entries > storedEntriesMax || held.bytes > storedBytesMax) makeRoom();
    },
    purge() {
      db.exec('DELETE FROM answers; VACUUM;');
      db.pragma('wal_checkpoint(TRUNCATE)');
      held = { entries: 0, bytes: 0 };
    },
    [Symbol.dispose]: () => void db.close(),
  };
}
