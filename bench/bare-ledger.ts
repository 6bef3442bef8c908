/**
 * A bare insert loop over the ledger's own schema: the floor that bench/ledger.ts measures against.
 */
import { createRequire } from 'node:module';
import { canonicalJson, systemRandom, unwrap } from '../packages/core/src/index.ts';
import { loadBlake3 } from '../packages/kb/src/blake3.ts';
import { createChain, eventHash, genesisChain } from '../packages/kb/src/ledger/chain.ts';
import type { EventDraft } from '../packages/kb/src/index.ts';
import { ledgerSql } from '../packages/kb/src/ledger/ledger-schema.ts';

const load = createRequire(new URL('../packages/kb/src/index.ts', import.meta.url));

/** The little of better-sqlite3 that is used here; the package itself belongs to kb alone. */
type Sqlite = {
  pragma(text: string): unknown;
  exec(sql: string): unknown;
  prepare(sql: string): { run(...values: readonly unknown[]): unknown };
  transaction<T extends readonly unknown[]>(act: (...args: T) => void): (...args: T) => void;
  close(): unknown;
};

export type BareLedger = { insert(drafts: readonly EventDraft[]): void; close(): void };

/** With `hashed` every row is canonicalised, hashed and chained as the ledger does; without, its payload is JSON.stringify's. */
export async function createBareLedger(path: string, hashed: boolean): Promise<BareLedger> {
  const Sqlite = load('better-sqlite3') as new (path: string) => Sqlite;
  const db = new Sqlite(path);
  for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', 'secure_delete = ON', 'wal_autocheckpoint = 4000'])
    db.pragma(pragma);
  db.exec(ledgerSql);
  const statement = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const blake3 = await loadBlake3();
  const chain = createChain(blake3);
  const zero = Buffer.alloc(32);
  let id = 0;
  let head: Uint8Array = genesisChain;
  const text = (value: unknown): string =>
    hashed ? unwrap(canonicalJson(value), 'canonical JSON') : JSON.stringify(value);
  const insertOne = (draft: EventDraft): void => {
    id += 1;
    const { ts_ms, actor, kind, scope } = draft;
    const payload_json = text(draft.payload);
    const provenance_json = text(draft.provenance);
    const payload_salt = hashed ? systemRandom.bytes(16) : zero.subarray(0, 16);
    const trace_id = Buffer.from(draft.trace_id ?? '', 'hex');
    const hash_blake3 = hashed
      ? eventHash(blake3, { actor, kind, scope, payload_json, payload_salt, provenance_json })
      : zero;
    if (hashed)
      head = chain(head, {
        id,
        ts_ms,
        actor,
        kind,
        scope,
        provenance_json,
        hash_blake3,
        dedupe_key: null,
        trace_id,
        run_seq: null,
      });
    statement.run(
      id,
      ts_ms,
      actor,
      kind,
      scope,
      payload_json,
      payload_salt,
      provenance_json,
      hash_blake3,
      head,
      null,
      trace_id,
      null,
    );
  };
  return {
    insert: db.transaction((drafts: readonly EventDraft[]) => drafts.forEach(insertOne)),
    close: () => void db.close(),
  };
}
