/**
 * What has to go so that an entity is forgotten: events, blobs, runs. Reads, writes nothing; lives in a thread of its own.
 *
 * 1. Its own events go, and every event and blob in which one of its values stands.
 * 2. A run that read it is found by its events and by the blobs that they name; from there on its calls, answers, questions
 *    and values go, for they may say the same in other words. Its states, times and costs stay. A fork that took a value
 *    which such a run made after it had read it has read it too.
 * 3. Blobs that runs outside of these name too stay, unless a value stands in them.
 * 4. Knowledge that rests on what goes and names nobody is listed, not erased: it is about somebody else.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import {
  type Digest,
  type Failure,
  isJsonObject,
  type JsonObject,
  type Result,
  err,
  failure,
  ok,
  toHex,
} from '@runloop/core';
import { archivedDigests, eachArchived } from '../archive/archive.ts';
import { type Blake3 } from '../blake3.ts';
import { digestsIn, hasBlobs } from '../ledger/ledger-blobs.ts';
import { kindSchemas } from '../kinds/schemas.ts';
import { blobFiles, isBlobFile } from '../ledger/blob-files.ts';
import { filesHolding } from './files.ts';
import { type Needles, needlesOf } from './needles.ts';

export type ForgetPlan = {
  readonly entity: string;
  /** BLAKE3 of the entity's name: what `subject.forgotten` says instead of it. */
  readonly subject: Digest;
  readonly values: readonly string[];
  readonly common: readonly string[];
  readonly events: readonly number[];
  /** Those of them that are not about the entity, but hold one of its values: as a part of another name, perhaps. */
  readonly others: readonly number[];
  /** Digests of blobs in the ledger, and of those that are files. */
  readonly blobs: readonly string[];
  readonly files: readonly string[];
  readonly archived: readonly string[];
  readonly runs: readonly ForgottenRun[];
  /** Events that rest on what goes, and stay. */
  readonly derived: readonly number[];
  /** Events in whose fixed columns a value stands: those cannot be erased. */
  readonly fixed: readonly number[];
  /** Backups and replaced ledgers that still hold it. */
  readonly backups: readonly string[];
  /** The last event that was looked at. */
  readonly last: number;
};

/** A plan with the files that were looked into for it: before it is carried out, those that are new are. */
export type PlannedForget = { readonly plan: ForgetPlan; readonly seen: readonly string[] };

/** What is still told of a run whose first event was erased. */
export type ForgottenRun = JsonObject & { readonly trace_id: string };

type Sources = { readonly ledger: Database.Database; readonly views: Database.Database; readonly rootDir: string };
type Row = {
  readonly id: number;
  readonly kind: string;
  readonly trace: string | null;
  readonly payload_json: string | null;
  readonly fixed: string;
};

/** Kinds that carry what was asked, answered and shown. */
const contentKinds: ReadonlySet<string> = new Set([
  'effect.intent',
  'effect.result',
  'action.requested',
  'run.trace',
  'mailbox.sent',
  'email.drafted',
  'email.sent',
]);

export function planForget(sources: Sources, entity: string, blake3: Blake3): Result<PlannedForget, Failure> {
  const { ledger } = sources;
  const blobsDir = join(sources.rootDir, 'blobs');
  const own = ownEvents(sources, entity);
  const blobOf = /^artifact:([0-9a-f]{64})$/.exec(entity)?.[1];
  const runOf = /^run:([0-9a-f]{32})$/.exec(entity)?.[1];
  if (own.size === 0 && blobOf === undefined && runOf === undefined)
    return err(failure('NotFound', `the ledger knows nothing of ${entity}`, { hint: 'rlp kb search finds entities' }));
  const needles = needlesOf(entity, payloadsOf(ledger, own), () => knowledgeWithout(ledger, own));
  const held = blobsHolding(ledger, needles);
  const seen = blobFiles(blobsDir);
  const files = filesHolding(blobsDir, seen, needles);
  eachArchived(sources.rootDir, (digest, bytes) => {
    // One that nobody can unpack any more may hold anything.
    if (bytes === undefined || needles.has(bytes.toString())) held.add(digest);
  });
  if (blobOf !== undefined) held.add(blobOf);
  const found = findEvents(sources, needles, { own, tainted: new Set([...held, ...files]), wholeRun: runOf });
  const open = openRuns(sources.views, [...found.runs.keys()]);
  if (open.length > 0) {
    const which = open.length === 1 ? 'a run that holds it has' : `${open.length} runs that hold it have`;
    return err(
      failure('Busy', `${which} not finished: ${open.slice(0, 3).join(', ')}`, {
        hint: 'wait for them, or rlp cancel them, and say it again',
      }),
    );
  }
  markRuns(ledger, found);
  const named = namedBlobs(ledger, found);
  const go = new Set([...held, ...files, ...named]);
  const plan: ForgetPlan = {
    entity,
    subject: toHex(blake3.digest(entity)) as Digest,
    values: needles.values,
    common: needles.common,
    events: [...found.events].sort((a, b) => a - b),
    others: found.others,
    ...placed(ledger, sources.rootDir, go),
    runs: [...found.runs.keys()].map((trace) => skeleton(sources.views, trace, needles)),
    derived: derived(ledger, found),
    fixed: found.fixed,
    backups: backupsSince(sources, Math.min(...found.events, found.last)),
    last: found.last,
  };
  return ok({ plan, seen });
}

/** Knowledge that is about the entity itself. */
function ownEvents({ ledger, views }: Sources, entity: string): Set<number> {
  const one = /^event:(\d{1,15})$/.exec(entity)?.[1];
  const ids =
    one === undefined
      ? views.prepare<[string], number>('SELECT event_id FROM entity_history WHERE entity = ?').pluck().all(entity)
      : [Number(one)];
  const kindOf = ledger
    .prepare<[number], string>('SELECT kind FROM events WHERE id = ? AND payload_json IS NOT NULL')
    .pluck();
  return new Set(
    ids.filter((id) => {
      const kind = kindOf.get(id);
      return kind !== undefined && Object.hasOwn(kindSchemas, kind);
    }),
  );
}

function payloadsOf(ledger: Database.Database, ids: ReadonlySet<number>): readonly JsonObject[] {
  const read = ledger.prepare<[number], string>('SELECT payload_json FROM events WHERE id = ?').pluck();
  return [...ids].flatMap((id) => {
    const payload: unknown = JSON.parse(read.get(id) ?? 'null');
    return isJsonObject(payload) ? [payload] : [];
  });
}

/** What is known of others. */
function* knowledgeWithout(ledger: Database.Database, own: ReadonlySet<number>): Generator<JsonObject> {
  const kinds = Object.keys(kindSchemas);
  const rows = ledger
    .prepare<string[], { id: number; payload_json: string }>(
      `SELECT id, payload_json FROM events WHERE payload_json IS NOT NULL AND kind IN (${kinds.map(() => '?').join(', ')})`,
    )
    .iterate(...kinds);
  for (const { id, payload_json: text } of rows) {
    const payload: unknown = own.has(id) ? undefined : JSON.parse(text);
    if (isJsonObject(payload)) yield payload;
  }
}

function blobsHolding(ledger: Database.Database, needles: Needles): Set<string> {
  const found = new Set<string>();
  if (!hasBlobs(ledger) || needles.values.length === 0) return found;
  const rows = ledger.prepare<[], { digest: Buffer; bytes: Buffer }>('SELECT digest, bytes FROM blobs').iterate();
  for (const { digest, bytes } of rows) if (needles.has(bytes.toString())) found.add(digest.toString('hex'));
  return found;
}

type Found = {
  readonly events: Set<number>;
  /** Trace id → the event with which the run first holds something. */
  readonly runs: Map<string, number>;
  readonly others: number[];
  readonly fixed: number[];
  readonly last: number;
};

function findEvents(
  { ledger }: Sources,
  needles: Needles,
  given: {
    readonly own: ReadonlySet<number>;
    readonly tainted: ReadonlySet<string>;
    readonly wholeRun: string | undefined;
  },
): Found {
  const events = new Set(given.own);
  const runs = new Map<string, number>(given.wholeRun === undefined ? [] : [[given.wholeRun, 0]]);
  const others: number[] = [];
  const fixed: number[] = [];
  /** What nodes answered after their run had read it, and the runs that took ends of nodes from such a run. */
  const answers = new Set<string>();
  const forks = new Set<string>();
  let last = 0;
  const rows = ledger
    .prepare<[], Row>(
      `SELECT id, kind, lower(hex(trace_id)) AS trace, payload_json,
        actor || ' ' || scope || ' ' || coalesce(dedupe_key, '') || ' ' || provenance_json AS fixed FROM events ORDER BY id`,
    )
    .iterate();
  for (const { id, kind, trace, payload_json: payload, fixed: columns } of rows) {
    last = id;
    if (needles.has(columns)) fixed.push(id);
    if (payload === null || kind === 'subject.forgotten') continue;
    const holds = given.own.has(id) || needles.has(payload);
    if (holds) events.add(id);
    if (holds && !given.own.has(id) && Object.hasOwn(kindSchemas, kind)) others.push(id);
    if (trace === null || trace === '') continue;
    const digests = digestsIn(payload);
    if (kind === 'run.accepted' && runs.size > 0 && runs.has(forkedFrom(payload))) forks.add(trace);
    const isTainted =
      holds || digests.some((digest) => given.tainted.has(digest) || (forks.has(trace) && answers.has(digest)));
    if (isTainted && !runs.has(trace)) runs.set(trace, id);
    if (kind === 'node.finished' && runs.has(trace)) for (const digest of digests) answers.add(digest);
    if (runs.has(trace) && contentKinds.has(kind)) events.add(id);
  }
  return { events, runs, others, fixed, last };
}

function forkedFrom(accepted: string): string {
  const { meta } = JSON.parse(accepted) as { meta?: { forked_from?: { trace_id?: unknown } } };
  return String(meta?.forked_from?.trace_id);
}

/** A run of which blobs alone go loses its first event, which its skeleton stands in for: that tells replay that it was forgotten. */
function markRuns(ledger: Database.Database, { events, runs }: Found): void {
  const ids = ledger
    .prepare<[Buffer], number>('SELECT id FROM events WHERE trace_id = ? AND payload_json IS NOT NULL ORDER BY id')
    .pluck();
  for (const trace of runs.keys()) {
    const all = ids.all(Buffer.from(trace, 'hex'));
    const [first] = all;
    if (first !== undefined && !all.some((id) => events.has(id))) events.add(first);
  }
}

/** The blobs that the runs name from where they hold something, and nobody else does. */
function namedBlobs(ledger: Database.Database, { runs }: Found): Set<string> {
  const named = new Set<string>();
  const ofRun = ledger
    .prepare<[Buffer, number], string>(
      'SELECT payload_json FROM events WHERE trace_id = ? AND id >= ? AND payload_json IS NOT NULL',
    )
    .pluck();
  for (const [trace, from] of runs)
    for (const payload of ofRun.iterate(Buffer.from(trace, 'hex'), from))
      for (const digest of digestsIn(payload)) named.add(digest);
  if (named.size === 0) return named;
  const others = ledger
    .prepare<[], { trace: string | null; payload_json: string }>(
      `SELECT lower(hex(trace_id)) AS trace, payload_json FROM events WHERE payload_json IS NOT NULL`,
    )
    .iterate();
  for (const { trace, payload_json: payload } of others)
    if (trace === null || !runs.has(trace)) for (const digest of digestsIn(payload)) named.delete(digest);
  return named;
}

function placed(
  ledger: Database.Database,
  rootDir: string,
  digestsToGo: ReadonlySet<string>,
): Pick<ForgetPlan, 'blobs' | 'files' | 'archived'> {
  const inLedger = hasBlobs(ledger)
    ? ledger.prepare<[Buffer], number>('SELECT 1 FROM blobs WHERE digest = ?').pluck()
    : undefined;
  const inArchive = archivedDigests(rootDir);
  const all = [...digestsToGo].sort();
  return {
    blobs: all.filter((digest) => inLedger?.get(Buffer.from(digest, 'hex')) === 1),
    files: all.filter((digest) => isBlobFile(join(rootDir, 'blobs'), digest)),
    archived: all.filter((digest) => inArchive.has(digest)),
  };
}

function openRuns(views: Database.Database, traces: readonly string[]): readonly string[] {
  const find = views
    .prepare<[string], number>(
      `SELECT 1 FROM runs WHERE trace_id = ? AND state NOT IN ('succeeded', 'failed', 'cancelled', 'forgotten')`,
    )
    .pluck();
  return traces.filter((trace) => find.get(trace) === 1);
}

const skeletonColumns = [
  'run_id',
  'opening_id',
  'name',
  'state',
  'actor',
  'priority',
  'accepted_ms',
  'started_ms',
  'finished_ms',
  'duration_ms',
  'tokens',
  'usd_nano',
  'accepted_event',
];

function skeleton(views: Database.Database, trace: string, needles: Needles): ForgottenRun {
  const row = views
    .prepare<[string], JsonObject>(`SELECT ${skeletonColumns.join(', ')} FROM runs WHERE trace_id = ?`)
    .get(trace);
  const kept = Object.entries(row ?? {}).filter(([, value]) => value !== null && !needles.has(String(value)));
  return { ...Object.fromEntries(kept), trace_id: trace };
}

/** Backups with the event, as far as they are still where they were made; and what migrating and restoring have kept. */
function backupsSince({ ledger, views, rootDir }: Sources, event: number): readonly string[] {
  const made = views
    .prepare<[], number>(`SELECT event_id FROM entity_history WHERE entity = 'ledger:backups'`)
    .pluck()
    .all();
  const payloads = payloadsOf(ledger, new Set(made));
  const named = payloads.flatMap(({ path, events }) =>
    typeof path === 'string' && Number(events) >= event ? [path] : [],
  );
  const kept = readdirSync(rootDir).filter((name) => /^before-|\.version-\d+$/.test(name));
  return [...named.filter((path) => existsSync(path)), ...kept.map((name) => join(rootDir, name))];
}

/** Knowledge that stays although it cites what goes, or was written by a run after it had read it. */
function derived(ledger: Database.Database, { events, runs }: Found): readonly number[] {
  const kinds = Object.keys(kindSchemas);
  const rows = ledger
    .prepare<string[], { id: number; provenance_json: string }>(
      `SELECT id, provenance_json FROM events WHERE payload_json IS NOT NULL AND kind IN (${kinds.map(() => '?').join(', ')})`,
    )
    .iterate(...kinds);
  const found: number[] = [];
  for (const { id, provenance_json: text } of rows) {
    if (events.has(id)) continue;
    const { evidence, run } = JSON.parse(text) as { evidence?: unknown; run?: unknown };
    const cites = Array.isArray(evidence) && evidence.some((one) => events.has(Number(one)));
    const from = typeof run === 'string' ? runs.get(run) : undefined;
    if (cites || (from !== undefined && id > from)) found.push(id);
  }
  return found;
}
