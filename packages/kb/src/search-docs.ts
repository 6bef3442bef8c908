/**
 * The text that search looks in: one document an entity, as it is and as those see it who may not see addresses.
 */
import type Database from 'better-sqlite3';
import { searchCharsMax } from './limits.ts';
import { redactText } from './redact.ts';

export type SearchDocs = {
  /** Sets the entity's document; its row keeps the id of the event that first made it. */
  put(entity: string, kind: string, ts_ms: number, event: number, parts: readonly (string | null)[]): void;
  remove(entity: string): void;
};

export function createSearchDocs(db: Database.Database): SearchDocs {
  const find = db.prepare<[string], number>('SELECT id FROM search_docs WHERE entity = ?').pluck();
  const add = db.prepare('INSERT INTO search_docs VALUES (?, ?, ?, ?, ?)');
  const touch = db.prepare('UPDATE search_docs SET ts_ms = ?, source_event = ? WHERE id = ?');
  const forget = db.prepare('DELETE FROM search_docs WHERE id = ?');
  const index = db.prepare('INSERT INTO search_fts(rowid, body, body_redacted) VALUES (?, ?, ?)');
  const unindex = db.prepare('DELETE FROM search_fts WHERE rowid = ?');
  return {
    put(entity, kind, ts_ms, event, parts) {
      const body = parts
        .filter((part) => part !== null)
        .join('\n')
        .slice(0, searchCharsMax);
      const id = find.get(entity);
      if (id === undefined) add.run(event, entity, kind, ts_ms, event);
      else {
        touch.run(ts_ms, event, id);
        unindex.run(id);
      }
      index.run(id ?? event, body, redactText(body));
    },
    remove(entity) {
      const id = find.get(entity);
      if (id === undefined) return;
      unindex.run(id);
      forget.run(id);
    },
  };
}
