/**
 * The tape of a run: its host calls, read back from effect.* events.
 *
 * The calls of one attempt are strictly one after another, so their index is also the order in which they completed.
 */
import {
  cleanLabel,
  type Failure,
  inlineBytesMax,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  type Label,
  ok,
  readLabel,
  type Result,
} from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import type { CallRecord, CallResult, RecordedCall, RunIdentity } from '@runloop/runtime';
import type { RunDraft, RunLedger } from './ports.ts';
import type { Kept, Stored, Values } from './values.ts';

/** The `meta` of effect.intent and effect.result; `ok` stands only in the latter. */
export type TapedCall = {
  readonly node: string;
  readonly attempt: number;
  readonly index: number;
  readonly call: string;
  readonly op: string;
  readonly class: RecordedCall['cls'];
  readonly args_hash: string;
  readonly args: Stored;
  /** What was done in place of what the agent asked for: a person has edited it. */
  readonly performed?: { readonly args: Stored; readonly args_hash: string };
  readonly ok?: boolean;
  readonly value?: Stored;
  readonly error?: { readonly code: string; readonly message: string; readonly retryable: boolean };
  /** Of what was answered. */
  readonly label?: JsonObject;
  /** Events of the ledger that the answer rests on. */
  readonly evidence?: readonly number[];
  /** How often it was begun; counted here, not part of any event. */
  readonly begun?: number;
};

/** Events that one answer is said to rest on, at most. */
export const evidenceMax = 64;

/** Rows of one page when a run is read back. */
export const pageRows = 2000;

/** All rows of a run, oldest first. */
export async function readRun(
  ledger: Pick<RunLedger, 'runEvents'>,
  traceId: string,
): Promise<Result<StoredEvent[], Failure>> {
  const rows: StoredEvent[] = [];
  for (;;) {
    const page = await ledger.runEvents({ traceId, afterId: rows.at(-1)?.id, max: pageRows });
    if (!page.ok) return page;
    rows.push(...page.value.events);
    if (page.value.events.length === 0) return ok(rows);
  }
}

export function metaOf(row: StoredEvent): JsonObject {
  const meta = row.payload?.['meta'];
  return isJsonObject(meta) ? meta : {};
}

/** Calls by `node#attempt`, in order. */
export function tapeOf(rows: readonly StoredEvent[]): Map<string, TapedCall[]> {
  const calls = new Map<string, TapedCall[]>();
  for (const row of rows) {
    if (row.kind !== 'effect.intent' && row.kind !== 'effect.result') continue;
    const meta = metaOf(row) as unknown as TapedCall;
    const key = tapeKey(meta.node, meta.attempt);
    const list = calls.get(key) ?? [];
    addCall(list, meta);
    calls.set(key, list);
  }
  return calls;
}

/**
 * Adds what is known of a call, sorted by index; almost always at the end. Not every index has a call:
 * one that was refused before it was anything, for its arguments were none, is not recorded.
 */
export function addCall(list: TapedCall[], call: TapedCall): void {
  let at = list.length;
  while (at > 0 && (list[at - 1]?.index ?? -1) > call.index) at -= 1;
  const before = list[at - 1];
  const isSame = before?.index === call.index;
  const begun = (isSame ? (before.begun ?? 0) : 0) + (call.ok === undefined ? 1 : 0);
  list.splice(isSame ? at - 1 : at, isSame ? 1 : 0, { ...(isSame ? before : {}), ...call, begun });
}

/** What an attempt was told of its time and money, and of what it was granted in its own cell. */
export type Told = Pick<RunIdentity, 'deadline_ms' | 'tokens_left' | 'fs' | 'folder' | 'time'>;

/** By `node#attempt`; the first telling counts. */
export function toldOf(rows: readonly StoredEvent[]): Map<string, Told> {
  const told = new Map<string, Told>();
  for (const row of rows) {
    const meta = row.kind === 'run.trace' ? metaOf(row) : {};
    const key = tapeKey(String(meta['node']), Number(meta['attempt']));
    if (isJsonObject(meta['told']) && !told.has(key)) told.set(key, meta['told'] as Told);
  }
  return told;
}

/** The labels that nodes ended with; the last of each counts. Of what was clean only the success is told. */
export function labelsOf(rows: readonly StoredEvent[]): Map<string, Label> {
  const labels = new Map<string, Label>();
  for (const row of rows) {
    if (row.kind !== 'run.trace' && row.kind !== 'node.finished') continue;
    const meta = metaOf(row);
    const node = String(meta['node']);
    if (isJsonObject(meta['label'])) labels.set(node, readLabel(meta['label']));
    else if (meta['state'] === 'succeeded' && !labels.has(node)) labels.set(node, cleanLabel);
  }
  return labels;
}

/** What each node waited for last: what it waited for before has been answered and acted on. */
export function waitsOf(rows: readonly StoredEvent[]): Map<string, string> {
  const waits = new Map<string, string>();
  for (const row of rows) {
    const meta = metaOf(row);
    if (row.kind === 'node.waiting') waits.set(String(meta['node']), String(meta['action'] ?? ''));
  }
  return waits;
}

/** What one call to a model was booked at. */
export type SpentCall = {
  readonly node: string;
  readonly agent: string;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
  readonly latency_ms: number;
  readonly cached: boolean;
};

export function spentOf(rows: readonly StoredEvent[]): SpentCall[] {
  return rows
    .filter(({ kind }) => kind === 'model.called' || kind === 'budget.settled')
    .map((row) => {
      const meta = metaOf(row);
      const amount = (name: string): number => Number(meta[name] ?? 0);
      return {
        node: String(meta['node']),
        agent: String(meta['agent']),
        tokens_in: amount('tokens_in'),
        tokens_out: amount('tokens_out'),
        usd_nano: amount('usd_nano'),
        latency_ms: amount('latency_ms'),
        cached: typeof meta['cache'] === 'string' && meta['cache'] !== 'miss',
      };
    });
}

export function tapeKey(node: string, attempt: number): string {
  return `${node}#${attempt}`;
}

/** The calls as the kernel takes them, values loaded. */
export async function loadCalls(calls: readonly TapedCall[], values: Values): Promise<Result<RecordedCall[], Failure>> {
  const loaded: RecordedCall[] = [];
  for (const { index, call, op, args_hash, class: cls, error, value: stored, label } of calls) {
    const base = { index, call, op, args_hash, cls, ...(label === undefined ? {} : { label: readLabel(label) }) };
    if (error !== undefined) loaded.push({ ...base, result: { ok: false, ...error } });
    else if (stored === undefined) loaded.push(base);
    else {
      const value = await values.load(stored);
      if (!value.ok) return value;
      loaded.push({ ...base, result: { ok: true, value: value.value } });
    }
  }
  return ok(loaded);
}

/** Model requests and answers are blobs of their own whatever their size, so that they can be erased. */
const alwaysBlob = (op: string): boolean => op.startsWith('model.');

type Place = { readonly node: string; readonly attempt: number };
type Record = Omit<CallRecord, 'result'>;

/** What was edited by a person, beside what the agent asked for. */
async function editedOf(
  { op, performed }: Record,
  values: Values,
): Promise<Result<Kept<Pick<TapedCall, 'performed'>>, Failure>> {
  if (performed === undefined) return ok({ value: {}, blobs: [] });
  const args = await values.record(performed.args, alwaysBlob(op));
  if (!args.ok) return args;
  const { value, blobs } = args.value;
  return ok({ value: { performed: { args: value, args_hash: performed.args_hash } }, blobs });
}

export async function intentDraft(
  record: Record,
  { node, attempt }: Place,
  values: Values,
): Promise<Result<RunDraft, Failure>> {
  const args = await values.record(record.args, alwaysBlob(record.op));
  if (!args.ok) return args;
  const edited = await editedOf(record, values);
  if (!edited.ok) return edited;
  const { value, blobs } = args.value;
  const { index, call, op, cls, args_hash } = record;
  const meta = { node, attempt, index, call, op, class: cls, args_hash, args: value, ...edited.value.value };
  return ok({
    kind: 'effect.intent',
    level: 'debug',
    message: `${node} is about to ${op}.`,
    meta,
    blobs: [...blobs, ...edited.value.blobs],
  });
}

/** `begun` is its intent, where it has one: its arguments are durable already. */
export async function resultDraft(
  record: Record,
  result: CallResult,
  { node, attempt }: Place,
  values: Values,
  begun?: Pick<TapedCall, 'args'>,
): Promise<Result<RunDraft, Failure>> {
  const isRefused = !result.ok && result.code === 'CapabilityDenied';
  const args =
    begun === undefined
      ? await (isRefused ? refusedArgs(record, values) : values.record(record.args, alwaysBlob(record.op)))
      : ok({ value: begun.args, blobs: [] });
  if (!args.ok) return args;
  const value = result.ok ? await values.record(result.value, alwaysBlob(record.op)) : undefined;
  if (value !== undefined && !value.ok) return value;
  const edited = await editedOf(record, values);
  if (!edited.ok) return edited;
  const { index, call, op, cls, args_hash, label } = record;
  const answer = result.ok
    ? { ok: true, value: value?.value.value ?? { json: null } }
    : { ok: false, error: { code: result.code, message: result.message, retryable: result.retryable } };
  const evidence = result.ok ? evidenceOf(op, result.value) : [];
  const meta = {
    node,
    attempt,
    index,
    call,
    op,
    class: cls,
    args_hash,
    args: args.value.value,
    ...edited.value.value,
    ...answer,
    ...(label === undefined ? {} : { label: label as unknown as JsonObject }),
    ...(evidence.length === 0 ? {} : { evidence }),
  };
  return ok({
    kind: 'effect.result',
    level: 'debug',
    message: `${node}: ${op} ${result.ok ? 'succeeded' : `failed: ${result.message}`}.`,
    meta,
    blobs: [...args.value.blobs, ...edited.value.blobs, ...(value?.value.blobs ?? [])],
  });
}

/** An agent without a grant does not get to fill the disk with what it may not do: the hash says what it was. */
async function refusedArgs({ args, op }: Record, values: Values): Promise<Result<Kept<Stored>, Failure>> {
  const { length } = JSON.stringify(args);
  return length <= inlineBytesMax
    ? values.record(args, alwaysBlob(op))
    : ok({ value: { json: `${length} characters, not kept: the call was refused` }, blobs: [] });
}

/** The events that an answer of the knowledge base names as its sources. */
function evidenceOf(op: string, value: JsonValue): readonly number[] {
  if (!op.startsWith('kb.') || !isJsonObject(value)) return [];
  const rows = [value['rows'], value['hits'], value['steps']].flatMap((list) =>
    Array.isArray(list) ? (list as readonly JsonValue[]) : [],
  );
  const ids = rows
    .filter(isJsonObject)
    .flatMap((row) => [
      row['source_event'],
      row['id'],
      ...(Array.isArray(row['source_events']) ? (row['source_events'] as readonly JsonValue[]) : []),
    ]);
  return [...new Set([...ids, value['event_id']].filter((id): id is number => typeof id === 'number'))].slice(
    0,
    evidenceMax,
  );
}
