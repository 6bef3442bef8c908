/**
 * Messages between agents: what was sent, and which call of the receiver has taken it.
 */
import type Database from 'better-sqlite3';
import type { JsonValue } from '@runloop/core';
import { integer, json, type Projection, text } from './projection.ts';

export function projectMailbox(db: Database.Database): Projection {
  const add = db.prepare('INSERT INTO mailbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)');
  const take = db.prepare(
    'UPDATE mailbox SET received_by = ?, source_event = ? WHERE id = ? AND recipient = ? AND received_by IS NULL',
  );
  return {
    'mailbox.sent': ({ id, ts_ms, payload }) => {
      const to = text(payload, 'to');
      if (to === null) return;
      const [from, type, call] = [text(payload, 'from'), text(payload, 'type'), text(payload, 'call')];
      const label = json(payload, 'label');
      add.run(id, to, from, type, json(payload, 'value'), label, integer(payload, 'bytes') ?? 0, call, ts_ms, id);
    },
    'mailbox.received': ({ id, payload }) => {
      const [agent, call, messages] = [text(payload, 'agent'), text(payload, 'call'), payload['messages']];
      for (const message of Array.isArray(messages) ? (messages as readonly JsonValue[]) : []) {
        if (typeof message === 'number') take.run(call, id, message, agent);
      }
    },
  };
}
