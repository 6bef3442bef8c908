/**
 * Budgets that cannot be overspent: every call reserves its upper bound at every level in one step, and settles afterwards.
 *
 * 1. A reservation holds at all levels or at none; between the check and the booking nothing else runs.
 * 2. Spent plus reserved never passes a cap, however many calls come at once.
 * 3. Usage beyond a reservation is booked all the same, and freezes the levels that it pushed over their cap.
 */
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { levelsMax } from './limits.ts';
import type { Amounts } from './request.ts';

export const budgetUnits = ['tokens', 'usd_nano', 'calls'] as const;
export type Spending = { readonly [unit in (typeof budgetUnits)[number]]: number };
export type LevelName = 'day' | 'run' | 'group' | 'node' | 'agent' | 'call';
/** One level that a call counts on; `key` tells apart levels of the same name. */
export type Level = { readonly name: LevelName; readonly key: string; readonly caps: Amounts };

export type LevelState = {
  readonly key: string;
  readonly spent: Spending;
  readonly reserved: Spending;
  readonly frozen: boolean;
};

export interface Reservation {
  /** Books what was used and gives the rest back; a second call does nothing. True when a level was frozen by it. */
  settle(used: Spending): boolean;
}

export interface Budgets {
  reserve(levels: readonly Level[], bound: Spending): Result<Reservation, Failure>;
  /** Books without a reservation: what the ledger says was spent before a restart. */
  book(levels: readonly Level[], used: Spending): void;
  state(key: string): LevelState | undefined;
  /** Forgets the levels whose key begins with `prefix`: those of a run that has ended. */
  drop(prefix: string): void;
}

type Mutable = { -readonly [unit in keyof Spending]: number };
type Held = { spent: Mutable; reserved: Mutable; frozen: boolean };

export function createBudgets(): Budgets {
  const levels = new Map<string, Held>();
  const none = (): Mutable => ({ tokens: 0, usd_nano: 0, calls: 0 });
  const held = (key: string): Held => {
    const known = levels.get(key);
    if (known !== undefined) return known;
    const fresh: Held = { spent: none(), reserved: none(), frozen: false };
    levels.set(key, fresh);
    return fresh;
  };
  const add = (to: Mutable, amount: Spending, sign: 1 | -1): void => {
    for (const unit of budgetUnits) to[unit] += sign * amount[unit];
  };
  const refusal = (level: Level, bound: Spending): Failure | undefined => {
    const { spent, reserved, frozen } = levels.get(level.key) ?? { spent: none(), reserved: none(), frozen: false };
    const details = { level: level.name, key: level.key };
    if (frozen)
      return failure(
        'BudgetExceeded',
        `the budget of ${level.name} "${level.key}" is frozen: a call used more than it had reserved`,
        { details, hint: 'Raise the budget to go on.' },
      );
    for (const unit of budgetUnits) {
      const cap = level.caps[unit];
      if (cap === undefined || spent[unit] + reserved[unit] + bound[unit] <= cap) continue;
      const left = Math.max(0, cap - spent[unit] - reserved[unit]);
      return failure(
        'BudgetExceeded',
        `${level.name} "${level.key}" has ${left} ${unit} left of ${cap}, the call may need ${bound[unit]}`,
        {
          details: { ...details, unit, left, needed: bound[unit] },
          hint: 'Raise the budget, or ask for less: max_tokens bounds the answer.',
        },
      );
    }
    return undefined;
  };
  return {
    reserve(wanted, bound) {
      for (const level of wanted) {
        const refused = refusal(level, bound);
        if (refused !== undefined) return err(refused);
      }
      const fresh = wanted.filter(({ name, key }) => name !== 'call' && !levels.has(key)).length;
      if (levels.size + fresh > levelsMax)
        return err(failure('Busy', `${levels.size} budget levels are held, the limit is ${levelsMax}`));
      const kept = wanted.filter(({ name }) => name !== 'call').map((level) => ({ level, at: held(level.key) }));
      for (const { at } of kept) add(at.reserved, bound, 1);
      let settled = false;
      return ok({
        settle(used) {
          if (settled) return false;
          settled = true;
          let froze = false;
          const beyond = budgetUnits.some((unit) => used[unit] > bound[unit]);
          for (const { level, at } of kept) {
            add(at.reserved, bound, -1);
            add(at.spent, used, 1);
            if (beyond && budgetUnits.some((unit) => at.spent[unit] > (level.caps[unit] ?? Infinity)))
              at.frozen = froze = true;
          }
          return froze;
        },
      });
    },
    book(wanted, used) {
      for (const { name, key } of wanted) if (name !== 'call') add(held(key).spent, used, 1);
    },
    state(key) {
      const at = levels.get(key);
      return at === undefined
        ? undefined
        : { key, spent: { ...at.spent }, reserved: { ...at.reserved }, frozen: at.frozen };
    },
    drop(prefix) {
      for (const key of levels.keys()) if (key.startsWith(prefix)) levels.delete(key);
    },
  };
}
