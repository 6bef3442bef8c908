/**
 * The crossings of a run, in order: who handed what to whom, when, and how many bytes it had.
 *
 * From the client to the daemon, to a node's agent, to a host operation, to whoever answers outside, and back.
 * A crossing is told by the event that makes it durable: a read that was noted later carries the later time.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '@runloop/core';
import type { Tape, TapeEvent } from './read-tape.ts';
import { bytesOf, outsideOf, textOf } from './timeline.ts';

export type Crossing = {
  /** Since the run was accepted. */
  readonly at_ms: number;
  readonly from: string;
  readonly to: string;
  readonly what: string;
  readonly bytes: number | null;
};

export function ladderOf(tape: Tape): readonly Crossing[] {
  const began = tape.events[0]?.ts_ms ?? 0;
  return tape.events.flatMap((event) =>
    crossings(event, tape).map(([from, to, what, bytes]) => ({ at_ms: event.ts_ms - began, from, to, what, bytes })),
  );
}

type Row = readonly [from: string, to: string, what: string, bytes: number | null];

const daemon = 'runloopd';

function crossings({ kind, meta, message }: TapeEvent, tape: Tape): readonly Row[] {
  const node = textOf(meta, 'node') ?? '';
  const op = textOf(meta, 'op') ?? '';
  switch (kind) {
    case 'run.accepted':
      return [[textOf(meta, 'actor') ?? 'client', daemon, `run ${textOf(meta, 'name') ?? message}`, sizeOf(meta)]];
    case 'node.started':
      return [[daemon, node, `start ${textOf(meta, 'agent') ?? ''}${again(meta)}`, null]];
    case 'effect.intent':
      return [[node, op, `ask${againCall(meta)}`, bytesOf(meta['args'], tape)]];
    case 'effect.result': {
      const asked: readonly Row[] = meta['class'] === 'pure' ? [[node, op, 'ask', bytesOf(meta['args'], tape)]] : [];
      const error = isJsonObject(meta['error']) ? textOf(meta['error'], 'code') : null;
      return [...asked, [op, node, error ?? 'ok', bytesOf(meta['value'], tape)]];
    }
    case 'model.called':
    case 'budget.settled': {
      const there = outsideOf(meta) ?? 'provider';
      const tokens = `${Number(meta['tokens_in'] ?? 0)} + ${Number(meta['tokens_out'] ?? 0)} tokens`;
      if (meta['cache'] === 'hit' || meta['cache'] === 'semantic') return [['cache', 'model', tokens, null]];
      return [
        ['model', there, `of ${node}`, null],
        [there, 'model', kind === 'model.called' ? tokens : `no answer; at most ${tokens}`, null],
      ];
    }
    case 'tool.called': {
      const there = outsideOf(meta) ?? 'outside';
      const tool = textOf(meta, 'tool') ?? 'tool';
      return [
        [tool, there, `of ${node}`, null],
        [there, tool, meta['ok'] === false ? 'failed' : 'ok', null],
      ];
    }
    case 'action.requested':
      return [[node, 'operator', `may it ${textOf(meta, 'what') ?? op}?`, sizeOf(meta['args'])]];
    case 'action.decided':
      return [[textOf(meta, 'by') ?? 'operator', daemon, textOf(meta, 'decision') ?? '', null]];
    case 'node.retrying':
      return [[node, daemon, `failed, again in ${String(meta['delay_ms'])} ms`, null]];
    case 'node.waiting':
      return [[node, daemon, `waits for ${textOf(meta, 'for') ?? '?'}`, null]];
    case 'node.finished':
      return [[meta['from_tape'] === true ? 'tape' : node, daemon, finishOf(meta), outputBytes(meta['outputs'], tape)]];
    case 'run.finished':
      return [[daemon, 'client', textOf(meta, 'state') ?? '', null]];
    default:
      return [];
  }
}

function finishOf(meta: JsonObject): string {
  const state = textOf(meta, 'state') ?? '';
  const taken = meta['from_tape'] === true ? `${textOf(meta, 'node') ?? ''} ` : '';
  return `${taken}${state}${meta['code'] === undefined ? '' : ` (${String(meta['code'])})`}`;
}

function again(meta: JsonObject): string {
  return Number(meta['attempt']) > 1 ? ` (attempt ${String(meta['attempt'])})` : '';
}

function againCall(meta: JsonObject): string {
  return Number(meta['index']) > 0 ? ` (call ${Number(meta['index']) + 1})` : '';
}

function sizeOf(value: JsonValue | undefined): number {
  return Buffer.byteLength(JSON.stringify(value ?? null));
}

function outputBytes(outputs: JsonValue | undefined, { bytes }: Tape): number | null {
  if (!isJsonObject(outputs)) return null;
  let sum = 0;
  for (const list of Object.values(outputs)) {
    if (!Array.isArray(list)) continue;
    for (const one of list as readonly JsonValue[]) if (isJsonObject(one)) sum += bytes.get(String(one['digest'])) ?? 0;
  }
  return sum;
}
