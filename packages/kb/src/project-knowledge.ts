/**
 * Contacts, accounts, facts, edges and notes: what is known.
 *
 * Facts and edges are bitemporal: asserting what contradicts closes the older row (`recorded_to`) and keeps it.
 */
import type Database from 'better-sqlite3';
import type { JsonObject } from '@runloop/core';
import type { Blake3 } from './blake3.ts';
import { type Projected, type Projection, integer, json, real, shown, text } from './projection.ts';
import { redactText } from './redact.ts';
import { createSearchDocs } from './search-docs.ts';

const redacted = (value: string | null): string | null => (value === null ? null : redactText(value));

export function projectContacts(db: Database.Database, blake3: Blake3): Projection {
  const docs = createSearchDocs(db, blake3);
  const put = db.prepare(`INSERT INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(contact) DO UPDATE SET
    name = coalesce(excluded.name, name), email = coalesce(excluded.email, email), email_redacted = coalesce(excluded.email_redacted, email_redacted),
    org = coalesce(excluded.org, org), notes = coalesce(excluded.notes, notes), notes_redacted = coalesce(excluded.notes_redacted, notes_redacted),
    confidence = coalesce(excluded.confidence, confidence), trust = coalesce(excluded.trust, trust), source_event = excluded.source_event`);
  const read = db.prepare<
    [string],
    { name: string | null; email: string | null; org: string | null; notes: string | null }
  >('SELECT name, email, org, notes FROM contacts WHERE contact = ?');
  const remove = db.prepare('DELETE FROM contacts WHERE contact = ?');
  const account = db.prepare('INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?)');
  const history = historyOf(db);
  return {
    'contact.upserted': (event) => {
      const { id, payload } = event;
      const contact = text(payload, 'contact');
      if (contact === null) return;
      const email = text(payload, 'email');
      const notes = text(payload, 'notes');
      put.run(
        contact,
        text(payload, 'name'),
        email,
        redacted(email),
        text(payload, 'org'),
        notes,
        redacted(notes),
        real(payload, 'confidence'),
        text(payload, 'trust'),
        id,
      );
      const row = read.get(contact);
      docs.put(event, contact, 'contact', [
        contact,
        row?.name ?? null,
        row?.email ?? null,
        row?.org ?? null,
        row?.notes ?? null,
      ]);
      history(contact, id);
    },
    'contact.removed': (event) => {
      const { id, payload } = event;
      const contact = text(payload, 'contact');
      if (contact === null) return;
      remove.run(contact);
      docs.remove(event, contact);
      history(contact, id);
    },
    'account.upserted': ({ id, payload }) => {
      const name = text(payload, 'account');
      if (name === null) return;
      account.run(name, text(payload, 'name'), JSON.stringify(payload), id);
      history(name, id);
    },
  };
}

type FactRow = {
  readonly id: number;
  readonly part: number;
  readonly object_json: string;
  readonly confidence: number | null;
  readonly valid_from: number | null;
  readonly valid_to: number | null;
  /** The event that asserted it first. */
  readonly origin: number;
};

/**
 * Who asserts something else about the same subject, predicate and time closes what was believed until then and keeps it;
 * what the older fact says about other times goes on being believed, as further parts of the newer one.
 */
export function projectFacts(db: Database.Database, blake3: Blake3): Projection {
  const docs = createSearchDocs(db, blake3);
  const open = db.prepare<[string, string], FactRow>(
    `SELECT id, part, object_json, confidence, valid_from, valid_to, origin FROM facts
     WHERE subject = ? AND predicate = ? AND recorded_to IS NULL ORDER BY id, part`,
  );
  const add = db.prepare('INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?)');
  const close = db.prepare('UPDATE facts SET recorded_to = ?, source_event = ? WHERE id = ? AND part = ?');
  const goesOn = db.prepare<[number], number>('SELECT 1 FROM facts WHERE origin = ? AND recorded_to IS NULL').pluck();
  const history = historyOf(db);
  const each = (event: Projected, act: (subject: string, predicate: string, object: string | null) => void): void => {
    const subject = text(event.payload, 'subject');
    const predicate = text(event.payload, 'predicate');
    if (subject === null || predicate === null) return;
    history(subject, event.id);
    act(subject, predicate, json(event.payload, 'object'));
  };
  const forgetDocs = (event: Projected, ended: readonly FactRow[]): void => {
    for (const { origin } of ended) if (goesOn.get(origin) === undefined) docs.remove(event, `fact:${origin}`);
  };
  return {
    'fact.asserted': (event) =>
      each(event, (subject, predicate, object) => {
        if (object === null) return;
        const { id, ts_ms, payload } = event;
        const [from, to] = [integer(payload, 'valid_from'), integer(payload, 'valid_to')];
        const known = open.all(subject, predicate);
        if (known.some((row) => row.object_json === object && row.valid_from === from && row.valid_to === to)) return;
        let part = 0;
        const put = (row: Omit<FactRow, 'id' | 'part'>): void => {
          const { object_json: value, confidence, valid_from, valid_to, origin } = row;
          add.run(id, part, subject, predicate, value, confidence, valid_from, valid_to, ts_ms, origin, id);
          part += 1;
        };
        const confidence = real(payload, 'confidence');
        put({ object_json: object, confidence, valid_from: from, valid_to: to, origin: id });
        const ended = known.filter((row) => overlaps(row, from, to));
        for (const row of ended) {
          close.run(ts_ms, id, row.id, row.part);
          if (row.object_json === object) continue;
          if (from !== null && (row.valid_from ?? -Infinity) < from) put({ ...row, valid_to: from });
          if (to !== null && (row.valid_to ?? Infinity) > to) put({ ...row, valid_from: to });
        }
        forgetDocs(event, ended);
        docs.put(event, `fact:${id}`, 'fact', [subject, predicate, shown(payload, 'object')]);
      }),
    'fact.retracted': (event) =>
      each(event, (subject, predicate, object) => {
        const ended = open.all(subject, predicate).filter((row) => object === null || row.object_json === object);
        for (const row of ended) close.run(event.ts_ms, event.id, row.id, row.part);
        forgetDocs(event, ended);
      }),
  };
}

/** Times are half-open; without a bound there is none. */
function overlaps(row: FactRow, from: number | null, to: number | null): boolean {
  return (row.valid_from ?? -Infinity) < (to ?? Infinity) && (from ?? -Infinity) < (row.valid_to ?? Infinity);
}

export function projectEdges(db: Database.Database): Projection {
  const open = db.prepare<[string, string, string], { id: number; valid_from: number | null; valid_to: number | null }>(
    'SELECT id, valid_from, valid_to FROM edges WHERE subject = ? AND relation = ? AND object = ? AND recorded_to IS NULL',
  );
  const add = db.prepare('INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)');
  const close = db.prepare('UPDATE edges SET recorded_to = ?, source_event = ? WHERE id = ?');
  const history = historyOf(db);
  const triple = (payload: JsonObject): readonly [string, string, string] | undefined => {
    const [subject, relation, object] = [text(payload, 'subject'), text(payload, 'relation'), text(payload, 'object')];
    return subject === null || relation === null || object === null ? undefined : [subject, relation, object];
  };
  return {
    'edge.asserted': ({ id, ts_ms, payload }) => {
      const edge = triple(payload);
      if (edge === undefined) return;
      history(edge[0], id);
      history(edge[2], id);
      const [from, to] = [integer(payload, 'valid_from'), integer(payload, 'valid_to')];
      const known = open.get(...edge);
      if (known?.valid_from === from && known.valid_to === to) return;
      // The same edge for another time: what was believed until now is kept.
      if (known !== undefined) close.run(ts_ms, id, known.id);
      add.run(id, ...edge, from, to, ts_ms, id);
    },
    'edge.retracted': ({ id, ts_ms, payload }) => {
      const edge = triple(payload);
      if (edge === undefined) return;
      history(edge[0], id);
      history(edge[2], id);
      const known = open.get(...edge);
      if (known !== undefined) close.run(ts_ms, id, known.id);
    },
  };
}

export function projectNotes(db: Database.Database, blake3: Blake3): Projection {
  const docs = createSearchDocs(db, blake3);
  const add = db.prepare('INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)');
  const history = historyOf(db);
  return {
    'note.created': (event) => {
      const { id, payload } = event;
      const body = text(payload, 'text');
      if (body === null) return;
      // When it was written, where that is known, and not when it was taken in.
      const ts_ms = integer(payload, 'written_ms') ?? event.ts_ms;
      const entity = text(payload, 'entity');
      add.run(id, entity, body, redactText(body), ts_ms, id);
      docs.put(event, `note:${id}`, 'note', [entity, body], ts_ms);
      history(`note:${id}`, id);
      if (entity !== null) history(entity, id);
    },
  };
}

/** Notes that the event speaks of the entity. */
export function historyOf(db: Database.Database): (entity: string, event: number) => void {
  const add = db.prepare('INSERT OR IGNORE INTO entity_history VALUES (?, ?)');
  return (entity, event) => void add.run(entity, event);
}
