/**
 * Whether a tape is what was written: the hashes of its events, the blobs that it names, its decisions against its results.
 *
 * A tape that was changed where no agent would notice (an artifact, a decision, an answer that nobody looked at) is found here.
 */
import {
  digestJson,
  type Failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  ok,
  type Result,
} from '@runloop/core';
import type { ChangedEvent, StoredEvent } from '@runloop/kb';
import { againOf } from '../runs/questions.ts';
import { metaOf, type TapedCall } from '../runs/tape.ts';
import type { Values } from '../runs/values.ts';
import { callWords, differs, type Place, type ReplayDivergence } from './report.ts';

/** The changed event in words, and where in the run it lies. */
export function changedDivergence(
  rows: readonly StoredEvent[],
  { id, written, found }: ChangedEvent,
): ReplayDivergence {
  const row = rows.find((one) => one.id === id);
  const meta = row === undefined ? {} : metaOf(row);
  const action = row?.kind === 'action.decided' ? requestOf(rows, String(meta['action'])) : undefined;
  const place = placeOf(action ?? meta, rows);
  const of = place.call === undefined ? '' : `${callWords(place.call - 1)}: `;
  return differs(place, `${of}event ${id} (${row?.kind ?? '?'}), which is not what was written`, written, found);
}

function requestOf(rows: readonly StoredEvent[], action: string): JsonObject | undefined {
  const asked = rows.find((row) => row.kind === 'action.requested' && metaOf(row)['action'] === action);
  return asked === undefined ? undefined : metaOf(asked);
}

function placeOf(meta: JsonObject, rows: readonly StoredEvent[]): Place {
  const asked =
    meta['index'] === undefined && meta['call'] !== undefined
      ? rows.map(metaOf).find((one) => one['call'] === meta['call'] && one['index'] !== undefined)
      : undefined;
  const index = meta['index'] ?? asked?.['index'];
  const attempt = Number(meta['attempt'] ?? asked?.['attempt'] ?? 0);
  return { node: String(meta['node'] ?? ''), attempt, ...(index === undefined ? {} : { call: Number(index) + 1 }) };
}

/** Of one attempt: the arguments and answers of its calls, and that each was decided on as its result says. */
export async function checkCalls(
  calls: readonly TapedCall[],
  actions: ReadonlyMap<string, JsonObject>,
  values: Values,
): Promise<ReplayDivergence | undefined> {
  for (const call of calls) {
    const place = { node: call.node, attempt: call.attempt, call: call.index + 1 };
    const of = callWords(call.index);
    const args = await values.load(call.args);
    if (!args.ok) return differs(place, `${of}: its arguments`, nameOf(call.args), args.error.message);
    if (call.error?.code !== 'CapabilityDenied' && !JSON.stringify(args.value).includes('[secret]')) {
      const hash = digestJson(args.value);
      if (hash !== call.args_hash) return differs(place, `${of}: its arguments`, call.args_hash, hash);
    }
    const value = call.value === undefined ? ok(null) : await values.load(call.value);
    if (!value.ok) return differs(place, `${of}: its answer`, nameOf(call.value), value.error.message);
    const decided = actions.get(call.call)?.['decision'];
    if (decided === undefined || call.ok === undefined || actions.has(againOf(call.call, call.begun ?? 1))) continue;
    const isDenied = call.error?.code === 'ApprovalDenied';
    if ((decided === 'approve') === isDenied)
      return differs(place, `${of}: the decision on it`, decided, call.error?.code ?? 'it was made');
  }
  return undefined;
}

/** The last question about each call, with its decision. */
export function actionsOf(rows: readonly StoredEvent[]): ReadonlyMap<string, JsonObject> {
  const byAction = new Map<string, string>();
  const byCall = new Map<string, JsonObject>();
  for (const row of rows) {
    const meta = metaOf(row);
    const action = String(meta['action']);
    if (row.kind === 'action.requested') {
      byAction.set(action, String(meta['call']));
      byCall.set(String(meta['call']), meta);
    } else if (row.kind === 'action.decided') {
      const call = byAction.get(action) ?? '';
      const asked = byCall.get(call);
      if (asked?.['action'] === action) byCall.set(call, { ...asked, decision: meta['decision'] ?? null });
    }
  }
  return byCall;
}

/** Whether what a node has given is still there and what its digest says. */
export async function checkOutputs(
  place: Place,
  end: JsonObject,
  values: Values,
): Promise<ReplayDivergence | undefined> {
  for (const [port, list] of Object.entries(isJsonObject(end['outputs']) ? end['outputs'] : {}))
    for (const one of Array.isArray(list) ? (list as readonly JsonValue[]) : []) {
      const digest = isJsonObject(one) ? String(one['digest']) : '';
      const value: Result<JsonValue, Failure> = await values.get(digest);
      if (!value.ok) return differs(place, `the output port "${port}"`, digest, value.error.message);
    }
  return undefined;
}

function nameOf(stored: TapedCall['value']): string {
  return stored !== undefined && 'blob' in stored ? stored.blob : 'inline';
}
