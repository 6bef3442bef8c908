/**
 * One attempt as it was and as it is: equal means, per call, the operation and the hash of its arguments, and per port the
 * digests of what was given; of a failure, its reason.
 */
import { digestJson, isJsonObject, type JsonObject, type JsonValue } from '@runloop/core';
import type { Outputs } from '@runloop/openings';
import type { AttemptOutcome, Divergence } from '@runloop/runtime';
import { shownReason } from '../runs/outputs.ts';
import type { TapedCall } from '../runs/tape.ts';
import type { Values } from '../runs/values.ts';
import { callWords, differs, type ReplayDivergence } from './report.ts';

export type Played = {
  readonly outcome: AttemptOutcome;
  readonly divergence: Divergence | undefined;
  readonly made: number;
};

/** Characters of a value that is told whole; of a longer one the digest. */
const toldCharsMax = 2000;

export async function compare(
  node: string,
  attempt: number,
  calls: readonly TapedCall[],
  end: JsonObject,
  { outcome, divergence, made }: Played,
  values: Values,
): Promise<ReplayDivergence | undefined> {
  const place = { node, attempt };
  if (divergence !== undefined) {
    const { index, expected, actual } = divergence;
    const taped = calls.find((call) => call.index === index);
    const args = taped === undefined ? undefined : await values.load(taped.args);
    const recorded =
      expected === undefined ? null : { ...expected, args: args?.ok === true ? told(args.value) : expected.args_hash };
    const replayed = { op: actual.op, args_hash: actual.args_hash, args: told(actual.args) };
    return differs({ ...place, call: index + 1 }, callWords(index), recorded, replayed);
  }
  const left = calls.find((call) => call.index >= made);
  if (left !== undefined) {
    const recorded = { op: left.op, args_hash: left.args_hash };
    const instead = outcome.type === 'failed' ? `: ${shownReason(outcome.reason)}` : '';
    return differs({ ...place, call: left.index + 1 }, callWords(left.index), recorded, `it was not made${instead}`);
  }
  if (outcome.type === 'failed') {
    const reason = shownReason(outcome.reason);
    return end['reason'] === reason
      ? undefined
      : differs(place, 'the outcome', end['reason'] ?? end['state'] ?? null, `failed: ${reason}`);
  }
  if (outcome.type !== 'succeeded') return differs(place, 'the outcome', end['state'] ?? null, outcome.type);
  if (end['state'] !== 'succeeded') return differs(place, 'the outcome', end['reason'] ?? null, 'succeeded');
  const recorded = isJsonObject(end['outputs']) ? (end['outputs'] as unknown as Outputs) : {};
  for (const port of new Set([...Object.keys(recorded), ...Object.keys(outcome.outputs)])) {
    const before = (recorded[port] ?? []).map(({ type, digest }) => ({ type, digest }));
    const after = (outcome.outputs[port] ?? []).map(({ type, value }) => ({ type, digest: digestJson(value), value }));
    if (JSON.stringify(before) === JSON.stringify(after.map(({ type, digest }) => ({ type, digest })))) continue;
    const known = await Promise.all(before.map((one) => values.get(one.digest)));
    return differs(
      place,
      `the output port "${port}"`,
      before.map((one, i) => ({ ...one, value: known[i]?.ok === true ? told(known[i].value) : null })),
      after.map((one) => ({ ...one, value: told(one.value) })),
    );
  }
  return undefined;
}

function told(value: JsonValue): JsonValue {
  return JSON.stringify(value).length <= toldCharsMax ? value : digestJson(value);
}
