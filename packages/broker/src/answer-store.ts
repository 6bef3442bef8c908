/**
 * Answers of models in a file, so that a restart forgets none that is still good: SQLite, read where memory has nothing.
 *
 * 1. It may be deleted at any time; one that is damaged or of another version is deleted and made anew.
 * 2. What is forgotten or has ended is overwritten: `purge` empties the file and gives its room back.
 * 3. The oldest answers make room: it never holds more than its limits say.
 * 4. Whatever happens to the file, calls go on: an answer that cannot be kept or read is asked for again, and that is said once.
 * It waits for no disk and for no other process: an answer that a crash takes is asked for again.
 */
import { chmodSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import {
  type Clock,
  err,
  failure,
  type Failure,
  type JsonValue,
  type Log,
  ok,
  parseJson,
  type Result,
} from '@runloop/core';
import { storedAnswerBytesMax, storedBytesMax, storedEntriesMax, storedSweepMs } from './limits.ts';

export interface AnswerStore extends Disposable {
  /** The answer and when it ends, by the wall clock. */
  get(key: string): { readonly value: JsonValue; readonly untilMs: number } | undefined;
  put(key: string, value: unknown, untilMs: number): void;
  /** Fails where the answers can be neither overwritten nor deleted. */
  purge(): Result<void, Failure>;
}

export type AnswerStoreDeps = {
  readonly clock: Clock;
  readonly log: Log;
  /** What holds a secret is not kept. */
  readonly scrub: (text: string) => string;
};

const version = 1;

export function openAnswerStore(deps: AnswerStoreDeps, path: string): AnswerStore {
  return new FileStore(deps, path);
}

/** Everything that is asked of the file. */
type Answers = ReturnType<typeof opened>;

function opened(path: string) {
  // A lock of somebody else's is not waited for: all calls would.
  const db = new Database(path, { timeout: 0 });
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = OFF');
    db.pragma('secure_delete = ON');
    const found = db.pragma('user_version', { simple: true });
    if (found !== version && found !== 0) throw new Error(`it is of version ${String(found)}`);
    if (found === 0)
      db.exec(`CREATE TABLE answers(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, until_ms INTEGER NOT NULL, value TEXT NOT NULL);
        PRAGMA user_version = ${version};`);
    chmodSync(path, 0o600);
    return {
      db,
      read: db.prepare<[string, number], { value: string; until_ms: number }>(
        'SELECT value, until_ms FROM answers WHERE key = ? AND until_ms > ?',
      ),
      write: db.prepare<[string, number, string]>(
        'INSERT OR REPLACE INTO answers(key, until_ms, value) VALUES (?, ?, ?)',
      ),
      drop: db.prepare<[number]>('DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT ?)'),
      end: db.prepare<[number]>('DELETE FROM answers WHERE until_ms <= ?'),
      sums: db.prepare<[], Sums>(
        'SELECT count(*) AS entries, coalesce(sum(octet_length(value)), 0) AS bytes FROM answers',
      ),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

type Sums = { readonly entries: number; readonly bytes: number };
const nothing: Sums = { entries: 0, bytes: 0 };

class FileStore implements AnswerStore {
  readonly #deps: AnswerStoreDeps;
  readonly #path: string;
  #answers: Answers | undefined;
  #held: Sums = nothing;
  #sweep: Disposable | undefined;
  #isTold = false;

  constructor(deps: AnswerStoreDeps, path: string) {
    this.#deps = deps;
    this.#path = path;
    this.#open();
  }

  #open(isAnew = false): void {
    try {
      this.#answers = opened(this.#path);
      this.#makeRoom(this.#answers);
    } catch (error) {
      this.#failed(error, isAnew);
    }
  }

  /** One that is damaged or of another version is made anew; what is wrong elsewhere may be over by the next call. */
  #failed(error: unknown, isAnew = false): void {
    if (isOutside(error) && this.#answers !== undefined) return this.#tell(error);
    this.#close();
    if (isAnew || isOutside(error)) return this.#tell(error);
    const told = { path: this.#path, reason: String(error) };
    this.#deps.log.log('warn', 'the cache of answers could not be read and is made anew', told);
    try {
      this.#delete();
      this.#open(true);
    } catch (undeleted) {
      this.#tell(undeleted);
    }
  }

  get(key: string): { readonly value: JsonValue; readonly untilMs: number } | undefined {
    return this.#tried(({ read }) => {
      const row = read.get(key, this.#deps.clock.nowMs());
      const parsed = row === undefined ? undefined : parseJson(row.value);
      return row !== undefined && parsed?.ok === true ? { value: parsed.value, untilMs: row.until_ms } : undefined;
    });
  }

  put(key: string, value: unknown, untilMs: number): void {
    const text = JSON.stringify(value);
    const size = Buffer.byteLength(text);
    if (size > storedAnswerBytesMax || this.#deps.scrub(text) !== text) return;
    this.#tried((answers) => {
      answers.write.run(key, untilMs, text);
      this.#held = { entries: this.#held.entries + 1, bytes: this.#held.bytes + size };
      if (isOver(this.#held)) this.#makeRoom(answers);
      this.#sweep ??= this.#deps.clock.after(storedSweepMs, () => this.#sweepEnded());
    });
  }

  purge(): Result<void, Failure> {
    const isEmpty = this.#tried(({ db }) => {
      db.exec('DELETE FROM answers; VACUUM;');
      db.pragma('wal_checkpoint(TRUNCATE)');
      this.#held = nothing;
      return true;
    });
    if (isEmpty === true) return ok(undefined);
    this.#close();
    try {
      this.#delete();
      this.#open(true);
      return ok(undefined);
    } catch (error) {
      return err(
        failure('Internal', `the cache of answers could be neither emptied nor deleted: ${String(error)}`, {
          hint: `Delete ${this.#path} and the files beside it that begin with its name.`,
        }),
      );
    }
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  /** What has ended is not left lying until room is needed. */
  #sweepEnded(): void {
    this.#sweep = undefined;
    this.#tried((answers) => {
      this.#makeRoom(answers);
      answers.db.pragma('wal_checkpoint(TRUNCATE)');
      if (this.#held.entries > 0) this.#sweep = this.#deps.clock.after(storedSweepMs, () => this.#sweepEnded());
    });
  }

  #makeRoom({ end, sums, drop }: Answers): void {
    end.run(this.#deps.clock.nowMs());
    for (this.#held = sums.get() ?? nothing; isOver(this.#held); this.#held = sums.get() ?? nothing)
      drop.run(Math.ceil(this.#held.entries / 10));
  }

  #tried<T>(work: (answers: Answers) => T): T | undefined {
    if (this.#answers === undefined) return undefined;
    try {
      return work(this.#answers);
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #tell(error: unknown): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const told = { path: this.#path, reason: String(error) };
    this.#deps.log.log(
      'warn',
      'the file of answers cannot be used; they are kept in memory, and asked for again',
      told,
    );
  }

  #close(): void {
    this.#sweep?.[Symbol.dispose]();
    this.#sweep = undefined;
    this.#answers?.db.close();
    this.#answers = undefined;
  }

  #delete(): void {
    for (const end of ['', '-wal', '-shm']) rmSync(`${this.#path}${end}`, { force: true });
  }
}

function isOver({ entries, bytes }: Sums): boolean {
  return entries > storedEntriesMax || bytes > storedBytesMax;
}

/** What is wrong is not in the file. */
function isOutside(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(?:SQLITE_(?:BUSY|LOCKED|READONLY|CANTOPEN|FULL|IOERR|PERM|AUTH)|E[A-Z]+$)/.test(code);
}
