/**
 * What is done to a state directory that nobody else has: restoring a backup, bringing an older ledger up to date.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Failure, type Result, err, ok } from '@runloop/core';
import { loadBlake3 } from '../blake3.ts';
import { type KbDeps, type KbOptions, openKb } from '../kb.ts';
import { takeLock } from '../ledger/lock.ts';
import { storageFailure } from '../storage-failure.ts';
import type { Rebuilt } from '../upkeep.ts';
import type { BackupManifest } from './manifest.ts';
import { restoringHere, stageRestore } from './restore.ts';

export type Restored = BackupManifest & {
  /** Where what was replaced is kept. */
  readonly before: string;
  readonly rebuilt: Pick<Rebuilt, 'events' | 'equal'>;
};

/** Puts the backup in the place of what is there; `Busy` where a daemon runs. */
export async function restoreKb(
  deps: KbDeps,
  options: KbOptions,
  from: string,
  pid: number,
): Promise<Result<Restored, Failure>> {
  const { rootDir } = options;
  const blake3 = await loadBlake3();
  const staged = ((): Result<BackupManifest, Failure> => {
    try {
      mkdirSync(join(rootDir, 'blobs'), { recursive: true, mode: 0o700 });
    } catch (error) {
      return err(storageFailure(error, rootDir));
    }
    const lock = takeLock(rootDir, pid);
    if (!lock.ok) return lock;
    using _ = lock.value;
    return stageRestore(rootDir, from, { blake3, nowMs: deps.clock.nowMs() });
  })();
  if (!staged.ok) return staged;
  const before = restoringHere(rootDir)?.before ?? '';
  const rebuilt = await reopened(deps, options);
  return rebuilt.ok ? ok({ ...staged.value, before, rebuilt: rebuilt.value }) : rebuilt;
}

/** Opens the directory, which migrates the ledger, and makes the views anew; `Busy` where a daemon runs. */
export async function reopened(deps: KbDeps, options: KbOptions): Promise<Result<Rebuilt, Failure>> {
  const kb = await openKb(deps, options);
  if (!kb.ok) return kb;
  await using opened = kb.value;
  return opened.rebuild();
}
