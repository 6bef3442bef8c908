/**
 * Budgets that cannot be overspent: every call reserves its upper bound at every level in one step, and settles afterwards.
 *
 * 1. A reservation holds at all levels or at none; between the check and the booking nothing else runs.
 * 2. Spent plus reserved never passes a cap, however many calls come at once.
 * 3. Usage beyond a reservation is booked all the same, and freezes the levels that it pushed over their cap.
 * 4. What was raised adds to the cap that a call brings with it, and thaws the level.
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

/** `by` is the decision that raised it: told of twice, it counts once. */
export type Raise = {
  readonly key: string;
  readonly unit: (typeof budgetUnits)[number];
  readonly amount: number;
  readonly by: string;
};

export interface Reservation {
  /** Books what was used and gives the rest back; a second call does nothing. True when a level was frozen by it. */
  settle(used: Spending): boolean;
}

export interface Budgets {
  reserve(levels: readonly Level[], bound: Spending): Result<Reservation, Failure>;
  /** Books without a reservation: what the ledger says was spent before a restart. */
  book(levels: readonly Level[], used: Spending): void;
  raise(raise: Raise): void;
  state(key: string): LevelState | undefined;
  /** Forgets the levels whose key begins with `prefix`: those of a run that has ended. */
  drop(prefix: string): void;
}

type Mutable = { -readonly [unit in keyof Spending]: number };
type Held = { spent: Mutable; reserved: Mutable; raised: Mutable; readonly raises: Set<string>; frozen: boolean };

const none = (): Mutable => ({ tokens: 0, usd_nano: 0, calls: 0 });
const nothingHeld = (): Held => ({ spent: none(), reserved: none(), raised: none(), raises: new Set(), frozen: false });

function refusal(level: Level, at: Held = nothingHeld(), bound: Spending): Failure | undefined {
  const { spent, reserved, raised, frozen } = at;
  const { name, key, caps } = level;
  const hint = 'Raise the budget, or ask for less: max_tokens bounds the answer.';
  for (const unit of budgetUnits) {
    const given = caps[unit];
    if (given === undefined) continue;
    const cap = given + raised[unit];
    const left = cap - spent[unit] - reserved[unit];
    if (bound[unit] <= left) continue;
    const details = { level: name, key, unit, cap, left, needed: bound[unit] };
    const message = `${name} "${key}" has ${Math.max(0, left)} ${unit} left of ${cap}, the call may need ${bound[unit]}`;
    return failure('BudgetExceeded', frozen ? frozenMessage(level) : message, { details, hint });
  }
  return frozen ? failure('BudgetExceeded', frozenMessage(level), { details: { level: name, key }, hint }) : undefined;
}

function frozenMessage({ name, key }: Level): string {
  return `the budget of ${name} "${key}" is frozen: a call used more than it had reserved`;
}

export function createBudgets(): Budgets {
  const levels = new Map<string, Held>();
  const held = (key: string): Held => {
    const known = levels.get(key);
    if (known !== undefined) return known;
    const fresh = nothingHeld();
    levels.set(key, fresh);
    return fresh;
  };
  const add = (to: Mutable, amount: Spending, sign: 1 | -1): void => {
    for (const unit of budgetUnits) to[unit] += sign * amount[unit];
  };
  return {
    reserve(wanted, bound) {
      for (const level of wanted) {
        const refused = refusal(level, levels.get(level.key), bound);
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
            if (beyond && budgetUnits.some((unit) => at.spent[unit] > (level.caps[unit] ?? Infinity) + at.raised[unit]))
              at.frozen = froze = true;
          }
          return froze;
        },
      });
    },
    book(wanted, used) {
      for (const { name, key } of wanted) if (name !== 'call') add(held(key).spent, used, 1);
    },
    raise({ key, unit, amount, by }) {
      const at = held(key);
      if (at.raises.has(by)) return;
      at.raises.add(by);
      at.raised[unit] += amount;
      at.frozen = false;
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
