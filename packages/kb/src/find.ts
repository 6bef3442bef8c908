/**
 * Rows of one kind, for agents and people: by key, words, time and edge. Parameterised; nobody's SQL comes here.
 *
 * Whoever may not see addresses is answered with redacted rows, and only redacted text is compared with what is asked for:
 * an address cannot be guessed by asking.
 */
import type Database from 'better-sqlite3';
import { searchTermsMax } from './limits.ts';
import { bounded, type Row } from './reads.ts';
import { redactText } from './redact.ts';

export type EntityKind = 'contact' | 'fact' | 'edge' | 'note' | 'artifact';
export type FindQuery = {
  readonly kind: EntityKind;
  /** Contact id, digest, subject or noted entity, exactly. */
  readonly key?: string | undefined;
  /** Of an edge its relation, of a fact its predicate, exactly. */
  readonly relation?: string | undefined;
  /** Of an edge where it leads, exactly. */
  readonly object?: string | undefined;
  /** When it was recorded, or a note written: from here, and before there. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Facts and edges as they were believed then; now where left out. */
  readonly asOfMs?: number | undefined;
  /** Words that the row's text must hold. */
  readonly text?: string | undefined;
  readonly max: number;
  /** Whether e-mail addresses are shown. */
  readonly raw?: boolean | undefined;
};

type Find = {
  readonly columns: string;
  readonly redacted: string;
  readonly from: string;
  readonly key: string;
  readonly body: string;
  readonly relation?: string;
  readonly object?: string;
  readonly time?: string;
};

const finds: { readonly [kind in EntityKind]: Find } = {
  contact: {
    columns: 'contact, name, email, org, notes, confidence, trust, source_event',
    redacted: 'contact, name, email_redacted AS email, org, notes_redacted AS notes, confidence, trust, source_event',
    from: 'contacts',
    key: 'contact',
    body: `contact || ' ' || coalesce(name, '') || ' ' || coalesce(org, '')`,
  },
  fact: {
    columns: '*',
    redacted: '*',
    from: 'facts',
    key: 'subject',
    body: `subject || ' ' || predicate || ' ' || object_json`,
    relation: 'predicate',
    time: 'recorded_from',
  },
  edge: {
    columns: '*',
    redacted: '*',
    from: 'edges',
    key: 'subject',
    body: `subject || ' ' || relation || ' ' || object`,
    relation: 'relation',
    object: 'object',
    time: 'recorded_from',
  },
  note: {
    columns: 'id, entity, text, ts_ms, source_event',
    redacted: 'id, entity, text_redacted AS text, ts_ms, source_event',
    from: 'notes',
    key: 'entity',
    body: 'text',
    time: 'ts_ms',
  },
  artifact: {
    columns: '*',
    redacted: '*',
    from: 'artifacts',
    key: 'digest',
    body: `digest || ' ' || coalesce(type, '') || ' ' || node || ' ' || port`,
    time: 'ts_ms',
  },
};

/** Registers what finding needs on the connection to the views. */
export function prepareFind(db: Database.Database): void {
  db.function('redacted', { deterministic: true }, (text: unknown) =>
    typeof text === 'string' ? redactText(text) : text,
  );
}

/** The newest first. Text matches without regard to case, every word somewhere. `asOf`: the last event of `asOfMs`. */
export function find(db: Database.Database, q: FindQuery, asOf: number | undefined, redact: (row: Row) => Row): Row[] {
  const { columns, redacted, from, ...find } = finds[q.kind];
  const seen = (expression: string): string => (q.raw === true ? expression : `redacted(${expression})`);
  const where: string[] = [];
  const given: (string | number)[] = [];
  const must = (condition: string, ...values: (string | number)[]): void => {
    where.push(condition);
    given.push(...values);
  };
  const equal = (column: string | undefined, value: string | undefined): void => {
    if (value === undefined) return;
    if (column === undefined) must('0');
    else must(`${value.includes('@') ? seen(column) : column} = ?`, value);
  };
  equal(find.key, q.key);
  equal(find.relation, q.relation);
  equal(find.object, q.object);
  if (q.kind === 'fact' || q.kind === 'edge') {
    if (asOf === undefined) must('recorded_to IS NULL');
    // What was closed has the event that closed it as its source.
    else must('id <= ? AND (recorded_to IS NULL OR source_event > ?)', asOf, asOf);
  }
  if (q.sinceMs !== undefined)
    must(find.time === undefined ? '0' : `${find.time} >= ?`, ...(find.time === undefined ? [] : [q.sinceMs]));
  if (q.untilMs !== undefined)
    must(find.time === undefined ? '0' : `${find.time} < ?`, ...(find.time === undefined ? [] : [q.untilMs]));
  for (const word of wordsIn(q.text ?? '')) must(`instr(lower(${seen(find.body)}), ?) > 0`, word);
  const rows = db
    .prepare<(string | number)[], Row>(
      `SELECT ${q.raw === true ? columns : redacted} FROM ${from} ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''} ORDER BY source_event DESC LIMIT ?`,
    )
    .all(...given, bounded(q.max));
  return q.raw === true ? rows : rows.map(redact);
}

function wordsIn(text: string): readonly string[] {
  const words = text.toLowerCase().split(/\s+/);
  return words.filter((word) => word !== '').slice(0, searchTermsMax);
}
