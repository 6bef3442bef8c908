/**
 * Finishes, when a directory is opened, what was cut off in it: a restoring, a backup, a forgetting.
 */
import { type Clock, type Failure, type Log, type Result, ok } from '@runloop/core';
import { settleBackup } from './backup/backup.ts';
import { endRestoring, restoringHere } from './backup/restore.ts';
import { finishForgetting, isForgetting } from './forget/forget.ts';
import type { Appender } from './ledger/appender.ts';

type SettleDeps = { readonly clock: Clock; readonly log: Log; readonly appender: Pick<Appender, 'append'> };

export async function settle(
  deps: SettleDeps,
  forgetting: Parameters<typeof finishForgetting>[0],
): Promise<Result<void, Failure>> {
  const { rootDir } = forgetting.data;
  const restored = await settleRestoring(deps, rootDir);
  if (!restored.ok) return restored;
  const backedUp = await settleBackup(deps, rootDir);
  if (!backedUp.ok || !isForgetting(rootDir)) return backedUp;
  deps.log.log('warn', 'a forgetting that was cut off is finished');
  return finishForgetting(forgetting);
}

/** A restored backup says so, once. */
async function settleRestoring({ clock, log, appender }: SettleDeps, rootDir: string): Promise<Result<void, Failure>> {
  const restoring = restoringHere(rootDir);
  if (restoring === undefined) return ok(undefined);
  const { before, from, events } = restoring;
  const told = await appender.append([
    {
      ts_ms: clock.nowMs(),
      actor: 'daemon',
      kind: 'ledger.restored',
      scope: 'operator',
      payload: { from, events, before },
      provenance: {},
      dedupe_key: `restored/${before}`,
    },
  ]);
  if (!told.ok) return told;
  const ended = endRestoring(rootDir, restoring);
  if (ended.ok) log.log('warn', 'the ledger was restored from a backup', { from, events, before });
  return ended;
}
