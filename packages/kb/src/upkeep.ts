/**
 * What keeps a knowledge base sound: checking, sealing, rebuilding, backing up, compacting, forgetting; with how far it is.
 *
 * 1. One long work at a time; what is asked meanwhile waits for it.
 * 2. Each runs in a thread that is neither the writer nor the reader, where it can.
 */
import { join } from 'node:path';
import { readdir, stat } from 'node:fs/promises';
import { type Clock, type Failure, type Log, type Random, type Result, ok, toHex } from '@runloop/core';
import type { Archived } from './archive/archive.ts';
import { archiveOld } from './archive/archive-old.ts';
import type { Appender } from './ledger/appender.ts';
import type { Blobs } from './ledger/blobs.ts';
import { type Backup, backUp } from './backup/backup.ts';
import { type Forgotten, type ForgottenBy, forget, planForgetting } from './forget/forget.ts';
import type { ForgetPlan } from './forget/plan.ts';
import { type SignedHead, type Signer, keepHead, readHeads, signHead } from './ledger/heads.ts';
import type { LedgerQuestion } from './ledger/ledger-desk.ts';
import type { Progress, ProgressShown } from './progress.ts';
import type { SearchQuestion } from './search/search-desk.ts';
import { type Thread, startThread } from './thread.ts';
import type { VerifyData, VerifyOptions, Verified } from './ledger/verify.ts';
import type { ViewHashes } from './views/views.ts';
import type { ViewsQuestion } from './views/views-desk.ts';

type Asked<T> = Promise<Result<T, Failure>>;
export type Rebuilt = {
  readonly events: number;
  readonly duration_ms: number;
  readonly before: ViewHashes;
  readonly after: ViewHashes;
  readonly equal: boolean;
};
export type KbStats = {
  readonly events: number;
  readonly watermark: number;
  readonly pending: number;
  /** Bytes of each file, of the blob files together, and how many those are. */
  readonly bytes: { readonly [file: string]: number };
  readonly blob_files: number;
  /** Rows of each view. */
  readonly rows: { readonly [view: string]: number };
};
/** Who asked for it, as the event says. */
export type By = Omit<ForgottenBy, 'ts_ms'>;

export interface Upkeep {
  /** Checks every row, the blobs in the ledger, and that every signed head is still there. */
  verify(options?: VerifyOptions): Asked<Verified>;
  /** Signs what the ledger is now, and keeps it; the same as before where nothing is new. */
  seal(signer: Signer): Asked<SignedHead>;
  rebuild(): Asked<Rebuilt>;
  /** Writes the ledger and its blobs as they stand now into a folder that is empty or not there. */
  backup(into: string, by: By): Asked<Backup>;
  /** Rewrites the databases without what was deleted. */
  vacuum(): Asked<{ readonly before: number; readonly after: number }>;
  /** Packs the blobs of runs that ended before that time away, out of the ledger's file; they are read as before. */
  archive(beforeMs: number): Asked<Archived>;
  /** What would go, if the entity were forgotten. */
  planForget(entity: string): Asked<ForgetPlan>;
  /** Erases the entity wherever it stands in this directory; what is in backups stays there. */
  forget(entity: string, by: By): Asked<Forgotten>;
  stats(): Asked<KbStats>;
  /** The long work that is under way. */
  progress(): ProgressShown | undefined;
}

export type UpkeepDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly ledger: Thread<LedgerQuestion>;
  readonly views: Thread<ViewsQuestion>;
  readonly search: Thread<SearchQuestion>;
  readonly appender: Appender;
  readonly blobs: Pick<Blobs, 'watchPuts'>;
  readonly progress: Progress;
  readonly paths: { readonly rootDir: string; readonly eventsDb: string; readonly viewDb: string };
};

export function upkeepOf(deps: UpkeepDeps): Upkeep {
  const { clock, ledger, views, search, progress, paths } = deps;
  const { rootDir, eventsDb } = paths;
  let last: Promise<unknown> = Promise.resolve();
  const long = <T>(what: string, work: () => Asked<T>): Asked<T> => {
    const mine = last.then(() => progress.during(what, work));
    last = mine.catch(() => undefined);
    return mine;
  };
  const forgetting = { random: deps.random, ledger, views, search, blobs: deps.blobs, data: paths };
  return {
    verify: (options = {}) =>
      long('verify', async () => {
        const data: VerifyData = { rootDir, eventsDb, counts: progress.counts };
        await using thread = startThread<VerifyOptions>('ledger/verify-main', data);
        return (await thread.ask(options)) as Result<Verified, Failure>;
      }),
    seal: (signer) => seal(clock, ledger, rootDir, signer),
    rebuild: () => long('rebuild', () => rebuild(deps)),
    backup: (into, by) =>
      long('backup', () =>
        backUp(deps, { rootDir, eventsDb, counts: progress.counts }, { into, made_ms: clock.nowMs(), ...by }),
      ),
    vacuum: () =>
      long('vacuum', async () => {
        const before = await bytesOf(paths);
        for (const thread of [ledger, views, search]) {
          const done = await thread.ask({ type: 'compact' });
          if (!done.ok) return done;
        }
        return ok({ before, after: await bytesOf(paths) });
      }),
    archive: (beforeMs) => long('archive', () => archiveOld({ ledger, progress, eventsDb }, beforeMs)),
    planForget: (entity) =>
      long('plan', async () => {
        const planned = await planForgetting(forgetting, entity);
        return planned.ok ? ok(planned.value.plan) : planned;
      }),
    forget: (entity, by) => long('forget', () => forget(forgetting, entity, { ...by, ts_ms: clock.nowMs() })),
    stats: () => stats(deps),
    progress: () => progress.shown(),
  };
}

async function seal(clock: Clock, ledger: Thread<LedgerQuestion>, rootDir: string, signer: Signer): Asked<SignedHead> {
  const asked = await ledger.ask({ type: 'head' });
  if (!asked.ok) return asked;
  const { id, chain } = asked.value as { id: number; chain: Uint8Array };
  const last = readHeads(rootDir).heads.at(-1);
  if (last?.id === id && last.chain === toHex(chain) && last.key === signer.key) return ok(last);
  const head = signHead({ id, chain: toHex(chain), ts_ms: clock.nowMs() }, signer);
  const kept = await keepHead(rootDir, head);
  return kept.ok ? ok(head) : kept;
}

async function rebuild({ clock, log, views }: UpkeepDeps): Asked<Rebuilt> {
  const began = clock.monotonicMs();
  const rebuilt = await views.ask({ type: 'rebuild' });
  if (!rebuilt.ok) return rebuilt;
  const { events, before, after } = rebuilt.value as Omit<Rebuilt, 'equal' | 'duration_ms'>;
  const equal = Object.keys(after).every((table) => after[table] === before[table]);
  log.log(equal ? 'info' : 'error', equal ? 'views rebuilt' : 'views differ after a rebuild', { events });
  return ok({ events, before, after, duration_ms: clock.monotonicMs() - began, equal });
}

async function stats({ views, appender, paths }: UpkeepDeps): Asked<KbStats> {
  const asked = await views.ask({ type: 'stats' });
  if (!asked.ok) return asked;
  const bytes: { [file: string]: number } = {};
  for (const path of filesOf(paths)) {
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) bytes[path.slice(path.lastIndexOf('/') + 1)] = found.size;
  }
  const blobs = await sizesOf(paths.rootDir);
  bytes['blobs'] = blobs.bytes;
  const known = asked.value as Pick<KbStats, 'events' | 'watermark' | 'rows'>;
  return ok({ ...known, pending: appender.pending(), bytes, blob_files: blobs.count });
}

function filesOf({ rootDir, eventsDb, viewDb }: UpkeepDeps['paths']): readonly string[] {
  return [eventsDb, viewDb, join(rootDir, 'archive.sqlite'), join(rootDir, 'vectors.sqlite')].flatMap((path) => [
    path,
    `${path}-wal`,
  ]);
}

async function bytesOf(paths: UpkeepDeps['paths']): Promise<number> {
  const sizes = await Promise.all(
    filesOf(paths).map((path) =>
      stat(path).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function sizesOf(rootDir: string): Promise<{ readonly count: number; readonly bytes: number }> {
  const entries = await readdir(join(rootDir, 'blobs'), { recursive: true, withFileTypes: true }).catch(() => []);
  let count = 0;
  let bytes = 0;
  for (const entry of entries)
    if (entry.isFile()) {
      count += 1;
      bytes += await stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      );
    }
  return { count, bytes };
}
