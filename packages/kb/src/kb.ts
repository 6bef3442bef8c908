/**
 * Opens the knowledge base of one state directory: the ledger thread, the views thread, the blobs, behind one interface.
 *
 * 1. `append` answers when the events are on disk (A6); whatever is read afterwards sees them.
 * 2. One opener a directory; the second is refused with the pid of the first.
 * 3. The main thread neither hashes large bytes nor waits for the disk.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  type Digest,
  type Failure,
  type JsonObject,
  type Label,
  type Log,
  type Random,
  type Result,
  digestBytes,
  err,
  mainThreadBytesMax,
  ok,
} from '@runloop/core';
import { type Appender, createAppender } from './ledger/appender.ts';
import { type Blobs, createBlobs, dropDrafts } from './ledger/blobs.ts';
import type { AppendedEvent, BlobDraft, EventDraft, StoredEvent } from './ledger/event.ts';
import type { LedgerData, LedgerQuestion } from './ledger/ledger-desk.ts';
import type { Contradiction } from './views/project-claims.ts';
import type { Proposer, StateDelta } from './kinds/propose.ts';
import { type QueryRows, querySql } from './views/query.ts';
import type {
  ApprovalsQuery,
  ArtifactsQuery,
  KnowledgeQuery,
  Row,
  RunEventsQuery,
  RunWithNodes,
  RunsQuery,
  Costs,
  CostsQuery,
  TaintQuery,
} from './views/reads.ts';
import type { FindQuery } from './views/find.ts';
import type { MailboxQuery, MailboxState } from './views/read-mailbox.ts';
import { createKbSearch, type KbSearch } from './search/kb-search.ts';
import type { Embedder } from './search/embedder.ts';
import { hashNgramId } from './search/hash-ngram.ts';
import type { SearchData, SearchQuestion } from './search/search-desk.ts';
import { storageFailure } from './storage-failure.ts';
import { ledgerBlobBytesMax, newsMs, searchIdleMs, viewsIdleMs } from './limits.ts';
import { restingThread } from './resting-thread.ts';
import { startThread, type Thread } from './thread.ts';
import { createProgress, type Progress } from './progress.ts';
import { settle } from './settle.ts';
import { type Upkeep, upkeepOf } from './upkeep.ts';
import type { ViewsData, ViewsQuestion } from './views/views-desk.ts';
import type { Blame, Why } from './views/why.ts';

export type KbDeps = { readonly clock: Clock; readonly random: Random; readonly log: Log };
export type KbOptions = {
  /** The state directory of the knowledge base; made when missing. */
  readonly rootDir: string;
  readonly eventsDb?: string | undefined;
  readonly viewDb?: string | undefined;
  /** The most pages (4 KiB) that events.sqlite may take; without it, what the disk holds. */
  readonly ledgerPagesMax?: number | undefined;
  /** How long the views thread stays without a question, milliseconds. */
  readonly viewsIdleMs?: number | undefined;
  /** The same of the search thread. */
  readonly searchIdleMs?: number | undefined;
  /** What makes vectors of texts; without it, the built-in one. */
  readonly embedder?: Embedder | undefined;
  /**
   * Everything on the caller's thread, and nothing waits for the disk: for simulations, whose files are thrown away.
   * What is written survives the process, not the machine.
   */
  readonly simulated?: boolean | undefined;
  /** Told when the views thread is started, at first and after a rest. */
  readonly onWake?: (() => void) | undefined;
  /** Told when the views thread has ended because nobody asked. */
  readonly onRest?: (() => void) | undefined;
};

export type Asked<T> = Promise<Result<T, Failure>>;
export type Proposal = Omit<Proposer, 'ts_ms' | 'provenance'> & { readonly provenance?: JsonObject | undefined };

export interface Kb extends Upkeep, KbSearch, AsyncDisposable {
  /** Blobs become durable together with the events that name them; the answer tells of the events. */
  append(drafts: readonly EventDraft[], blobs?: readonly BlobDraft[]): Asked<readonly AppendedEvent[]>;
  /** Why the last append failed; nothing where it did not. */
  fault(): Failure | undefined;
  /** Checks a delta and appends it; a refusal's `details.rule` names the rule. */
  propose(delta: StateDelta, by: Proposal): Asked<{ readonly event_id: number; readonly existing: boolean }>;
  putBlob(bytes: Uint8Array): Asked<Digest>;
  getBlob(digest: string): Asked<Uint8Array>;
  blobBytes(digest: string): Promise<number | undefined>;
  /** The event with which the ledger was last restored from a backup, 0 where it never was. */
  restoredAt(): Asked<number>;
  /** A page of one run's events, oldest first, from the ledger itself. */
  runEvents(q: RunEventsQuery): Asked<{ readonly events: readonly StoredEvent[] }>;
  /** Trace ids of the runs that were accepted and have not finished, oldest first. */
  openRuns(): Asked<readonly string[]>;
  /** What was proposed and not forgotten, page by page. */
  knowledge(q: KnowledgeQuery): Asked<{ readonly events: readonly StoredEvent[]; readonly next: number | null }>;
  runs(q: RunsQuery): Asked<readonly Row[]>;
  run(traceId: string): Asked<RunWithNodes>;
  effects(traceId: string, max: number): Asked<readonly Row[]>;
  artifacts(q: ArtifactsQuery): Asked<readonly Row[]>;
  approvals(q: ApprovalsQuery): Asked<readonly Row[]>;
  costs(q: CostsQuery): Asked<Costs>;
  /** Keys of the budgets that are frozen. */
  overruns(): Asked<readonly string[]>;
  find(q: FindQuery): Asked<readonly Row[]>;
  /** The labels under which what an answer rests on was written. */
  taint(q: TaintQuery): Asked<Label>;
  mailbox(q: MailboxQuery): Asked<MailboxState>;
  /** Without `raw`, addresses are redacted. `asOfMs`: by what was on the ledger at that time. */
  why(entity: string, raw?: boolean, asOfMs?: number): Asked<Why>;
  /** Fields on which sources differ, for the operator: values are as they were said. */
  contradictions(max: number): Asked<readonly Contradiction[]>;
  blame(entity: string, field: string, raw?: boolean): Asked<Blame>;
  /** For the operator alone. */
  query(sql: string): Asked<QueryRows>;
  close(): Promise<void>;
}

export async function openKb(deps: KbDeps, options: KbOptions): Promise<Result<Kb, Failure>> {
  const { rootDir } = options;
  const eventsDb = options.eventsDb ?? join(rootDir, 'events.sqlite');
  const viewDb = options.viewDb ?? join(rootDir, 'pog.sqlite');
  try {
    await mkdir(join(rootDir, 'blobs'), { recursive: true, mode: 0o700 });
  } catch (error) {
    return err(storageFailure(error, rootDir));
  }
  await using opening = new AsyncDisposableStack();
  const threads = await startThreads(deps.clock, options, { rootDir, eventsDb, viewDb });
  const ledger = opening.use(threads.ledger);
  const opened = await ledger.ask('open');
  if (!opened.ok) return opened;
  try {
    await dropDrafts(rootDir);
  } catch (error) {
    return err(storageFailure(error, rootDir));
  }
  const views = opening.use(threads.views());
  const ready = await views.ask({ type: 'catchUp' });
  if (!ready.ok) return ready;
  const ask: Ask = <T>(question: ViewsQuestion) => views.ask(question) as Asked<T>;
  const search = opening.use(threads.search());
  const ending = new AbortController();
  opening.defer(() => ending.abort());
  const news = opening.use(new News(deps.clock, () => void views.ask({ type: 'durable' })));
  const appender = createAppender(ledger, deps.random, () => {
    // On the caller's own thread the views grow when they are asked, and not before.
    if (options.simulated !== true) news.tell();
  });
  const blobs = createBlobs(
    {
      random: deps.random,
      digestOf: (bytes) =>
        bytes.length <= mainThreadBytesMax ? Promise.resolve(ok(digestBytes(bytes))) : ask({ type: 'digest', bytes }),
    },
    rootDir,
    options.simulated !== true,
  );
  const paths = { rootDir, eventsDb, viewDb };
  const settled = await settle({ ...deps, appender }, { ledger, views, search, data: paths });
  if (!settled.ok) return settled;
  const held = opening.move();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= appender.drained().then(() => held.disposeAsync()));
  return ok({
    append: (drafts, blobs) => appender.append(drafts, blobs),
    fault: () => appender.fault(),
    async propose(delta, by) {
      const draft = await ask<EventDraft>({
        type: 'validate',
        delta,
        by: { ...by, ts_ms: deps.clock.nowMs(), provenance: by.provenance ?? {} },
      });
      if (!draft.ok) return draft;
      const appended = await appender.append([draft.value]);
      if (!appended.ok) return appended;
      const [event] = appended.value;
      if (event === undefined) throw new Error('assumed one event for one draft');
      return ok({ event_id: event.id, existing: event.existing });
    },
    ...blobsOf(ask, appender, blobs),
    ...readsOf(ask),
    ...createKbSearch({
      log: deps.log,
      caughtUp: () => ask({ type: 'catchUp' }),
      mend: () => ask({ type: 'mend' }),
      thread: search,
      embedder: options.embedder,
      closing: ending.signal,
    }),
    ...upkeepOf({ ...deps, ledger, views, search, appender, blobs, progress: threads.progress, paths }),
    query: (sql) => query(deps.clock, ask, viewDb, sql),
    close,
    [Symbol.asyncDispose]: close,
  });
}

type Ask = <T>(question: ViewsQuestion) => Asked<T>;

/** Views that turn out to be damaged are made anew, once. */
async function query(clock: Clock, ask: Ask, viewDb: string, sql: string): Asked<QueryRows> {
  for (let tries = 1; ; tries += 1) {
    const caughtUp = await ask({ type: 'catchUp' });
    if (!caughtUp.ok) return caughtUp;
    const rows = await querySql(clock, viewDb, sql);
    if (rows.ok || rows.error.code !== 'StorageCorrupt' || tries > 1) return rows;
    const mended = await ask<boolean>({ type: 'mend' });
    if (!mended.ok || !mended.value) return rows;
  }
}

type Reads = Pick<
  Kb,
  | 'runEvents'
  | 'knowledge'
  | 'openRuns'
  | 'restoredAt'
  | 'runs'
  | 'run'
  | 'effects'
  | 'artifacts'
  | 'approvals'
  | 'costs'
  | 'overruns'
  | 'find'
  | 'taint'
  | 'mailbox'
  | 'why'
  | 'contradictions'
  | 'blame'
>;

/** Lets the views grow while nobody asks, and not for each event: a read makes them catch up anyway. */
class News implements Disposable {
  readonly #clock: Clock;
  readonly #tell: () => void;
  #timer: Disposable | undefined;

  constructor(clock: Clock, tell: () => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  tell(): void {
    this.#timer ??= this.#clock.after(newsMs, () => {
      this.#timer = undefined;
      this.#tell();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }
}

/** Small ones stand in the ledger, large ones are files. */
function blobsOf(ask: Ask, appender: Appender, files: Blobs): Pick<Kb, 'putBlob' | 'getBlob' | 'blobBytes'> {
  return {
    async putBlob(bytes) {
      if (bytes.length > ledgerBlobBytesMax) return files.put(bytes);
      const digest = digestBytes(bytes);
      const kept = await appender.append([], [{ digest, content: new Uint8Array(bytes) }]);
      return kept.ok ? ok(digest) : kept;
    },
    async getBlob(digest) {
      const kept = await ask<Uint8Array | undefined>({ type: 'blob', digest });
      if (!kept.ok) return kept;
      return kept.value === undefined ? files.get(digest) : ok(kept.value);
    },
    async blobBytes(digest) {
      const kept = await ask<Uint8Array | undefined>({ type: 'blob', digest });
      return kept.ok && kept.value !== undefined ? kept.value.length : files.size(digest);
    },
  };
}

/** The reads that are one question to the views thread each. */
function readsOf(ask: Ask): Reads {
  return {
    runEvents: (q) => ask({ type: 'runEvents', q }),
    knowledge: (q) => ask({ type: 'knowledge', q }),
    openRuns: () => ask({ type: 'openRuns' }),
    restoredAt: () => ask({ type: 'restoredAt' }),
    runs: (q) => ask({ type: 'runs', q }),
    run: (traceId) => ask({ type: 'run', traceId }),
    effects: (traceId, max) => ask({ type: 'effects', traceId, max }),
    artifacts: (q) => ask({ type: 'artifacts', q }),
    approvals: (q) => ask({ type: 'approvals', q }),
    costs: (q) => ask({ type: 'costs', q }),
    overruns: () => ask({ type: 'overruns' }),
    find: (q) => ask({ type: 'find', q }),
    taint: (q) => ask({ type: 'taint', q }),
    mailbox: (q) => ask({ type: 'mailbox', q }),
    why: (entity, raw = false, asOfMs) => ask({ type: 'why', entity, raw, asOfMs }),
    contradictions: (max) => ask({ type: 'contradictions', max }),
    blame: (entity, field, raw = false) => ask({ type: 'blame', entity, field, raw }),
  };
}

type Threads = {
  readonly progress: Progress;
  readonly ledger: Thread<LedgerQuestion>;
  readonly views: () => Thread<ViewsQuestion>;
  readonly search: () => Thread<SearchQuestion>;
};

/** The views thread ends when nobody asks: what it knows stands on disk. It is started once the ledger is there. */
async function startThreads(
  clock: Clock,
  options: KbOptions,
  { rootDir, eventsDb, viewDb }: { readonly rootDir: string; readonly eventsDb: string; readonly viewDb: string },
): Promise<Threads> {
  const { ledgerPagesMax: pagesMax, onWake, onRest } = options;
  const progress = createProgress();
  const viewsData: ViewsData = { eventsDb, viewDb, counts: progress.counts };
  const embedder = options.embedder?.id ?? hashNgramId;
  const searchData: SearchData = { viewDb, vectorDb: join(rootDir, 'vectors.sqlite'), embedder };
  const nowMs = clock.nowMs();
  if (options.simulated === true) {
    const { inlineThreads } = await import('./inline.ts');
    const ledgerData: LedgerData = { rootDir, eventsDb, pagesMax, durable: false, nowMs };
    const { ledger, views, search } = await inlineThreads(ledgerData, viewsData, searchData);
    return { progress, ledger, views: () => views, search: () => search };
  }
  const resting = <Q>(name: string, data: unknown, idleMs: number): Thread<Q> =>
    restingThread(
      clock,
      () => {
        onWake?.();
        return startThread<Q>(name, data);
      },
      idleMs,
      onRest,
    );
  return {
    progress,
    ledger: startThread<LedgerQuestion>('ledger/ledger-main', {
      rootDir,
      eventsDb,
      pagesMax,
      nowMs,
    } satisfies LedgerData),
    views: () => resting<ViewsQuestion>('views/views-main', viewsData, options.viewsIdleMs ?? viewsIdleMs),
    search: () => resting<SearchQuestion>('search/search-main', searchData, options.searchIdleMs ?? searchIdleMs),
  };
}
