/**
 * What the ledger's thread does with its questions, wherever it runs: takes the lock of the state directory, owns
 * events.sqlite, and commits what it is given as one transaction.
 */
import { existsSync } from 'node:fs';
import { type Failure, type Result, err, failure } from '@runloop/core';
import { placeRestored } from '../backup/restore.ts';
import type { Blake3 } from '../blake3.ts';
import type { EventBatch } from './batch.ts';
import { headsFile } from './heads.ts';
import { type EraseRequest, type Ids, openLedger } from './ledger.ts';
import { takeLock } from './lock.ts';

/** The first question is `open`. */
export type LedgerQuestion = 'open' | LedgerUpkeep | LedgerAppend;
export type LedgerAppend = { readonly type: 'append'; readonly batch: EventBatch };
/** What the writer does beside writing, alone. */
export type LedgerUpkeep =
  | ({ readonly type: 'erase' } & EraseRequest)
  | { readonly type: 'compact'; readonly onlyIfFree?: boolean }
  | { readonly type: 'head' }
  | { readonly type: 'archive'; readonly digests: readonly string[] };
export type LedgerData = {
  readonly rootDir: string;
  readonly eventsDb: string;
  readonly pagesMax?: number | undefined;
  /** Whether an append is on disk before it is answered; true where left out. */
  readonly durable?: boolean | undefined;
  /** The time at which it is opened: what an event of migrating is dated. */
  readonly nowMs: number;
};

export interface LedgerDesk extends Disposable {
  /** The id of the last event, 0 at first. */
  open(): Result<number, Failure>;
  upkeep(question: LedgerUpkeep): Result<unknown, Failure>;
  /** The batch, and whatever `next` has until it has nothing, in one transaction; answers for each of them. */
  commit(first: EventBatch, next?: () => EventBatch | undefined): Result<readonly Ids[], Failure>;
}

export function createLedgerDesk(data: LedgerData, blake3: Blake3, pid: number): LedgerDesk {
  const stack = new DisposableStack();
  const opened = ((): ReturnType<typeof openLedger> => {
    const lock = takeLock(data.rootDir, pid);
    if (!lock.ok) return err(lock.error);
    stack.use(lock.value);
    const placed = placeRestored(data.rootDir);
    if (!placed.ok) return placed;
    if (isLost(data)) return err(lostFailure(data.eventsDb));
    const { pagesMax, durable, nowMs } = data;
    const ledger = openLedger(data.eventsDb, blake3, { pagesMax, durable, nowMs });
    if (ledger.ok) stack.use(ledger.value);
    return ledger;
  })();
  return {
    open: () => (opened.ok ? { ok: true, value: opened.value.head().id } : opened),
    upkeep(question) {
      if (!opened.ok) return opened;
      if (question.type === 'archive') return opened.value.archive(data.rootDir, question.digests);
      if (question.type === 'head') return { ok: true, value: opened.value.head() };
      return question.type === 'erase'
        ? opened.value.erase(data.rootDir, question)
        : opened.value.compact(question.onlyIfFree);
    },
    commit: (first, next) => (opened.ok ? opened.value.append(first, next) : opened),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

/** Where a ledger was signed or written to, and is not there: an empty one in its place would hide that. */
function isLost({ rootDir, eventsDb }: LedgerData): boolean {
  if (existsSync(eventsDb)) return false;
  return existsSync(`${eventsDb}-wal`) || existsSync(headsFile(rootDir));
}

function lostFailure(path: string): Failure {
  return failure('StorageFailed', `${path} is not there, but what was written beside it is`, {
    hint: 'Put it back, or restore a backup (rlp kb restore). To begin anew, take away events.sqlite-wal and heads.ndjson too.',
  });
}
