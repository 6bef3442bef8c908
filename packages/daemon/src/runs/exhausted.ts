/**
 * Budgets that have no room for a call: the node waits, and the operator raises the budget or fails the node.
 *
 * 1. `budget.exhausted` is on the ledger each time: that call was begun and cost nothing.
 * 2. Each raise is a new question. One that was refused, or cannot be asked, fails the node with `BudgetExceeded`.
 * 3. What was raised holds from the moment at which `budget.raised` is durable, and is read back from there after a restart.
 */
import type { StoredEvent } from '@runloop/kb';
import type { Action } from './actions.ts';
import type { Exhausted, Raised, RunDraft } from './ports.ts';
import { metaOf } from './tape.ts';

/** The question whether a budget is raised for a call, the nth time that there is no room for it. */
export function raiseOf(call: string, nth: number): string {
  return `${call}/budget/${nth}`;
}

export function asksToRaise(call: string): boolean {
  return call.includes('/budget/');
}

/** By how much: what the operator says, else what is missing. */
export function raisedBy({ id, meta }: Action, amount: number | undefined): Raised {
  const { key, unit, needed, left } = meta['args'] as unknown as Exhausted;
  return { action: id, key, unit, amount: amount ?? needed - left };
}

export function raisedDraft(node: string, raised: Raised, by: string): RunDraft {
  const message = `The budget of ${raised.key} was raised by ${amountOf(raised.amount, raised.unit)} (${by}).`;
  return { kind: 'budget.raised', level: 'info', message, meta: { node, ...raised, by } };
}

/** What was raised before a restart. */
export function raisedIn(rows: readonly StoredEvent[]): Raised[] {
  return rows
    .filter(({ kind }) => kind === 'budget.raised')
    .map((row) => {
      const { action, key, unit, amount } = metaOf(row) as unknown as Raised;
      return { action, key, unit, amount };
    });
}

/** What is missing, in words. */
export function wordsOf({ level, unit, cap, left, needed }: Exhausted): string {
  return `the budget of this ${level} has ${amountOf(left, unit)} left of ${amountOf(cap, unit)}, the call may need ${amountOf(needed, unit)}`;
}

export function amountOf(amount: number, unit: string): string {
  return unit === 'usd_nano' ? `$${(amount / 1e9).toFixed(6)}` : `${amount} ${unitWords[unit] ?? unit}`;
}

const unitWords: { readonly [unit: string]: string } = {
  tokens_in: 'tokens of prompts',
  tokens_out: 'tokens of answers',
  wall_ms: "ms of a provider's time",
};
