/**
 * The ledger: the one writer of events.sqlite. Synchronous; it lives in the ledger thread.
 *
 * 1. All requests of one `append` share one transaction and one fsync; they are answered after it.
 * 2. What it is given has been checked (prepare.ts): it is written as it stands.
 * 3. After a failure of the disk nothing of the transaction remains, and the next append starts from what is on disk.
 * It hashes and chains, but does not judge kinds: proposals are checked before they come here (propose.ts).
 */
import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { type Archived, moveToArchive } from '../archive/archive.ts';
import type { Blake3 } from '../blake3.ts';
import { countOf, type EventBatch, packed, type SaltedEvent, unpacked } from './batch.ts';
import { createChain, eventHash, genesisChain } from './chain.ts';
import type { EventDraft } from './event.ts';
import { createErase, type Erasure } from './ledger-erase.ts';
import { ledgerSql, ledgerVersion } from './ledger-schema.ts';
import { prepare } from './prepare.ts';
import { watchFiles } from './watch-files.ts';
import { rewrite } from '../rewrite.ts';
import { storageFailure } from '../storage-failure.ts';

/** What is to be erased, and the event that lists it. */
export type EraseRequest = { readonly plan: Erasure; readonly told: EventBatch };
/** The ids of a batch's events, in order; negative where the dedupe key was there before. */
export type Ids = Float64Array<ArrayBuffer>;

export interface Ledger extends Disposable {
  /** Writes the batch, and whatever `next` has until it has nothing, as one transaction; answers for each of them. */
  append(first: EventBatch, next?: () => EventBatch | undefined): Result<readonly Ids[], Failure>;
  /**
   * Erases what the plan names, in one transaction with the event that says so; answers that event's id, or nothing where
   * events or files after the plan hold the entity too: it must be planned anew.
   */
  erase(rootDir: string, request: EraseRequest): Result<number | undefined, Failure>;
  /** Moves these blobs to the archive of the state directory. */
  archive(rootDir: string, digests: readonly string[]): Result<Omit<Archived, 'runs'>, Failure>;
  /** Rewrites the file and empties its write-ahead log: what was deleted is nowhere in them. `onlyIfFree`: where pages are free. */
  compact(onlyIfFree?: boolean): Result<void, Failure>;
  /** The last durable event's id and chain value; 0 and 32 zero bytes at first. */
  head(): { readonly id: number; readonly chain: Uint8Array };
}

export type LedgerOptions = {
  /** The most pages that events.sqlite may grow to; without it, what the disk holds. */
  readonly pagesMax?: number | undefined;
  /** Whether an append is on disk before it is answered; true where left out. */
  readonly durable?: boolean | undefined;
  readonly nowMs: number;
};

export function openLedger(path: string, blake3: Blake3, options: LedgerOptions): Result<Ledger, Failure> {
  let db: Database.Database | undefined;
  try {
    db = new Database(path);
    const version = Number(db.pragma('user_version', { simple: true }));
    if (version > ledgerVersion) {
      db.close();
      return err(
        failure('NewerVersion', `${path} has schema version ${version}, this program knows ${ledgerVersion}`, {
          hint: 'Update runloop, or restore a backup of the older version.',
        }),
      );
    }
    for (const pragma of [
      'journal_mode = WAL',
      `synchronous = ${options.durable === false ? 'OFF' : 'FULL'}`,
      'secure_delete = ON',
      'recursive_triggers = ON',
      'wal_autocheckpoint = 4000',
    ]) {
      db.pragma(pragma);
    }
    const isOlder = version < ledgerVersion && hasEvents(db);
    if (isOlder) keepOlder(db, path, version);
    const opened = db;
    const ledger = db
      .transaction(() => {
        opened.exec(ledgerSql);
        opened.pragma(`user_version = ${ledgerVersion}`);
        const made = createLedger(opened, blake3);
        if (isOlder) made.tell(migrated(version, options.nowMs));
        return made;
      })
      .immediate();
    if (options.pagesMax !== undefined) db.pragma(`max_page_count = ${options.pagesMax}`);
    return ok(ledger);
  } catch (error) {
    db?.close();
    return err(storageFailure(error, path));
  }
}

function hasEvents(db: Database.Database): boolean {
  const table = db.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'events'`).get();
  return table !== undefined && db.prepare('SELECT 1 FROM events LIMIT 1').get() !== undefined;
}

/** A copy of the ledger as the older version left it; one of a migration that was cut off is replaced. */
function keepOlder(db: Database.Database, path: string, version: number): void {
  const copy = `${path}.version-${version}`;
  rmSync(copy, { force: true });
  db.prepare('VACUUM INTO ?').run(copy);
}

function migrated(from: number, nowMs: number): EventDraft {
  const payload = { from, to: ledgerVersion };
  return { ts_ms: nowMs, actor: 'daemon', kind: 'schema.migrated', scope: 'operator', payload, provenance: {} };
}

type Head = { id: number; chain: Uint8Array };
/** `tell` writes one event of the ledger's own into the transaction that is open. */
type OwnLedger = Ledger & { tell(draft: EventDraft): void };

type Writer = { readonly readHead: () => Head; readonly write: (at: Head, event: SaltedEvent) => number };

/** Writes one event after another into whatever transaction is open. */
function createWriter(db: Database.Database, blake3: Blake3): Writer {
  const chain = createChain(blake3);
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const findKey = db.prepare<[string], number>('SELECT id FROM events WHERE dedupe_key = ?').pluck();
  const last = db.prepare<[], { id: number; chain_blake3: Buffer }>(
    'SELECT id, chain_blake3 FROM events ORDER BY id DESC LIMIT 1',
  );
  return {
    readHead() {
      const row = last.get();
      return row === undefined ? { id: 0, chain: genesisChain } : { id: row.id, chain: row.chain_blake3 };
    },
    write(at, event) {
      if (event.dedupe_key !== null) {
        const existing = findKey.get(event.dedupe_key);
        if (existing !== undefined) return -existing;
      }
      at.id += 1;
      const hash_blake3 = eventHash(blake3, event);
      at.chain = chain(at.chain, { ...event, id: at.id, hash_blake3 });
      insert.run(
        at.id,
        event.ts_ms,
        event.actor,
        event.kind,
        event.scope,
        event.payload_json,
        event.payload_salt,
        event.provenance_json,
        hash_blake3,
        at.chain,
        event.dedupe_key,
        event.trace_id,
        event.run_seq,
      );
      return at.id;
    },
  };
}

function createLedger(db: Database.Database, blake3: Blake3): OwnLedger {
  const { readHead, write } = createWriter(db, blake3);
  // The same content again is the same blob.
  const insertBlob = db.prepare('INSERT OR IGNORE INTO blobs VALUES (?, ?)');
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const eraseFrom = createErase(db);
  let head: Head | undefined = readHead();
  const files = watchFiles(db);
  /** The head as it will be; where the work does not end well, it is read from disk next time. */
  const take = (): Head => {
    const at = { ...(head ?? readHead()) };
    head = undefined;
    return at;
  };
  const writeAll = (at: Head, batch: EventBatch): Ids => {
    for (const { digest, content } of batch.blobs)
      insertBlob.run(Buffer.from(digest, 'hex'), typeof content === 'string' ? Buffer.from(content) : content);
    const ids = new Float64Array(countOf(batch));
    for (let i = 0; i < ids.length; i += 1) ids[i] = write(at, unpacked(batch, i));
    return ids;
  };
  return {
    append(first, next = () => undefined) {
      const lost = files.lost();
      if (lost !== undefined) return err(lost);
      try {
        const at = take();
        begin.run();
        const ids: Ids[] = [];
        for (let batch: EventBatch | undefined = first; batch !== undefined; batch = next())
          ids.push(writeAll(at, batch));
        commit.run();
        files.written();
        head = at;
        return ok(ids);
      } catch (error) {
        if (db.inTransaction) db.exec('ROLLBACK');
        return err(storageFailure(error, db.name));
      }
    },
    erase(rootDir, { plan, told }) {
      try {
        const at = take();
        return ok(eraseFrom(rootDir, plan, () => writeAll(at, told)) ? (head = at).id : undefined);
      } catch (error) {
        return err(storageFailure(error, db.name));
      }
    },
    tell(draft) {
      const prepared = prepare([draft], []);
      if (!prepared.ok) throw new Error(prepared.error.message);
      // Nothing of it will have to be erased: the salt need not be secret.
      writeAll(take(), packed(prepared.value, [], { bytes: (length) => new Uint8Array(length) }));
    },
    archive(rootDir, digests) {
      try {
        return moveToArchive(db, rootDir, digests, blake3);
      } catch (error) {
        return err(storageFailure(error, db.name));
      }
    },
    compact(onlyIfFree = false) {
      try {
        if (!onlyIfFree || db.pragma('freelist_count', { simple: true }) !== 0) rewrite(db);
        return ok(undefined);
      } catch (error) {
        return err(storageFailure(error, db.name));
      }
    },
    head: () => ({ ...(head ??= readHead()) }),
    [Symbol.dispose]() {
      db.close();
    },
  };
}
