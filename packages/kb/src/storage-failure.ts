/**
 * SQLite's and the file system's errors in our words: full, read-only, corrupt, held by another, or failed.
 */
import { type Failure, failure } from '@runloop/core';

/** The failure that `error` is; a defect of ours (a TypeError, say) is thrown on. */
export function storageFailure(error: unknown, where: string): Failure {
  const code = codeOf(error);
  if (code === undefined) throw error;
  const text = `${where}: ${error instanceof Error ? error.message : code} (${code})`;
  if (/^SQLITE_FULL|^ENOSPC|^EDQUOT|^EFBIG/.test(code)) {
    return failure('StorageFull', text, {
      hint: 'Free some space, then try again; nothing that was acknowledged is lost.',
    });
  }
  if (/^SQLITE_READONLY|^EROFS|^EACCES|^EPERM|^SQLITE_CANTOPEN|^SQLITE_PERM/.test(code)) {
    return failure('StorageReadOnly', text, { hint: 'Make the state directory writable for this user.' });
  }
  if (/^SQLITE_CORRUPT|^SQLITE_NOTADB|^SQLITE_IOERR_SHORT_READ|^SQLITE_IOERR_DATA/.test(code)) {
    return failure('StorageCorrupt', text, {
      hint: 'Run `rlp kb verify`; restore the last backup or rebuild the views.',
    });
  }
  if (/^SQLITE_BUSY|^SQLITE_LOCKED/.test(code)) {
    return failure('Busy', text, { hint: 'Another process holds the database; try again when it has finished.' });
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
