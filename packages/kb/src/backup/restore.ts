/**
 * Puts a backup in the place of what is there. Needs the lock of the state directory: no daemon runs.
 *
 * 1. The backup is copied first, plain files alone, and the copy's chain is checked before anything is touched; what is
 *    replaced is kept beside it, in `before-<time>`.
 * 2. A mark is on disk from when the copy is whole until all is in place and the restored ledger has said so
 *    (`ledger.restored`): opening the directory finishes what was cut off.
 */
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Failure, type Result, err, failure, ok, parseJson } from '@runloop/core';
import type { Blake3 } from '../blake3.ts';
import { storageFailure } from '../storage-failure.ts';
import { verifyLedger } from '../ledger/verify.ts';
import { copyBlobFiles, copyDurably } from './copy-files.ts';
import { type BackupManifest, backupFiles, readManifest } from './manifest.ts';

const markOf = (rootDir: string): string => join(rootDir, 'restoring.json');
const incomingOf = (rootDir: string): string => join(rootDir, 'restoring');
/** The ledger's journal belongs to what is replaced; views grow anew. */
const replaced = [...backupFiles, 'events.sqlite-wal', 'events.sqlite-shm'];
const dropped = ['pog.sqlite', 'pog.sqlite-wal', 'pog.sqlite-shm', 'forgetting'];

export type Restoring = {
  /** Where the replaced files are kept. */
  readonly before: string;
  readonly from: string;
  readonly events: number;
};

/** Checks the backup and lays its copy ready, with the mark: the next opening of the directory puts it in place. */
export function stageRestore(
  rootDir: string,
  from: string,
  { blake3, nowMs }: { readonly blake3: Blake3; readonly nowMs: number },
): Result<BackupManifest, Failure> {
  try {
    const manifest = readManifest(from);
    if (!manifest.ok) return manifest;
    const incoming = incomingOf(rootDir);
    rmSync(incoming, { recursive: true, force: true });
    const copied = copyBackup(from, incoming);
    const sound = copied.ok ? checkBackup(from, incoming, manifest.value, blake3) : copied;
    if (!sound.ok) {
      rmSync(incoming, { recursive: true, force: true });
      return sound;
    }
    const before = unusedName(join(rootDir, `before-${new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '')}`));
    const mark: Restoring = { before, from, events: manifest.value.events };
    writeFileSync(markOf(rootDir), JSON.stringify(mark), { mode: 0o600, flush: true });
    return manifest;
  } catch (error) {
    if (restoringHere(rootDir) === undefined) rmSync(incomingOf(rootDir), { recursive: true, force: true });
    return err(storageFailure(error, rootDir));
  }
}

/** What is being restored here, or nothing. */
export function restoringHere(rootDir: string): Restoring | undefined {
  const mark = existsSync(markOf(rootDir)) ? parseJson(readFileSync(markOf(rootDir), 'utf8')) : undefined;
  // One that was cut off while it was written: nothing has been moved yet.
  return mark?.ok === true ? (mark.value as Restoring) : undefined;
}

/** Moves what is still to be moved: each step may have happened already. Under the lock, before the ledger is opened. */
export function placeRestored(rootDir: string): Result<void, Failure> {
  try {
    const restoring = restoringHere(rootDir);
    if (restoring === undefined) {
      // A copy that was cut off before its mark.
      rmSync(incomingOf(rootDir), { recursive: true, force: true });
      return ok(undefined);
    }
    const { before } = restoring;
    mkdirSync(before, { recursive: true, mode: 0o700 });
    for (const name of replaced) {
      const [here, next, moved] = [join(rootDir, name), join(incomingOf(rootDir), name), join(before, `${name}.moved`)];
      if (existsSync(here) && !existsSync(moved)) renameSync(here, join(before, name));
      writeFileSync(moved, '', { flush: true });
      if (existsSync(next)) renameSync(next, here);
    }
    for (const name of dropped) rmSync(join(rootDir, name), { force: true });
    return ok(undefined);
  } catch (error) {
    return err(storageFailure(error, rootDir));
  }
}

/** The restored ledger has said what it is: the work is done. */
export function endRestoring(rootDir: string, { before }: Restoring): Result<void, Failure> {
  try {
    rmSync(markOf(rootDir), { force: true });
    rmSync(incomingOf(rootDir), { recursive: true, force: true });
    for (const name of replaced) rmSync(join(before, `${name}.moved`), { force: true });
    return ok(undefined);
  } catch (error) {
    return err(storageFailure(error, rootDir));
  }
}

/** Two in one second keep what each replaced. */
function unusedName(path: string): string {
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? path : `${path}-${n}`;
    if (!existsSync(name)) return name;
  }
}

/** Plain files alone: a link in a backup would have the ledger, or what is written later, live elsewhere. */
function copyBackup(from: string, into: string): Result<void, Failure> {
  mkdirSync(into, { recursive: true, mode: 0o700 });
  for (const name of backupFiles) {
    const path = join(from, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) continue;
    if (name === 'blobs' ? !found.isDirectory() : !found.isFile())
      return err(
        failure('StorageCorrupt', `${path} is neither a plain file nor a plain folder`, {
          hint: 'put the file itself in its place, or take another backup',
        }),
      );
    if (name === 'blobs') copyBlobFiles(path, join(into, name));
    else copyDurably(path, join(into, name));
  }
  return ok(undefined);
}

function checkBackup(
  from: string,
  copy: string,
  { events, chain }: BackupManifest,
  blake3: Blake3,
): Result<void, Failure> {
  const checked = verifyLedger({ rootDir: copy, eventsDb: join(copy, 'events.sqlite') }, {}, blake3);
  if (!checked.ok) return checked;
  const { first_bad: row, bad_blob: blob, bad_head: head } = checked.value;
  const why =
    row !== undefined
      ? `row ${row.id}: ${row.why}`
      : blob !== undefined
        ? `blob ${blob.digest} does not hold what its name says`
        : head !== undefined
          ? `its head ${head.id}: ${head.why}`
          : checked.value.events !== events || checked.value.head !== chain
            ? 'its ledger is not the one that it says it holds'
            : undefined;
  if (why !== undefined)
    return err(failure('StorageCorrupt', `the backup ${from} was changed: ${why}`, { hint: 'take another backup' }));
  return ok(undefined);
}
