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
import { hexOf } from './blake3.ts';
import { type Appender, createAppender } from './appender.ts';
import { type Blobs, createBlobs } from './blobs.ts';
import type { AppendedEvent, BlobDraft, EventDraft, StoredEvent } from './event.ts';
import {
  type Forgotten,
  type ForgottenBy,
  finishForgetting,
  forget,
  isForgetting,
  planForgetting,
} from './forget/forget.ts';
import type { ForgetPlan } from './forget/plan.ts';
import type { LedgerData, LedgerQuestion } from './ledger-desk.ts';
import type { Proposer, StateDelta } from './propose.ts';
import { type QueryRows, querySql } from './query.ts';
import type {
  ApprovalsQuery,
  ArtifactsQuery,
  FindQuery,
  Row,
  RunEventsQuery,
  RunWithNodes,
  RunsQuery,
  Costs,
  CostsQuery,
  TaintQuery,
} from './reads.ts';
import type { MailboxQuery, MailboxState } from './read-mailbox.ts';
import { createKbSearch, type KbSearch } from './kb-search.ts';
import type { Embedder } from './embedder.ts';
import { hashNgramId } from './hash-ngram.ts';
import type { SearchData, SearchQuestion } from './search-desk.ts';
import { type SignedHead, type Signer, keepHead, readHeads, signHead } from './heads.ts';
import { storageFailure } from './storage-failure.ts';
import { ledgerBlobBytesMax, newsMs, searchIdleMs, viewsIdleMs } from './limits.ts';
import { restingThread } from './resting-thread.ts';
import { startThread, type Thread } from './thread.ts';
import type { VerifyData, VerifyOptions, Verified } from './verify.ts';
import type { ViewHashes } from './views.ts';
import type { ViewsData, ViewsQuestion } from './views-desk.ts';
import type { Blame, Why } from './why.ts';

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
  /** Told when the views thread has ended because nobody asked. */
  readonly onRest?: (() => void) | undefined;
};

export type Asked<T> = Promise<Result<T, Failure>>;
export type Rebuilt = {
  readonly events: number;
  readonly duration_ms: number;
  readonly before: ViewHashes;
  readonly after: ViewHashes;
  readonly equal: boolean;
};
export type KbStats = { readonly events: number; readonly watermark: number; readonly pending: number };
export type Proposal = Omit<Proposer, 'ts_ms' | 'provenance'> & { readonly provenance?: JsonObject | undefined };

export interface Kb extends AsyncDisposable, KbSearch {
  /** Blobs become durable together with the events that name them; the answer tells of the events. */
  append(drafts: readonly EventDraft[], blobs?: readonly BlobDraft[]): Asked<readonly AppendedEvent[]>;
  /** Checks a delta and appends it; a refusal's `details.rule` names the rule. */
  propose(delta: StateDelta, by: Proposal): Asked<{ readonly event_id: number; readonly existing: boolean }>;
  putBlob(bytes: Uint8Array): Asked<Digest>;
  getBlob(digest: string): Asked<Uint8Array>;
  blobBytes(digest: string): Promise<number | undefined>;
  /** A page of one run's events, oldest first, from the ledger itself. */
  runEvents(q: RunEventsQuery): Asked<{ readonly events: readonly StoredEvent[] }>;
  /** Trace ids of the runs that were accepted and have not finished, oldest first. */
  openRuns(): Asked<readonly string[]>;
  runs(q: RunsQuery): Asked<readonly Row[]>;
  run(traceId: string): Asked<RunWithNodes>;
  effects(traceId: string, max: number): Asked<readonly Row[]>;
  artifacts(q: ArtifactsQuery): Asked<readonly Row[]>;
  approvals(q: ApprovalsQuery): Asked<readonly Row[]>;
  costs(q: CostsQuery): Asked<Costs>;
  find(q: FindQuery): Asked<readonly Row[]>;
  /** The labels under which what an answer rests on was written. */
  taint(q: TaintQuery): Asked<Label>;
  mailbox(q: MailboxQuery): Asked<MailboxState>;
  /** Without `raw`, addresses are redacted. */
  why(entity: string, raw?: boolean): Asked<Why>;
  blame(entity: string, field: string, raw?: boolean): Asked<Blame>;
  /** What would go, if the entity were forgotten. */
  planForget(entity: string): Asked<ForgetPlan>;
  /** Erases the entity wherever it stands in this directory; what is in backups stays there. */
  forget(entity: string, by: Omit<ForgottenBy, 'ts_ms'>): Asked<Forgotten>;
  /** For the operator alone. */
  query(sql: string): Asked<QueryRows>;
  verify(options?: VerifyOptions): Asked<Verified>;
  /** Signs what the ledger is now, and keeps it; the same as before where nothing is new. */
  seal(signer: Signer): Asked<SignedHead>;
  rebuild(): Asked<Rebuilt>;
  stats(): Asked<KbStats>;
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
  const views = opening.use(threads.views());
  const ready = await views.ask({ type: 'stats' });
  if (!ready.ok) return ready;
  const searching = opening.use(threads.search());
  const forgetting = { random: deps.random, ledger, views, search: searching, data: { rootDir, eventsDb, viewDb } };
  if (isForgetting(rootDir)) {
    const finished = await finishForgetting(forgetting);
    if (!finished.ok) return finished;
    deps.log.log('warn', 'a forgetting that was cut off is finished');
  }
  const ask: Ask = <T>(question: ViewsQuestion) => views.ask(question) as Asked<T>;
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
  const held = opening.move();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= appender.drained().then(() => held.disposeAsync()));
  return ok({
    append: (drafts, blobs) => appender.append(drafts, blobs),
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
      caughtUp: () => ask({ type: 'stats' }),
      thread: searching,
      embedder: options.embedder,
      closing: ending.signal,
    }),
    planForget: (entity) => planForgetting(forgetting, entity),
    forget: (entity, by) => forget(forgetting, entity, { ...by, ts_ms: deps.clock.nowMs() }),
    async query(sql) {
      const caughtUp = await ask({ type: 'stats' });
      return caughtUp.ok ? querySql(deps.clock, viewDb, sql) : caughtUp;
    },
    async verify(options = {}) {
      await using thread = startThread<VerifyOptions>('verify-main', { rootDir, eventsDb } satisfies VerifyData);
      return (await thread.ask(options)) as Result<Verified, Failure>;
    },
    seal: (signer) => seal(deps.clock, ledger, rootDir, signer),
    async rebuild() {
      const began = deps.clock.monotonicMs();
      const rebuilt = await ask<Omit<Rebuilt, 'equal' | 'duration_ms'>>({ type: 'rebuild' });
      if (!rebuilt.ok) return rebuilt;
      const { before, after } = rebuilt.value;
      const equal = Object.keys(after).every((table) => after[table] === before[table]);
      deps.log.log(equal ? 'info' : 'error', equal ? 'views rebuilt' : 'views differ after a rebuild', {
        events: rebuilt.value.events,
      });
      return ok({ ...rebuilt.value, duration_ms: deps.clock.monotonicMs() - began, equal });
    },
    async stats() {
      const stats = await ask<Omit<KbStats, 'pending'>>({ type: 'stats' });
      return stats.ok ? ok({ ...stats.value, pending: appender.pending() }) : stats;
    },
    close,
    [Symbol.asyncDispose]: close,
  });
}

async function seal(
  clock: Clock,
  ledger: Thread<LedgerQuestion>,
  rootDir: string,
  signer: Signer,
): Promise<Result<SignedHead, Failure>> {
  const asked = await ledger.ask({ type: 'head' });
  if (!asked.ok) return asked;
  const { id, chain } = asked.value as { id: number; chain: Uint8Array };
  const last = readHeads(rootDir).heads.at(-1);
  if (last?.id === id && last.chain === hexOf(chain) && last.key === signer.key) return ok(last);
  const head = signHead({ id, chain: hexOf(chain), ts_ms: clock.nowMs() }, signer);
  const kept = await keepHead(rootDir, head);
  return kept.ok ? ok(head) : kept;
}

type Ask = <T>(question: ViewsQuestion) => Asked<T>;
type Reads = Pick<
  Kb,
  | 'runEvents'
  | 'openRuns'
  | 'runs'
  | 'run'
  | 'effects'
  | 'artifacts'
  | 'approvals'
  | 'costs'
  | 'find'
  | 'taint'
  | 'mailbox'
  | 'why'
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
    openRuns: () => ask({ type: 'openRuns' }),
    runs: (q) => ask({ type: 'runs', q }),
    run: (traceId) => ask({ type: 'run', traceId }),
    effects: (traceId, max) => ask({ type: 'effects', traceId, max }),
    artifacts: (q) => ask({ type: 'artifacts', q }),
    approvals: (q) => ask({ type: 'approvals', q }),
    costs: (q) => ask({ type: 'costs', q }),
    find: (q) => ask({ type: 'find', q }),
    taint: (q) => ask({ type: 'taint', q }),
    mailbox: (q) => ask({ type: 'mailbox', q }),
    why: (entity, raw = false) => ask({ type: 'why', entity, raw }),
    blame: (entity, field, raw = false) => ask({ type: 'blame', entity, field, raw }),
  };
}

type Threads = {
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
  const { ledgerPagesMax: pagesMax, onRest } = options;
  const viewsData: ViewsData = { eventsDb, viewDb };
  const embedder = options.embedder?.id ?? hashNgramId;
  const searchData: SearchData = { viewDb, vectorDb: join(rootDir, 'vectors.sqlite'), embedder };
  if (options.simulated === true) {
    const { inlineThreads } = await import('./inline.ts');
    const ledgerData: LedgerData = { rootDir, eventsDb, pagesMax, durable: false };
    const { ledger, views, search } = await inlineThreads(ledgerData, viewsData, searchData);
    return { ledger, views: () => views, search: () => search };
  }
  return {
    ledger: startThread<LedgerQuestion>('ledger-main', { rootDir, eventsDb, pagesMax } satisfies LedgerData),
    views: () =>
      restingThread(
        clock,
        () => startThread<ViewsQuestion>('views-main', viewsData),
        options.viewsIdleMs ?? viewsIdleMs,
        onRest,
      ),
    search: () =>
      restingThread(
        clock,
        () => startThread<SearchQuestion>('search-main', searchData),
        options.searchIdleMs ?? searchIdleMs,
        onRest,
      ),
  };
}
