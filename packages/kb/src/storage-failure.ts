/**
 * SQLite's and the file system's errors in our words: full, read-only, corrupt, held by another, or failed.
 */
import { type Failure, failure } from '@runloop/core';

/** The failure that `error` is; a defect of ours (a TypeError, say) is thrown on. */
export function storageFailure(error: unknown, where: string): Failure {
  const code = codeOf(error);
  if (code === undefined) throw error;
  const text = `${placeOf(error) ?? where}: ${error instanceof Error ? error.message : code} (${code})`;
  if (/^SQLITE_FULL|^ENOSPC|^EDQUOT|^EFBIG/.test(code)) {
    return failure('StorageFull', text, {
      hint: 'Free some space, then try again; nothing that was acknowledged is lost.',
    });
  }
  if (/^SQLITE_READONLY|^EROFS|^EACCES|^EPERM|^SQLITE_CANTOPEN|^SQLITE_PERM/.test(code)) {
    return failure('StorageReadOnly', text, {
      hint: 'See that the file is there, and that this user may write it and its folder.',
    });
  }
  if (/^SQLITE_CORRUPT|^SQLITE_NOTADB|^SQLITE_IOERR_SHORT_READ|^SQLITE_IOERR_DATA/.test(code)) {
    return failure('StorageCorrupt', text, {
      hint: 'Run `rlp kb verify`; restore the last backup or rebuild the views.',
    });
  }
  if (/^SQLITE_BUSY|^SQLITE_LOCKED/.test(code)) {
    return failure('Busy', text, { hint: 'Another process holds the database; try again when it has finished.' });
  }
  if (/^E(?:NOTDIR|ISDIR|NOENT|EXIST|NAMETOOLONG|LOOP)$/.test(code)) {
    return failure('StorageFailed', text, { hint: 'Look at what stands there, and above it; or name another place.' });
  }
  return failure('StorageFailed', text, { hint: 'Look at the disk and at the log of the kernel.' });
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return /^SQLITE_|^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

/** Whether the file is no database, or a damaged one. */
export function isBroken(error: unknown): boolean {
  return /^SQLITE_(?:NOTADB|CORRUPT)/.test(codeOf(error) ?? '');
}

const places = new WeakMap<object, string>();

/** The same error, which names this file wherever it is caught. */
export function ofFile(error: unknown, path: string): unknown {
  if (error instanceof Error) places.set(error, path);
  return error;
}

function placeOf(error: unknown): string | undefined {
  return error instanceof Error ? places.get(error) : undefined;
}
