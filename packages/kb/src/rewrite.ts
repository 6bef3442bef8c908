/**
 * Leaves nothing of what was deleted in a database's files.
 */
import Database from 'better-sqlite3';

/** Rewrites the file and empties its write-ahead log. */
export function rewrite(db: Database.Database): void {
  try {
    db.exec('VACUUM');
  } finally {
    // After one that the disk had no room for, too: the log has grown by what it wrote.
    emptyLog(db);
  }
}

/** SQLite only answers that somebody reads from the log: that it was not emptied is an error here. */
export function emptyLog(db: Database.Database): void {
  const [told] = db.pragma('wal_checkpoint(TRUNCATE)') as readonly { readonly busy: number }[];
  if (told?.busy !== 0)
    throw new Database.SqliteError(
      `somebody reads ${db.name}, and its log still holds what was deleted`,
      'SQLITE_BUSY',
    );
}
