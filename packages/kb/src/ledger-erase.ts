/**
 * Erasing from the ledger: payloads and blobs go in one transaction with the event that lists them.
 */
import type Database from 'better-sqlite3';
import { needles } from './forget/needles.ts';
import type { ForgetPlan } from './forget/plan.ts';

export type Erasure = Pick<ForgetPlan, 'entity' | 'values' | 'events' | 'blobs' | 'last'>;

/** Erases, and has `list` write the event that says so; false where events after the plan hold the entity too. */
export function createErase(db: Database.Database): (erasure: Erasure, list: () => void) => boolean {
  const erasePayload = db.prepare('UPDATE events SET payload_json = NULL, payload_salt = NULL WHERE id = ?');
  const deleteBlob = db.prepare('DELETE FROM blobs WHERE digest = ?');
  const newer = db
    .prepare<[number], string>('SELECT payload_json FROM events WHERE id > ? AND payload_json IS NOT NULL')
    .pluck();
  return ({ entity, values, events, blobs, last }, list) => {
    const sought = needles(entity, values);
    if (newer.all(last).some((payload) => sought.has(payload))) return false;
    db.transaction(() => {
      for (const id of events) erasePayload.run(id);
      for (const digest of blobs) deleteBlob.run(Buffer.from(digest, 'hex'));
      list();
    }).immediate();
    return true;
  };
}
