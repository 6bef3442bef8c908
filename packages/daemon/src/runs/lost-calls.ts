/**
 * Model calls whose answer a crash has lost: they may have been paid for, so they are booked at their bound.
 *
 * 1. Booked once for each time that one was begun and not refused by a budget, when the run is taken up again, whether or not it will be made again.
 * 2. A call that cannot be bounded any more (its agent or its arguments are gone) is told of at no cost, not passed over.
 */
import { isJsonObject, type JsonValue } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import type { HostPerformer, RunDraft, Spender } from './ports.ts';
import { metaOf, type TapedCall, tapeOf } from './tape.ts';
import type { Values } from './values.ts';

export type LostCallDeps = { readonly values: Values; readonly performer: Pick<HostPerformer, 'forfeit'> };

/** The events that book what was lost; `spenderOf` says on whose account, if its agent can still be found. */
export async function settleLostCalls(
  { values, performer }: LostCallDeps,
  rows: readonly StoredEvent[],
  spenderOf: (node: string, attempt: number) => Promise<Spender | undefined>,
): Promise<readonly RunDraft[]> {
  const booked = new Map<string, number>();
  for (const row of rows) {
    const { call } = row.kind === 'budget.settled' || row.kind === 'budget.exhausted' ? metaOf(row) : {};
    if (typeof call === 'string') booked.set(call, (booked.get(call) ?? 0) + 1);
  }
  const drafts: RunDraft[] = [];
  for (const calls of tapeOf(rows).values()) {
    for (const call of calls.filter(({ op, ok }) => op.startsWith('model.') && ok === undefined)) {
      const lost = (call.begun ?? 0) - (booked.get(call.call) ?? 0);
      if (lost <= 0) continue;
      const args = await values.load(call.args);
      const spender = await spenderOf(call.node, call.attempt);
      for (let i = 0; i < lost; i += 1) drafts.push(draftOf(performer, call, args.ok ? args.value : null, spender));
    }
  }
  return drafts;
}

function draftOf(
  performer: LostCallDeps['performer'],
  { call, op, node, attempt }: TapedCall,
  args: JsonValue,
  spender: Spender | undefined,
): RunDraft {
  const spent = spender === undefined || !isJsonObject(args) ? undefined : performer.forfeit?.(op, args, spender);
  const tokens = (spent?.tokens_in ?? 0) + (spent?.tokens_out ?? 0);
  const message = `The answer to ${op} of ${node} was lost: booked at its bound (${tokens} tokens).`;
  const agent = spender === undefined ? {} : { agent: spender.bundle.name };
  const nothing = { tokens_in: 0, tokens_out: 0, usd_nano: 0 };
  const meta = { node, attempt, ...agent, call, why: 'lost', ...(spent ?? nothing) };
  return { kind: 'budget.settled', level: 'warn', message, meta };
}
