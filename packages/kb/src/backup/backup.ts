/**
 * Backing up, from the mark to the event that tells of it.
 *
 * While a backup is being made, a mark on disk names its folder: who opens the directory after a crash tells of one that is
 * whole, and removes what there is of one that is not. So what still holds a subject is known when it is forgotten.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { type Failure, type JsonObject, type Log, type Result, isJsonObject, ok, parseJson } from '@runloop/core';
import type { Appender } from '../ledger/appender.ts';
import { isPlainFile } from '../inode.ts';
import { storageFailure } from '../storage-failure.ts';
import { startThread } from '../thread.ts';
import type { ProgressCounts } from '../progress.ts';
import { type BackupManifest, readManifest, removeBackup } from './manifest.ts';

/** The backup that is being made, and who asked for it. */
export type BackingUp = {
  readonly into: string;
  readonly made_ms: number;
  readonly actor: string;
  readonly provenance: JsonObject;
};
export type BackupData = { readonly rootDir: string; readonly eventsDb: string; readonly counts: ProgressCounts };
export type Backup = BackupManifest & { readonly path: string };

const markOf = (rootDir: string): string => join(rootDir, 'backing-up.json');

export function markBackup(rootDir: string, making: BackingUp): void {
  writeFileSync(markOf(rootDir), JSON.stringify(making), { mode: 0o600, flush: true });
}

export function unmarkBackup(rootDir: string): void {
  rmSync(markOf(rootDir), { recursive: true, force: true });
}

type BackupDeps = { readonly appender: Pick<Appender, 'append'>; readonly log: Log };

export async function backUp(deps: BackupDeps, data: BackupData, making: BackingUp): Promise<Result<Backup, Failure>> {
  // There is one mark: a backup that could not be told of is not to be forgotten over the next.
  const settled = await settleBackup(deps, data.rootDir);
  if (!settled.ok) return settled;
  await using thread = startThread<BackingUp>('backup/backup-main', data);
  const made = (await thread.ask(making)) as Result<BackupManifest, Failure>;
  if (!made.ok) return made;
  const told = await tellOf(deps.appender, making, made.value);
  if (!told.ok) return told;
  unmarkBackup(data.rootDir);
  return ok({ ...made.value, path: making.into });
}

/** After a crash, or where the ledger took nothing more: what was being made is told of, or removed. */
export async function settleBackup({ appender, log }: BackupDeps, rootDir: string): Promise<Result<void, Failure>> {
  const making = markedBackup(rootDir);
  // A mark that was cut off while it was written: nothing has been copied yet.
  if (making === undefined) {
    unmarkBackup(rootDir);
    return ok(undefined);
  }
  const { into } = making;
  if (!existsSync(dirname(into))) {
    log.log('warn', 'a backup was cut off, and where it was to be is not there now', { into });
    return ok(undefined);
  }
  try {
    const made = readManifest(into);
    if (made.ok) {
      const told = await tellOf(appender, making, made.value);
      if (!told.ok) return told;
    } else {
      removeBackup(into);
      log.log('warn', 'a backup was cut off, and what there was of it is removed', { into });
    }
    unmarkBackup(rootDir);
    return ok(undefined);
  } catch (error) {
    // No reason not to start: the mark stays, and the next start tries again.
    log.log('warn', 'a backup was cut off, and what there is of it could not be removed', {
      into,
      why: storageFailure(error, into).message,
    });
    return ok(undefined);
  }
}

function markedBackup(rootDir: string): BackingUp | undefined {
  if (!isPlainFile(markOf(rootDir))) return undefined;
  const mark = parseJson(readFileSync(markOf(rootDir), 'utf8'));
  if (!mark.ok || !isJsonObject(mark.value)) return undefined;
  const { into, made_ms: madeMs, actor, provenance } = mark.value;
  const isWhole = typeof into === 'string' && isAbsolute(into) && typeof madeMs === 'number';
  if (!isWhole || typeof actor !== 'string' || !isJsonObject(provenance)) return undefined;
  return { into, made_ms: madeMs, actor, provenance };
}

function tellOf(
  appender: Pick<Appender, 'append'>,
  { into, made_ms: ts_ms, actor, provenance }: BackingUp,
  { events, chain, bytes }: BackupManifest,
): ReturnType<Appender['append']> {
  const payload: JsonObject = { path: into, events, chain, bytes };
  const dedupe_key = `backup/${into}/${ts_ms}`;
  return appender.append([
    { ts_ms, actor, provenance, kind: 'backup.created', scope: 'operator', payload, dedupe_key },
  ]);
}
