/**
 * Whether the ledger's file and its log are still those that the writer has open: what is written into one that has no name
 * any more is gone with the process.
 */
import type Database from 'better-sqlite3';
import { type Failure, failure } from '@runloop/core';
import { inodeOf } from '../inode.ts';

export interface WatchedFiles {
  /** Which of them is gone, if one is; what was acknowledged is then in the ledger's file as far as it can be. */
  lost(): Failure | undefined;
  /** A transaction has ended: the log is there from the first one on. */
  written(): void;
}

export function watchFiles(db: Database.Database): WatchedFiles {
  const inode = inodeOf(db.name);
  const log = `${db.name}-wal`;
  let logInode: number | undefined;
  return {
    lost() {
      if (inodeOf(db.name) !== inode)
        return gone(
          db.name,
          'Stop the daemon, put the file back or restore a backup (rlp kb restore), and start it again.',
        );
      if (logInode === undefined || inodeOf(log) === logInode) return undefined;
      saveLog(db);
      return gone(log, 'Stop the daemon and start it again: what was acknowledged stands in the ledger itself.');
    },
    written() {
      logInode ??= inodeOf(log);
    },
  };
}

function gone(path: string, hint: string): Failure {
  return failure('StorageFailed', `${path} was removed or replaced while it was in use: nothing more is written`, {
    hint,
  });
}

/** What stands in a log that has no name any more, put into the ledger itself: it was acknowledged. */
function saveLog(db: Database.Database): void {
  try {
    db.pragma('wal_checkpoint(PASSIVE)');
  } catch {
    // The next append tries again.
  }
}
