/**
 * The texts that search looks in: one document for each version of an entity, as it is and as those see it who may not see
 * addresses.
 *
 * 1. A version is closed, never changed: a search as of a past time finds what was believed then.
 * 2. Vectors are no part of this: they are made later, by the search thread, and found by the BLAKE3 of the text.
 * 3. `confirmed` is a version that a person has written: its event's actor is an operator, not an agent or a program.
 */
import type Database from 'better-sqlite3';
import type { Blake3 } from './blake3.ts';
import { searchCharsMax } from './limits.ts';
import type { Projected } from './projection.ts';
import { redactText } from './redact.ts';

export type SearchDocs = {
  /** Sets what the entity says from this event on; `saidMs` is when it was said, where that is not when it was recorded. */
  put(event: Projected, entity: string, kind: string, parts: readonly (string | null)[], saidMs?: number): void;
  remove(event: Projected, entity: string): void;
};

export function createSearchDocs(db: Database.Database, blake3: Blake3): SearchDocs {
  const last = db.prepare<[string], { id: number; closed_event: number | null }>(
    'SELECT id, closed_event FROM search_docs WHERE entity = ? ORDER BY id DESC LIMIT 1',
  );
  const add = db.prepare('INSERT INTO search_docs VALUES (NULL, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?, ?)');
  const close = db.prepare('UPDATE search_docs SET recorded_to = ?, closed_event = ? WHERE id = ?');
  const index = db.prepare('INSERT INTO search_fts(rowid, body, body_redacted) VALUES (?, ?, ?)');
  const remove = ({ id, ts_ms }: Projected, entity: string): void => {
    const known = last.get(entity);
    if (known?.closed_event === null) close.run(ts_ms, id, known.id);
  };
  return {
    put(event, entity, kind, parts, saidMs = event.ts_ms) {
      remove(event, entity);
      const body = parts
        .filter((part) => part !== null)
        .join('\n')
        .slice(0, searchCharsMax);
      const redacted = redactText(body);
      const digest = blake3.digest(body);
      const { lastInsertRowid } = add.run(
        entity,
        kind,
        event.actor,
        isPerson(event.actor) ? 1 : 0,
        saidMs,
        event.ts_ms,
        event.id,
        digest,
        redacted === body ? digest : blake3.digest(redacted),
      );
      index.run(lastInsertRowid, body, redacted);
    },
    remove,
  };
}

function isPerson(actor: string): boolean {
  return actor === 'operator' || actor.startsWith('operator:');
}
