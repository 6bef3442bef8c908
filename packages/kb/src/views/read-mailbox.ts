/**
 * One agent's messages: those that a call has taken already, or else the oldest that nobody has.
 */
import type Database from 'better-sqlite3';
import { type JsonValue, parseJson } from '@runloop/core';
import { readRowsMax } from '../limits.ts';

export type MailboxQuery = {
  readonly agent: string;
  /** The call that asks: to receive, or to send. */
  readonly call: string;
  readonly max: number;
};
export type MailboxMessage = {
  readonly id: number;
  readonly from: string | null;
  readonly type: string | null;
  readonly value: JsonValue;
  readonly label?: JsonValue;
  readonly ts_ms: number;
};
export type MailboxState = {
  readonly messages: readonly MailboxMessage[];
  /** Whether this very call has received, or sent, before. */
  readonly known: boolean;
  readonly waiting: number;
  readonly waiting_bytes: number;
};

type Stored = {
  readonly id: number;
  readonly sender: string | null;
  readonly type: string | null;
  readonly value_json: string | null;
  readonly label_json: string | null;
  readonly ts_ms: number;
};

export function readMailbox(db: Database.Database, { agent, call, max }: MailboxQuery): MailboxState {
  const columns = 'SELECT id, sender, type, value_json, label_json, ts_ms FROM mailbox';
  const taken = db
    .prepare<[string, string], Stored>(`${columns} WHERE recipient = ? AND received_by = ? ORDER BY id`)
    .all(agent, call);
  const sent = db.prepare('SELECT 1 FROM mailbox WHERE recipient = ? AND call = ?').pluck().get(agent, call) === 1;
  const rows =
    taken.length > 0
      ? taken
      : db
          .prepare<[string, number], Stored>(
            `${columns} WHERE recipient = ? AND received_by IS NULL ORDER BY id LIMIT ?`,
          )
          .all(agent, Math.min(max, readRowsMax));
  const unread = db
    .prepare<[string], { n: number; bytes: number | null }>(
      'SELECT count(*) AS n, sum(bytes) AS bytes FROM mailbox WHERE recipient = ? AND received_by IS NULL',
    )
    .get(agent);
  return {
    messages: rows.map(messageOf),
    known: taken.length > 0 || sent,
    waiting: unread?.n ?? 0,
    waiting_bytes: unread?.bytes ?? 0,
  };
}

function messageOf({ id, sender, type, value_json: value, label_json: label, ts_ms }: Stored): MailboxMessage {
  return {
    id,
    from: sender,
    type,
    value: read(value) ?? null,
    ...(label === null ? {} : { label: read(label) ?? null }),
    ts_ms,
  };
}

function read(text: string | null): JsonValue | undefined {
  const parsed = text === null ? undefined : parseJson(text);
  return parsed?.ok === true ? parsed.value : undefined;
}
