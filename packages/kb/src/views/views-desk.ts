/**
 * What the views thread does with its questions, wherever it runs: owns pog.sqlite, projects what the ledger has made
 * durable, and answers every read.
 *
 * 1. A read sees every append that was answered before it was asked: it catches up first.
 * 2. A failure of the disk is an answer; the next question tries again.
 * 3. Views that turn out to be damaged while they are in use are made anew, once a question (A5); a damaged ledger is not
 *    taken for damaged views: these may be all that still knows what stood there.
 */
import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type Digest, type Failure, type Result, err, failure, isJsonObject, ok, toHex } from '@runloop/core';
import { type Blake3 } from '../blake3.ts';
import { digestsIn, readLedgerBlob } from '../ledger/ledger-blobs.ts';
import { find, type FindQuery, prepareFind } from './find.ts';
import { createValidator, type Proposer, type StateDelta } from '../kinds/propose.ts';
import { readContradictions } from './project-claims.ts';
import * as reads from './reads.ts';
import { type MailboxQuery, readMailbox } from './read-mailbox.ts';
import { redactText } from './redact.ts';
import type { ProgressCounts } from '../progress.ts';
import { dropDatabase, isSound } from '../damage.ts';
import { inodeOf } from '../inode.ts';
import { isBroken, ofFile, storageFailure } from '../storage-failure.ts';
import { type Views, openViews } from './views.ts';
import { blame, lastEventAt, why } from './why.ts';

export type ViewsData = {
  readonly eventsDb: string;
  readonly viewDb: string;
  /** Told how far a rebuild is. */
  readonly counts?: ProgressCounts;
};

export type ViewsQuestion =
  /** Something new is durable. */
  | { readonly type: 'durable' }
  /** Answered when all that is durable is projected. */
  | { readonly type: 'catchUp' }
  | { readonly type: 'digest'; readonly bytes: Uint8Array }
  | { readonly type: 'blob'; readonly digest: string }
  | { readonly type: 'runEvents'; readonly q: reads.RunEventsQuery }
  | { readonly type: 'knowledge'; readonly q: reads.KnowledgeQuery }
  | { readonly type: 'openRuns' }
  | { readonly type: 'runs'; readonly q: reads.RunsQuery }
  | { readonly type: 'run'; readonly traceId: string }
  | { readonly type: 'effects'; readonly traceId: string; readonly max: number }
  | { readonly type: 'artifacts'; readonly q: reads.ArtifactsQuery }
  | { readonly type: 'approvals'; readonly q: reads.ApprovalsQuery }
  | { readonly type: 'costs'; readonly q: reads.CostsQuery }
  | { readonly type: 'overruns' }
  | { readonly type: 'find'; readonly q: FindQuery }
  | { readonly type: 'taint'; readonly q: reads.TaintQuery }
  | { readonly type: 'mailbox'; readonly q: MailboxQuery }
  | { readonly type: 'why'; readonly entity: string; readonly raw: boolean; readonly asOfMs?: number | undefined }
  | { readonly type: 'contradictions'; readonly max: number }
  | { readonly type: 'blame'; readonly entity: string; readonly field: string; readonly raw: boolean }
  | { readonly type: 'validate'; readonly delta: StateDelta; readonly by: Proposer }
  /** `compact` also rewrites the file, so that nothing of what was dropped is left in it. */
  | { readonly type: 'rebuild'; readonly compact?: boolean | undefined }
  | { readonly type: 'compact' }
  /** Whether they were damaged, as another reader of them has found; then they are made anew. */
  | { readonly type: 'mend' }
  | { readonly type: 'forgottenFiles' }
  | { readonly type: 'restoredAt' }
  | { readonly type: 'stats' };

type Store = {
  /** Of the file of views that is open. */
  readonly inode: number | undefined;
  readonly ledger: Database.Database;
  readonly views: Views;
  readonly validate: ReturnType<typeof createValidator>;
};

export interface ViewsDesk extends Disposable {
  answer(question: ViewsQuestion): Result<unknown, Failure>;
  /** Projects one chunk; false when there was nothing left. */
  projectSome(): boolean;
}

export function createViewsDesk(data: ViewsData, blake3: Blake3): ViewsDesk {
  let store: Store | undefined;
  const close = (): void => {
    store?.views[Symbol.dispose]();
    store?.ledger.close();
    store = undefined;
  };
  const open = (): Store => {
    // Somebody deleted, replaced or emptied the file: what is open is no longer what stands there.
    if (store !== undefined && inodeOf(data.viewDb) !== store.inode) close();
    else if (store !== undefined && isEmptied(data.viewDb)) {
      close();
      dropDatabase(data.viewDb);
    }
    return (store ??= openStore(data, blake3));
  };
  /** What broke, named; where it was the views, they are made anew, once. */
  const mended = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      if (!isBroken(error)) throw error;
      if (!mend()) throw ofFile(error, data.eventsDb);
      return act();
    }
  };
  const mend = (): boolean => {
    if (isSound(data.viewDb)) return false;
    close();
    dropDatabase(data.viewDb);
    return true;
  };
  return {
    answer(question) {
      try {
        if (question.type === 'digest') return ok(toHex(blake3.digest(question.bytes)) as Digest);
        if (question.type === 'blob') {
          const digestOf = (bytes: Uint8Array): string => toHex(blake3.digest(bytes));
          return mended(() => readLedgerBlob(open().ledger, question.digest, digestOf)) ?? ok(undefined);
        }
        if (question.type === 'mend') return ok(mend());
        return mended(() => answerFrom(open(), question));
      } catch (error) {
        return err(storageFailure(error, data.viewDb));
      }
    },
    projectSome() {
      try {
        return store?.views.catchUpSome() === true;
      } catch (error) {
        storageFailure(error, data.viewDb);
        return false;
      }
    },
    [Symbol.dispose]: close,
  };
}

function openStore(data: ViewsData, blake3: Blake3): Store {
  const ledger = openLedgerFile(data.eventsDb);
  const exists = ledger.prepare('SELECT 1 FROM events WHERE id = ?').pluck();
  const views = openViews(data.viewDb, ledger, blake3, data.counts);
  prepareFind(views.db);
  return {
    ledger,
    views,
    inode: inodeOf(data.viewDb),
    validate: createValidator((id) => exists.get(id) === 1),
  };
}

function openLedgerFile(path: string): Database.Database {
  try {
    return new Database(path, { readonly: true, fileMustExist: true });
  } catch (error) {
    throw ofFile(error, path);
  }
}

function isEmptied(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.size === 0;
}

function asOfEvent(ledger: Database.Database, atMs: number | undefined): number | undefined {
  return atMs === undefined ? undefined : lastEventAt(ledger, atMs);
}

/** Addresses redacted in every text of a value. */
function redactAll<T>(value: T): T {
  if (typeof value === 'string') return redactText(value) as T;
  if (Array.isArray(value)) return value.map(redactAll) as T;
  if (isJsonObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, redactAll(member)])) as T;
  return value;
}

function answerFrom(
  { ledger, views, validate }: Store,
  question: Exclude<ViewsQuestion, { type: 'digest' | 'blob' | 'mend' }>,
): Result<unknown, Failure> {
  const { db } = views;
  if (question.type === 'durable') return ok(undefined);
  if (question.type === 'runEvents') return ok(reads.readRunEvents(ledger, question.q));
  if (question.type === 'knowledge') return ok(reads.readKnowledge(ledger, question.q));
  if (question.type === 'validate') return validate(question.delta, question.by);
  views.catchUp();
  switch (question.type) {
    case 'catchUp':
      return ok(undefined);
    case 'openRuns':
      return ok(reads.readOpenRuns(db));
    case 'runs':
      return ok(reads.readRuns(db, question.q));
    case 'run':
      return found(reads.readRun(db, question.traceId), `run ${question.traceId}`);
    case 'effects':
      return ok(reads.readEffects(db, question.traceId, question.max));
    case 'artifacts':
      return ok(reads.readArtifacts(db, question.q));
    case 'approvals':
      return ok(reads.readApprovals(db, question.q));
    case 'overruns':
      return ok(reads.readOverruns(db));
    case 'costs':
      return ok(reads.readCosts(db, question.q));
    case 'find':
      return ok(find(db, question.q, asOfEvent(ledger, question.q.asOfMs), redactAll));
    case 'taint':
      return ok(reads.readTaint(ledger, db, question.q));
    case 'mailbox':
      return ok(readMailbox(db, question.q));
    case 'why': {
      const ladder = found(why({ ledger, views: db }, question.entity, question.asOfMs), question.entity);
      return question.raw || !ladder.ok ? ladder : ok(redactAll(ladder.value));
    }
    case 'contradictions':
      return ok(readContradictions(db, question.max));
    case 'blame': {
      const setter = found(
        blame({ ledger, views: db }, question.entity, question.field),
        `"${question.field}" of ${question.entity}`,
      );
      return question.raw || !setter.ok ? setter : ok(redactAll(setter.value));
    }
    case 'rebuild':
      return ok(views.rebuild(question.compact));
    case 'compact':
      views.compact();
      return ok(undefined);
    case 'restoredAt':
      return ok(reads.readRestoredAt(db));
    case 'forgottenFiles':
      return ok(forgottenFiles(ledger));
    case 'stats': {
      const last = ledger.prepare<[], { id: number | null }>('SELECT max(id) AS id FROM events').get()?.id ?? 0;
      return ok({ events: last, watermark: views.watermark(), rows: views.rows() });
    }
    default:
      return question satisfies never;
  }
}

/** Digests of blob files that the last `subject.forgotten` has done away with, and that nobody has named since. */
function forgottenFiles(ledger: Database.Database): readonly string[] {
  const last = ledger
    .prepare<[], { id: number; payload_json: string }>(
      `SELECT id, payload_json FROM events WHERE kind = 'subject.forgotten' AND payload_json IS NOT NULL ORDER BY id DESC LIMIT 1`,
    )
    .get();
  if (last === undefined) return [];
  const gone = new Set((JSON.parse(last.payload_json) as { files: readonly string[] }).files);
  const since = ledger
    .prepare<[number], string>('SELECT payload_json FROM events WHERE id > ? AND payload_json IS NOT NULL')
    .pluck();
  for (const payload of since.iterate(last.id)) for (const digest of digestsIn(payload)) gone.delete(digest);
  return [...gone];
}

function found<T>(value: T | undefined, what: string): Result<T, Failure> {
  return value === undefined ? err(failure('NotFound', `the ledger knows nothing of ${what}`)) : ok(value);
}
