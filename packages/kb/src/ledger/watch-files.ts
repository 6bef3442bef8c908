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
      return gone(
        log,
        isSaved(db)
          ? 'Stop the daemon and start it again: what was acknowledged stands in the ledger itself.'
          : 'Make room on the disk and end what else reads the ledger, before you stop the daemon: it alone has what was in the log.',
      );
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

/** Puts what stands in a log that has no name any more into the ledger itself; false where not all of it could be. */
function isSaved(db: Database.Database): boolean {
  try {
    const [told] = db.pragma('wal_checkpoint(PASSIVE)') as readonly {
      readonly log: number;
      readonly checkpointed: number;
    }[];
    return told !== undefined && told.log === told.checkpointed;
  } catch {
    // The next append tries again.
    return false;
  }
}
