/**
 * What a backup says of itself. A folder without it is none: it is written last.
 */
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Failure, type Result, err, failure, isJsonObject, ok, parseJson } from '@runloop/core';

export type BackupManifest = {
  readonly version: 1;
  readonly made_ms: number;
  readonly ledger_version: number;
  /** The last event, and the chain value at it. */
  readonly events: number;
  readonly chain: string;
  readonly blobs: number;
  readonly bytes: number;
};

const manifestBytesMax = 64 * 1024;
export const manifestFile = 'backup.json';
/** What else lies in a backup, and in the directory that it was made from. */
export const backupFiles = ['events.sqlite', 'heads.ndjson', 'archive.sqlite', 'blobs'] as const;

export function readManifest(dir: string): Result<BackupManifest, Failure> {
  const path = join(dir, manifestFile);
  if (!existsSync(path))
    return err(
      failure('NotFound', `${dir} holds no whole backup: there is no ${manifestFile}`, {
        hint: 'make one: rlp kb backup',
      }),
    );
  const found = statSync(path);
  const parsed = found.isFile() && found.size <= manifestBytesMax ? parseJson(readFileSync(path, 'utf8')) : undefined;
  const value = parsed?.ok === true ? parsed.value : undefined;
  if (!isJsonObject(value) || typeof value['events'] !== 'number' || typeof value['chain'] !== 'string')
    return err(failure('StorageCorrupt', `${path} is not what a backup writes`));
  if (value['version'] !== 1)
    return err(
      failure('NewerVersion', `${dir} is a backup of version ${String(value['version'])}, this program knows 1`),
    );
  return ok(value as unknown as BackupManifest);
}

/** Removes what a backup writes, with what SQLite writes beside it, and nothing else that lies there. */
export function removeBackup(dir: string): void {
  for (const name of [...backupFiles, manifestFile])
    for (const suffix of ['', '-journal', '-wal', '-shm'])
      rmSync(join(dir, name + suffix), { recursive: true, force: true });
}
