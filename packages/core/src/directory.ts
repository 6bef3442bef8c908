/**
 * Makes a directory and those above it: one of the few files that touch the disk.
 *
 * One level at a time, not by Node's recursive mkdir, which never returns on file systems such as /proc.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { failure, type Failure } from './errors.ts';
import { err, ok, type Result } from './result.ts';

/** The directory exists afterwards, or the failure says what stands in the way; `mode` is given to those that are made. */
export function makeDirectory(path: string, mode = 0o700): Result<void, Failure> {
  const missing: string[] = [];
  let at = path;
  while (!existsSync(at) && at !== dirname(at)) {
    missing.unshift(at);
    at = dirname(at);
  }
  try {
    if (!statSync(at).isDirectory()) return err(failure('StorageFailed', `${at} is not a directory`));
    for (const directory of missing) mkdirSync(directory, { mode });
    return ok(undefined);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    if (code === 'EEXIST' && existsSync(path)) return ok(undefined);
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    return err(failure(full ? 'StorageFull' : 'StorageReadOnly', `the directory ${path} cannot be made: ${code}`));
  }
}
