/**
 * Why an entity is what it is: the ladder of events that made it, followed to the root; and who set one of its fields.
 *
 * Followed are: evidence and inputs named in provenance, the run and the node an event came from, their model calls.
 * An entity is `contact:…`, `artifact:<digest>`, `run:<trace>`, `event:<id>`, `note:<id>` or any name that facts speak of.
 */
import type Database from 'better-sqlite3';
import { type JsonObject, type JsonValue, digestBytes, isDigest } from '@runloop/core';
import { type EventRow, type StoredEvent, storedColumns, toStored } from '../ledger/event.ts';
import { whyEventsMax } from '../limits.ts';
import { forgottenName } from './project-forgotten.ts';
import { metaOf, shown, text } from './projection.ts';

export type WhyStep = {
  readonly id: number;
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  /** How far below the entity this event stands: 0 speaks of it itself. */
  readonly depth: number;
  /** Why it is here, in a few words. */
  readonly via: string;
  readonly agent?: string;
  readonly model?: string;
  readonly run?: string;
  readonly node?: string;
  readonly evidence: readonly number[];
  readonly summary: string;
};
export type Why = {
  readonly entity: string;
  readonly steps: readonly WhyStep[];
  readonly truncated: boolean;
  /** Each field with the value that it had then, and the event that gave it. */
  readonly values: { readonly [field: string]: { readonly value: JsonValue; readonly event: number } };
};
export type Blame = {
  readonly entity: string;
  readonly field: string;
  readonly value: JsonValue;
  readonly event: WhyStep;
};

type Sources = { readonly ledger: Database.Database; readonly views: Database.Database };
type Due = { readonly id: number; readonly depth: number; readonly via: string };

/** `asOfMs`: what was known at that time, by the events until then. */
export function why(sources: Sources, entity: string, asOfMs?: number): Why | undefined {
  const read = reader(sources.ledger);
  const until = asOfMs === undefined ? Infinity : lastEventAt(sources.ledger, asOfMs);
  const own = historyOf(sources.views, entity).filter((id) => id <= until);
  const queue: Due[] = own.map((id) => ({ id, depth: 0, via: entity }));
  const seen = new Set(queue.map(({ id }) => id));
  const steps: WhyStep[] = [];
  for (let due = queue.shift(); due !== undefined && steps.length < whyEventsMax; due = queue.shift()) {
    const event = read(due.id);
    if (event === undefined) continue;
    const step = stepOf(sources.views, event, due);
    steps.push(step);
    for (const next of causes(sources, event, step, due.depth + 1)) {
      if (seen.has(next.id)) continue;
      seen.add(next.id);
      queue.push(next);
    }
  }
  if (steps.length === 0) return undefined;
  return {
    entity,
    steps: steps.sort((a, b) => a.depth - b.depth || a.id - b.id),
    truncated: queue.length > 0,
    values: valuesAfter(own.flatMap((id) => read(id) ?? [])),
  };
}

/** The last event of that time or before, whatever clocks did meanwhile: what was recorded after it was not known then. */
export function lastEventAt(ledger: Database.Database, atMs: number): number {
  const found = ledger.prepare<[number], number>('SELECT id FROM events WHERE ts_ms <= ? ORDER BY id DESC LIMIT 1');
  return found.pluck().get(atMs) ?? 0;
}

/** Kinds that give an entity its fields. */
const describing: ReadonlySet<string> = new Set(['contact.upserted', 'account.upserted', 'note.created']);

function valuesAfter(events: readonly StoredEvent[]): Why['values'] {
  const values = new Map<string, { value: JsonValue; event: number }>();
  for (const { id, kind, payload } of events) {
    if (payload === null) continue;
    const predicate = text(payload, 'predicate');
    if (kind === 'contact.removed') values.clear();
    else if (kind === 'fact.retracted' && predicate !== null) values.delete(predicate);
    else if (kind === 'fact.asserted' && predicate !== null)
      values.set(predicate, { value: payload['object'] ?? null, event: id });
    else if (describing.has(kind))
      for (const [field, value] of Object.entries(payload)) values.set(field, { value, event: id });
  }
  return Object.fromEntries(values);
}

/** The event that gave the field the value it has now. */
export function blame(sources: Sources, entity: string, field: string): Blame | undefined {
  const read = reader(sources.ledger);
  let found: { event: StoredEvent; value: JsonValue } | undefined;
  for (const id of historyOf(sources.views, entity)) {
    const event = read(id);
    const payload = event?.payload;
    if (event === undefined || payload === null || payload === undefined) continue;
    if (event.kind.endsWith('.removed')) found = undefined;
    const value = valueOf(event.kind, payload, field);
    if (value === undefined || (found !== undefined && JSON.stringify(found.value) === JSON.stringify(value))) continue;
    found = { event, value };
  }
  if (found === undefined) return undefined;
  return {
    entity,
    field,
    value: found.value,
    event: stepOf(sources.views, found.event, { id: found.event.id, depth: 0, via: field }),
  };
}

/** A fact sets the field that its predicate names; other events set the fields of their payload. */
function valueOf(kind: string, payload: JsonObject, field: string): JsonValue | undefined {
  if (kind === 'fact.asserted') return payload['predicate'] === field ? payload['object'] : undefined;
  const members = metaOf(payload);
  return Object.hasOwn(members, field) ? (members[field] ?? undefined) : undefined;
}

function historyOf(views: Database.Database, entity: string): number[] {
  const event = /^event:(\d{1,15})$/.exec(entity)?.[1];
  if (event !== undefined) return [Number(event)];
  const read = views
    .prepare<[string, number], number>('SELECT event_id FROM entity_history WHERE entity = ? ORDER BY event_id LIMIT ?')
    .pluck();
  const forgotten = read.all(forgottenName(digestBytes(Buffer.from(entity))), whyEventsMax);
  return [...forgotten, ...read.all(entity, whyEventsMax)].sort((a, b) => a - b);
}

function reader(ledger: Database.Database): (id: number) => StoredEvent | undefined {
  const one = ledger.prepare<[number], EventRow>(`SELECT ${storedColumns} FROM events WHERE id = ?`);
  return (id) => {
    const row = one.get(id);
    return row === undefined ? undefined : toStored(row);
  };
}

function stepOf(views: Database.Database, event: StoredEvent, due: Due): WhyStep {
  const meta = event.payload === null ? {} : metaOf(event.payload);
  const run = text(event.provenance, 'run') ?? event.trace_id ?? null;
  const node = text(event.provenance, 'node') ?? text(meta, 'node');
  const agent = text(event.provenance, 'agent') ?? text(meta, 'agent') ?? agentOf(views, run, node);
  const model = text(event.provenance, 'model') ?? text(meta, 'model');
  return {
    id: event.id,
    ts_ms: event.ts_ms,
    actor: event.actor,
    kind: event.kind,
    depth: due.depth,
    via: due.via,
    ...(agent === null ? {} : { agent }),
    ...(model === null ? {} : { model }),
    ...(run === null ? {} : { run }),
    ...(node === null ? {} : { node }),
    evidence: evidenceOf(event.provenance),
    summary: event.payload === null ? 'forgotten' : (text(event.payload, 'message') ?? summarise(event.payload)),
  };
}

function agentOf(views: Database.Database, run: string | null, node: string | null): string | null {
  if (run === null || node === null) return null;
  return (
    views
      .prepare<[string, string], string>('SELECT agent FROM nodes WHERE trace_id = ? AND node = ?')
      .pluck()
      .get(run, node) ?? null
  );
}

function summarise(payload: JsonObject): string {
  return JSON.stringify(payload).slice(0, 200).toWellFormed();
}

function evidenceOf(provenance: JsonObject): readonly number[] {
  const evidence = provenance['evidence'];
  return Array.isArray(evidence) ? evidence.filter((id): id is number => typeof id === 'number') : [];
}

function causes({ ledger, views }: Sources, event: StoredEvent, step: WhyStep, depth: number): Due[] {
  const found: Due[] = step.evidence.map((id) => ({ id, depth, via: `evidence of ${event.id}` }));
  const meta = event.payload === null ? {} : metaOf(event.payload);
  for (const source of [event.provenance['inputs'], shown(meta, 'inputs')]) {
    for (const digest of Array.isArray(source) ? source : [source]) {
      if (typeof digest !== 'string' || !isDigest(digest)) continue;
      for (const id of historyOf(views, `artifact:${digest}`))
        if (id < event.id) found.push({ id, depth, via: `input of ${event.id}` });
    }
  }
  if (step.run === undefined || !/^[0-9a-f]{32}$/.test(step.run)) return found;
  if (step.node !== undefined && event.kind !== 'model.called') {
    const ofNode = ledger
      .prepare<[Buffer, number, string], number>(
        `SELECT id FROM events WHERE trace_id = ? AND id < ? AND kind IN ('node.started', 'model.called') AND payload_json ->> '$.meta.node' = ? ORDER BY id`,
      )
      .pluck();
    for (const id of ofNode.all(Buffer.from(step.run, 'hex'), event.id, step.node))
      found.push({ id, depth, via: `node ${step.node}` });
  }
  const accepted = views
    .prepare<[string], number>('SELECT accepted_event FROM runs WHERE trace_id = ?')
    .pluck()
    .get(step.run);
  if (accepted !== undefined && accepted < event.id) found.push({ id: accepted, depth, via: `run ${step.run}` });
  return found;
}
