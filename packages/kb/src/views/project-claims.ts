/**
 * What each source says last about a field of an entity: where two of them differ, they contradict each other.
 */
import type Database from 'better-sqlite3';
import type { JsonObject } from '@runloop/core';
import { type Projection, integer, json, text } from './projection.ts';

/** Members of a contact that sources may disagree on. */
const contactFields = ['name', 'email', 'org'];

export function projectClaims(db: Database.Database): Projection {
  const put = db.prepare('INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const remove = db.prepare('DELETE FROM claims WHERE entity = ? AND field = ? AND (? IS NULL OR value_json = ?)');
  const removeAll = db.prepare('DELETE FROM claims WHERE entity = ?');
  const pair = (payload: JsonObject): readonly [string, string] | undefined => {
    const [subject, predicate] = [text(payload, 'subject'), text(payload, 'predicate')];
    return subject === null || predicate === null ? undefined : [subject, predicate];
  };
  return {
    'contact.upserted': ({ id, ts_ms, actor, payload }) => {
      const contact = text(payload, 'contact');
      if (contact === null) return;
      for (const field of contactFields) {
        const value = json(payload, field);
        if (value !== null) put.run(contact, field, actor, value, null, null, ts_ms, id);
      }
    },
    'contact.removed': ({ payload }) => void removeAll.run(text(payload, 'contact')),
    'fact.asserted': ({ id, ts_ms, actor, payload }) => {
      const of = pair(payload);
      const value = json(payload, 'object');
      if (of === undefined || value === null) return;
      put.run(...of, actor, value, integer(payload, 'valid_from'), integer(payload, 'valid_to'), ts_ms, id);
    },
    'fact.retracted': ({ payload }) => {
      const of = pair(payload);
      const value = json(payload, 'object');
      if (of !== undefined) remove.run(...of, value, value);
    },
  };
}

export type Contradiction = {
  readonly entity: string;
  readonly field: string;
  /** Each source with what it says last. */
  readonly claims: readonly {
    readonly source: string;
    readonly value: string;
    readonly ts_ms: number;
    readonly source_event: number;
  }[];
};

/** Fields on which sources differ about the same time, the newest first. */
export function readContradictions(db: Database.Database, max: number): readonly Contradiction[] {
  const disputed = db
    .prepare<[number], { entity: string; field: string }>(
      `SELECT a.entity, a.field FROM claims a JOIN claims b ON b.entity = a.entity AND b.field = a.field AND b.source > a.source
       WHERE a.value_json <> b.value_json
         AND coalesce(a.valid_from, -9e15) < coalesce(b.valid_to, 9e15) AND coalesce(b.valid_from, -9e15) < coalesce(a.valid_to, 9e15)
       GROUP BY a.entity, a.field ORDER BY max(max(a.source_event, b.source_event)) DESC LIMIT ?`,
    )
    .all(max);
  const claims = db.prepare<[string, string], Contradiction['claims'][number]>(
    'SELECT source, value_json AS value, ts_ms, source_event FROM claims WHERE entity = ? AND field = ? ORDER BY source_event',
  );
  return disputed.map(({ entity, field }) => ({ entity, field, claims: claims.all(entity, field) }));
}
