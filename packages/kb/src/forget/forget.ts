/**
 * Forgets an entity: plans, erases in one transaction with the event that says so, then removes every trace of it on disk.
 *
 * 1. What was erased and the `subject.forgotten` that lists it are one commit; the chain stays valid.
 * 2. A mark on disk is there from before the commit until nothing is left: who finds it when opening finishes the work.
 * 3. Blob files go, both databases are rewritten, the views are made anew, the write-ahead logs are emptied.
 * Backups are not changed: they are listed, for whoever asked to decide.
 */
import { rm, writeFile } from 'node:fs/promises';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Failure, type JsonObject, type Random, type Result, err, failure, ok } from '@runloop/core';
import { dropArchived } from '../archive/archive.ts';
import { packed } from '../ledger/batch.ts';
import type { LedgerQuestion } from '../ledger/ledger-desk.ts';
import { forgetPlansMax } from '../limits.ts';
import { prepare } from '../ledger/prepare.ts';
import type { SearchQuestion } from '../search/search-desk.ts';
import { storageFailure } from '../storage-failure.ts';
import { type Thread, startThread } from '../thread.ts';
import type { ViewsQuestion } from '../views/views-desk.ts';
import { blobFile } from '../ledger/blob-files.ts';
import type { Blobs } from '../ledger/blobs.ts';
import type { ForgetData } from './forget-main.ts';
import type { ForgetPlan, PlannedForget } from './plan.ts';

export type Forgotten = ForgetPlan & { readonly event_id: number };
export type ForgottenBy = { readonly actor: string; readonly ts_ms: number; readonly provenance: JsonObject };

type ForgetDeps = {
  readonly random: Random;
  readonly ledger: Thread<LedgerQuestion>;
  readonly views: Thread<ViewsQuestion>;
  readonly search: Thread<SearchQuestion>;
  readonly blobs: Pick<Blobs, 'watchPuts'>;
  readonly data: ForgetData;
};

const markOf = (rootDir: string): string => join(rootDir, 'forgetting');

export async function planForgetting(
  { views, data }: ForgetDeps,
  entity: string,
): Promise<Result<PlannedForget, Failure>> {
  const caughtUp = await views.ask({ type: 'catchUp' });
  if (!caughtUp.ok) return caughtUp;
  await using thread = startThread<string>('forget/forget-main', data);
  return (await thread.ask(entity)) as Result<PlannedForget, Failure>;
}

export async function forget(deps: ForgetDeps, entity: string, by: ForgottenBy): Promise<Result<Forgotten, Failure>> {
  const { rootDir } = deps.data;
  // One that could not be finished, as on a full disk: its subject is no longer known by its name.
  if (isForgetting(rootDir)) {
    const finished = await finishForgetting(deps);
    if (!finished.ok) return unfinished('what was forgotten before', finished.error);
  }
  for (let tries = 0; tries < forgetPlansMax; tries += 1) {
    using puts = deps.blobs.watchPuts();
    const planned = await planForgetting(deps, entity);
    if (!planned.ok) return planned;
    const { plan, seen } = planned.value;
    const { subject, events, files, runs } = plan;
    const prepared = prepare(
      [
        {
          ...by,
          kind: 'subject.forgotten',
          scope: 'operator',
          payload: { subject, events, files: [...files, ...plan.archived], blobs: plan.blobs.length, runs },
        },
      ],
      [],
    );
    if (!prepared.ok) return prepared;
    try {
      await writeFile(markOf(rootDir), '', { mode: 0o600, flush: true });
    } catch (error) {
      return err(storageFailure(error, rootDir));
    }
    const erased = await deps.ledger.ask({
      type: 'erase',
      plan: { ...plan, seen },
      told: packed(prepared.value, [], deps.random),
    });
    if (!erased.ok) return erased;
    if (erased.value === undefined) continue;
    const cleaned = await finishForgetting(deps, puts.has);
    if (cleaned.ok) return ok({ ...plan, event_id: erased.value as number });
    return unfinished(entity, cleaned.error);
  }
  return err(
    failure('Busy', `what is new keeps naming ${entity}`, { hint: 'pause the runs that work on it, and say it again' }),
  );
}

function unfinished(what: string, { code, message, hint = '' }: Failure): Result<never, Failure> {
  return err(
    failure(code, `${what} is erased, but not yet from every file: ${message}`, {
      hint: `${hint} It is finished when the daemon starts next, and with the next rlp kb forget.`,
    }),
  );
}

/** Whether a forgetting was cut off. */
export function isForgetting(rootDir: string): boolean {
  return existsSync(markOf(rootDir));
}

/** Removes what the last commit has made superfluous, but for files that were put since; may be done again. */
export async function finishForgetting(
  { ledger, views, search, data }: Omit<ForgetDeps, 'random' | 'blobs'>,
  wasPut: (digest: string) => boolean = () => false,
): Promise<Result<void, Failure>> {
  try {
    const listed = await views.ask({ type: 'forgottenFiles' });
    if (!listed.ok) return listed;
    const gone = listed.value as readonly string[];
    // In one turn: who puts the same bytes is seen here, or sees the file gone.
    for (const digest of gone)
      if (!wasPut(digest)) rmSync(blobFile(join(data.rootDir, 'blobs'), digest), { force: true });
    dropArchived(data.rootDir, gone);
    const rebuilt = await views.ask({ type: 'rebuild', compact: true });
    if (!rebuilt.ok) return rebuilt;
    const purged = await search.ask({ type: 'purge' });
    if (!purged.ok) return purged;
    const compacted = await ledger.ask({ type: 'compact' });
    if (!compacted.ok) return compacted;
    await rm(markOf(data.rootDir), { force: true });
    return ok(undefined);
  } catch (error) {
    return err(storageFailure(error, data.rootDir));
  }
}
