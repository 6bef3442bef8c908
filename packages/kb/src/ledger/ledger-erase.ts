/**
 * Erasing from the ledger: payloads and blobs go in one transaction with the event that lists them.
 */
import type Database from 'better-sqlite3';
import { join } from 'node:path';
import { filesHolding } from '../forget/files.ts';
import { needles } from '../forget/needles.ts';
import type { ForgetPlan, PlannedForget } from '../forget/plan.ts';
import { blobFiles } from './blob-files.ts';
import { digestsIn, hasBlobs } from './ledger-blobs.ts';

export type Erasure = Pick<ForgetPlan, 'entity' | 'values' | 'events' | 'blobs' | 'files' | 'archived' | 'last'> &
  Pick<PlannedForget, 'seen'>;

/** Erases, and has `list` write the event that says so; false where events or files after the plan hold the entity too. */
export function createErase(db: Database.Database): (rootDir: string, erasure: Erasure, list: () => void) => boolean {
  const erasePayload = db.prepare('UPDATE events SET payload_json = NULL, payload_salt = NULL WHERE id = ?');
  const deleteBlob = db.prepare('DELETE FROM blobs WHERE digest = ?');
  const newer = db
    .prepare<[number], string>('SELECT payload_json FROM events WHERE id > ? AND payload_json IS NOT NULL')
    .pluck();
  const blob = hasBlobs(db)
    ? db.prepare<[Buffer], Buffer>('SELECT bytes FROM blobs WHERE digest = ?').pluck()
    : undefined;
  return (rootDir, { entity, values, events, blobs, files, archived, last, seen }, list) => {
    const blobsDir = join(rootDir, 'blobs');
    const sought = needles(entity, values);
    const going = new Set([...blobs, ...files, ...archived]);
    const holds = (digest: string): boolean =>
      going.has(digest) || sought.has(blob?.get(Buffer.from(digest, 'hex'))?.toString() ?? '');
    const isNews = (payload: string): boolean => sought.has(payload) || digestsIn(payload).some(holds);
    if (newer.all(last).some(isNews)) return false;
    const known = new Set(seen);
    const since = blobFiles(blobsDir).filter((digest) => !known.has(digest));
    if (filesHolding(blobsDir, since, sought).size > 0) return false;
    db.transaction(() => {
      for (const id of events) erasePayload.run(id);
      for (const digest of blobs) deleteBlob.run(Buffer.from(digest, 'hex'));
      list();
    }).immediate();
    return true;
  };
}
