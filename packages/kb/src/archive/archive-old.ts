/**
 * Archiving, from plan to the smaller file of the ledger.
 *
 * The plan is made in a thread of its own, and the writer is asked for a few blobs at a time: appends go in between. They
 * wait while the ledger's file is written anew at the end.
 */
import { type Failure, ok, type Result } from '@runloop/core';
import type { LedgerQuestion } from '../ledger/ledger-desk.ts';
import { archiveBatch } from '../limits.ts';
import { type Progress, tell } from '../progress.ts';
import { startThread, type Thread } from '../thread.ts';
import type { ArchiveData } from './archive-main.ts';
import type { Archived } from './archive.ts';
import type { ArchivePlan } from './plan.ts';

type ArchiveDeps = {
  readonly ledger: Thread<LedgerQuestion>;
  readonly progress: Progress;
  readonly eventsDb: string;
};

/** Moves the blobs that only runs name which ended before `beforeMs`. */
export async function archiveOld(
  { ledger, progress, eventsDb }: ArchiveDeps,
  beforeMs: number,
): Promise<Result<Archived, Failure>> {
  await using planner = startThread<number>('archive/archive-main', { eventsDb } satisfies ArchiveData);
  const planned = (await planner.ask(beforeMs)) as Result<ArchivePlan, Failure>;
  if (!planned.ok) return planned;
  const { runs, digests } = planned.value;
  const told = { runs, blobs: 0, bytes: 0, packed: 0 };
  for (let at = 0; at < digests.length; at += archiveBatch) {
    const asked = await ledger.ask({ type: 'archive', digests: digests.slice(at, at + archiveBatch) });
    if (!asked.ok) return asked;
    const moved = asked.value as Omit<Archived, 'runs'>;
    for (const count of ['blobs', 'bytes', 'packed'] as const) told[count] += moved[count];
    tell(progress.counts, at, digests.length);
  }
  // One that was cut off before has left free pages.
  const compacted = await ledger.ask({ type: 'compact', onlyIfFree: true });
  return compacted.ok ? ok(told) : compacted;
}
