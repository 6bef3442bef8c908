/**
 * The ledger: the one writer of events.sqlite. Synchronous; it lives in the ledger thread.
 *
 * 1. All requests of one `append` share one transaction and one fsync; they are answered after it.
 * 2. A request is written whole or not at all, and a bad one does not stop its neighbours.
 * 3. After a failure of the disk nothing of the transaction remains, and the next append starts from what is on disk.
 * It hashes and chains, but does not judge kinds: proposals are checked before they come here (propose.ts).
 */
import Database from 'better-sqlite3';
import { type Failure, type Result, canonicalJson, err, failure, ok } from '@runloop/core';
import type { Blake3 } from './blake3.ts';
import { type ChainedColumns, createChain, eventHash, genesisChain } from './chain.ts';
import type { AppendedEvent, BlobDraft, EventDraft } from './event.ts';
import { ledgerSql, ledgerVersion } from './ledger-schema.ts';
import { appendEventsMax, columnCharsMax, ledgerBlobBytesMax, payloadBytesMax } from './limits.ts';
import { storageFailure } from './storage-failure.ts';

/** One caller's drafts with 16 bytes of salt for each, and the blobs that they name. */
export type AppendRequest = {
  readonly drafts: readonly EventDraft[];
  readonly salts: Uint8Array;
  readonly blobs: readonly BlobDraft[];
};
export type AppendAnswer = Result<readonly AppendedEvent[], Failure>;

export interface Ledger extends Disposable {
  append(requests: readonly AppendRequest[]): readonly AppendAnswer[];
  /** The id of the last durable event, 0 at first. */
  lastId(): number;
}

export type LedgerOptions = {
  /** The most pages that events.sqlite may grow to; without it, what the disk holds. */
  readonly pagesMax?: number | undefined;
  /** Whether an append is on disk before it is answered; true where left out. */
  readonly durable?: boolean | undefined;
};

export const saltBytes = 16;

type PreparedEvent = Omit<ChainedColumns, 'id'> & { readonly payload_json: string; readonly payload_salt: Buffer };
type PreparedBlob = { readonly digest: Buffer; readonly bytes: Uint8Array };
type Prepared = { readonly events: readonly PreparedEvent[]; readonly blobs: readonly PreparedBlob[] };

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
    db.exec(ledgerSql);
    if (version < ledgerVersion) db.pragma(`user_version = ${ledgerVersion}`);
    if (options.pagesMax !== undefined) db.pragma(`max_page_count = ${options.pagesMax}`);
    return ok(createLedger(db, blake3));
  } catch (error) {
    db?.close();
    return err(storageFailure(error, path));
  }
}

type Head = { id: number; chain: Uint8Array };

function createLedger(db: Database.Database, blake3: Blake3): Ledger {
  const chain = createChain(blake3);
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  // The same content again is the same blob.
  const insertBlob = db.prepare('INSERT OR IGNORE INTO blobs VALUES (?, ?)');
  const findKey = db.prepare<[string], number>('SELECT id FROM events WHERE dedupe_key = ?').pluck();
  const last = db.prepare<[], { id: number; chain_blake3: Buffer }>(
    'SELECT id, chain_blake3 FROM events ORDER BY id DESC LIMIT 1',
  );
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const readHead = (): Head => {
    const row = last.get();
    return row === undefined ? { id: 0, chain: genesisChain } : { id: row.id, chain: row.chain_blake3 };
  };
  let head: Head | undefined = readHead();

  const write = (at: Head, event: PreparedEvent): AppendedEvent => {
    if (event.dedupe_key !== null) {
      const existing = findKey.get(event.dedupe_key);
      if (existing !== undefined) return { id: existing, existing: true };
    }
    at.id += 1;
    at.chain = chain(at.chain, { ...event, id: at.id });
    insert.run(
      at.id,
      event.ts_ms,
      event.actor,
      event.kind,
      event.scope,
      event.payload_json,
      event.payload_salt,
      event.provenance_json,
      event.hash_blake3,
      at.chain,
      event.dedupe_key,
      event.trace_id,
      event.run_seq,
    );
    return { id: at.id, existing: false };
  };

  return {
    append(requests) {
      const prepared = requests.map((request) => prepare(blake3, request));
      try {
        const at: Head = { ...(head ?? readHead()) };
        head = undefined;
        begin.run();
        const answers = prepared.map((one): AppendAnswer => {
          if (!one.ok) return one;
          for (const { digest, bytes } of one.value.blobs) insertBlob.run(digest, bytes);
          return ok(one.value.events.map((event) => write(at, event)));
        });
        commit.run();
        head = at;
        return answers;
      } catch (error) {
        if (db.inTransaction) db.exec('ROLLBACK');
        const broken = err(storageFailure(error, db.name));
        return prepared.map((one) => (one.ok ? broken : one));
      }
    },
    lastId() {
      head ??= readHead();
      return head.id;
    },
    [Symbol.dispose]() {
      db.close();
    },
  };
}

function prepare(blake3: Blake3, request: AppendRequest): Result<Prepared, Failure> {
  if (request.drafts.length > appendEventsMax) {
    return err(
      failure(
        'LimitExceeded',
        `an append of ${request.drafts.length} events is over the ${appendEventsMax} that one may have`,
      ),
    );
  }
  const salts = Buffer.from(request.salts.buffer, request.salts.byteOffset, request.salts.byteLength);
  const events: PreparedEvent[] = [];
  for (const [i, draft] of request.drafts.entries()) {
    const payload = columnJson(draft.payload, 'payload');
    if (!payload.ok) return payload;
    const provenance = columnJson(draft.provenance, 'provenance');
    if (!provenance.ok) return provenance;
    const wrong = wrongColumn(draft);
    if (wrong !== undefined) return err(failure('InvalidDelta', `the event's ${wrong}`));
    const hashed = {
      actor: draft.actor,
      kind: draft.kind,
      scope: draft.scope,
      payload_json: payload.value,
      payload_salt: salts.subarray(i * saltBytes, (i + 1) * saltBytes),
      provenance_json: provenance.value,
    };
    events.push({
      ...hashed,
      ts_ms: draft.ts_ms,
      hash_blake3: eventHash(blake3, hashed),
      dedupe_key: draft.dedupe_key ?? null,
      trace_id: draft.trace_id === undefined ? null : Buffer.from(draft.trace_id, 'hex'),
      run_seq: draft.run_seq ?? null,
    });
  }
  const blobs: PreparedBlob[] = [];
  for (const { digest, content } of request.blobs) {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    if (bytes.length > ledgerBlobBytesMax)
      return err(
        failure(
          'LimitExceeded',
          `a blob of ${bytes.length} bytes is over the ${ledgerBlobBytesMax} that one in the ledger may have`,
        ),
      );
    blobs.push({ digest: Buffer.from(digest, 'hex'), bytes });
  }
  return ok({ events, blobs });
}

function columnJson(value: unknown, column: string): Result<string, Failure> {
  const text = canonicalJson(value);
  if (!text.ok)
    return err(
      failure('InvalidDelta', `the event's ${column} is not canonical JSON at ${text.error.path}: ${text.error.why}`),
    );
  if (!text.value.startsWith('{')) return err(failure('InvalidDelta', `the event's ${column} is not an object`));
  if (text.value.length > payloadBytesMax) {
    return err(
      failure(
        'LimitExceeded',
        `the event's ${column} has ${text.value.length} characters, over the ${payloadBytesMax} that one may have`,
        { hint: 'Store it as a blob and name its digest.' },
      ),
    );
  }
  return ok(text.value);
}

/** What is wrong with a column that is not JSON, or nothing. */
function wrongColumn(draft: EventDraft): string | undefined {
  for (const name of ['actor', 'kind', 'scope', 'dedupe_key'] as const) {
    const text = draft[name];
    if (name === 'dedupe_key' && text === undefined) continue;
    if (typeof text !== 'string' || text === '') return `${name} is missing`;
    if (text.length > columnCharsMax) return `${name} has more than ${columnCharsMax} characters`;
    if (!text.isWellFormed() || text.includes('\0')) return `${name} is not well-formed text`;
  }
  if (!Number.isSafeInteger(draft.ts_ms) || draft.ts_ms < 0) return 'ts_ms is not a time in milliseconds';
  if (draft.trace_id !== undefined && !/^[0-9a-f]{32}$/.test(draft.trace_id)) return 'trace_id is not 32 hex digits';
  if (draft.run_seq !== undefined && !(Number.isSafeInteger(draft.run_seq) && draft.run_seq > 0))
    return 'run_seq is not a count from 1';
  return undefined;
}
