/**
 * Erasing from the ledger: payloads and blobs go in one transaction with the event that lists them.
 */
import type Database from 'better-sqlite3';
import { needles } from '../forget/needles.ts';
import { hasBlobs } from './ledger-blobs.ts';
import type { ForgetPlan } from '../forget/plan.ts';

export type Erasure = Pick<ForgetPlan, 'entity' | 'values' | 'events' | 'blobs' | 'last'>;

/** Erases, and has `list` write the event that says so; false where events after the plan hold the entity too. */
export function createErase(db: Database.Database): (erasure: Erasure, list: () => void) => boolean {
  const erasePayload = db.prepare('UPDATE events SET payload_json = NULL, payload_salt = NULL WHERE id = ?');
  const deleteBlob = db.prepare('DELETE FROM blobs WHERE digest = ?');
  const newer = db
    .prepare<[number], string>('SELECT payload_json FROM events WHERE id > ? AND payload_json IS NOT NULL')
    .pluck();
  const blob = hasBlobs(db)
    ? db.prepare<[Buffer], Buffer>('SELECT bytes FROM blobs WHERE digest = ?').pluck()
    : undefined;
  return ({ entity, values, events, blobs, last }, list) => {
    const sought = needles(entity, values);
    const going = new Set(blobs);
    const holds = (digest: string): boolean =>
      going.has(digest) || sought.has(blob?.get(Buffer.from(digest, 'hex'))?.toString() ?? '');
    const isNews = (payload: string): boolean =>
      sought.has(payload) || (payload.match(/[0-9a-f]{64}/g)?.some(holds) ?? false);
    if (newer.all(last).some(isNews)) return false;
    db.transaction(() => {
      for (const id of events) erasePayload.run(id);
      for (const digest of blobs) deleteBlob.run(Buffer.from(digest, 'hex'));
      list();
    }).immediate();
    return true;
  };
}
