/**
 * Budgets that cannot be overspent: every call reserves its upper bound at every level in one step, and settles afterwards.
 *
 * 1. A reservation holds at all levels or at none; between the check and the booking nothing else runs.
 * 2. Spent plus reserved never passes a cap, however many calls come at once.
 * 3. Usage beyond a reservation is booked all the same, and freezes the levels that have a cap on it.
 * 4. What was raised adds to the cap that a call brings with it, and thaws the level.
 * 5. Where a cap is shared, an agent that has a call under way gets another only within its share of what is left; it waits.
 *    An agent that has none is not held up, so that somebody always goes on.
 * 6. A reservation that nobody settled until its deadline is booked at its bound; who settles it later corrects that.
 */
import { type Clock, type Failure, type Result, err, failure, ok } from '@runloop/core';
import { agentShareDefault, levelsMax } from './limits.ts';
import type { Amounts, Usage } from './request.ts';

export const budgetUnits = ['tokens', 'tokens_in', 'tokens_out', 'usd_nano', 'calls', 'wall_ms'] as const;
export type BudgetUnit = (typeof budgetUnits)[number];
export type Spending = { readonly [unit in BudgetUnit]: number };
export const levelNames = ['day', 'user', 'opening', 'run', 'group', 'node', 'agent', 'call'] as const;
export type LevelName = (typeof levelNames)[number];
/** One level that a call counts on; `key` tells apart levels of the same name. */
export type Level = { readonly name: LevelName; readonly key: string; readonly caps: Amounts };

export type LevelState = {
  readonly key: string;
  readonly spent: Spending;
  readonly reserved: Spending;
  readonly frozen: boolean;
};

/** `by` is the decision that raised it: told of twice, it counts once. */
export type Raise = { readonly key: string; readonly unit: BudgetUnit; readonly amount: number; readonly by: string };

export type Asking = {
  readonly levels: readonly Level[];
  readonly bound: Spending;
  readonly agent: string;
  /** From now. */
  readonly deadlineMs: number;
};

/** What came of a settlement: whether more was used than was reserved, and which levels are frozen for it. */
export type Settled = { readonly beyond: boolean; readonly frozen: readonly string[] };

export interface Reservation {
  /** Books what was used and gives the rest back; a second call does nothing. */
  settle(used: Spending): Settled;
}

export interface Budgets {
  /** Undefined where its agent has its share already: there is room once one of its calls has ended. */
  tryReserve(asking: Asking): Result<Reservation, Failure> | undefined;
  /** Waits for that. */
  reserve(asking: Asking, signal: AbortSignal): Promise<Result<Reservation, Failure>>;
  /** Books without a reservation: what the ledger says was spent before a restart. */
  book(levels: readonly Level[], used: Spending): void;
  raise(raise: Raise): void;
  /** Freezes a level as before a restart. */
  freeze(key: string): void;
  /** Lets a frozen level go on within its cap; false where none of this key is frozen. */
  thaw(key: string): boolean;
  frozen(): readonly LevelState[];
  state(key: string): LevelState | undefined;
  /** Forgets the levels whose key begins with `prefix`: those of a run that has ended. */
  drop(prefix: string): void;
  /** Forgets the levels of other days than this one (`2026-11-21`) and that before it, which is told of as frozen no more. */
  dropDaysBut(day: string, before: string): void;
}

type Mutable = { -readonly [unit in BudgetUnit]: number };
type Held = {
  readonly spent: Mutable;
  readonly reserved: Mutable;
  readonly raised: Mutable;
  /** Of `reserved`, by agent. */
  readonly byAgent: Map<string, Mutable>;
  readonly raises: Set<string>;
  frozen: boolean;
};
type Kept = { readonly level: Level; readonly at: Held };

/** Levels on which agents meet. */
const shared: ReadonlySet<LevelName> = new Set(['day', 'user', 'opening', 'run', 'group']);

const none = (): Mutable => ({ tokens: 0, tokens_in: 0, tokens_out: 0, usd_nano: 0, calls: 0, wall_ms: 0 });
const nothingHeld = (): Held => ({
  spent: none(),
  reserved: none(),
  raised: none(),
  byAgent: new Map(),
  raises: new Set(),
  frozen: false,
});

export function spendingOf(usage: Usage, usdNano: number, wallMs: number, calls = 1): Spending {
  const { tokens_in, tokens_out } = usage;
  return { tokens: tokens_in + tokens_out, tokens_in, tokens_out, usd_nano: usdNano, calls, wall_ms: wallMs };
}

function add(to: Mutable, amount: Spending, sign: 1 | -1): void {
  for (const unit of budgetUnits) to[unit] += sign * amount[unit];
}

function refusal(level: Level, at: Held = nothingHeld(), bound: Spending): Failure | undefined {
  const { spent, reserved, raised, frozen } = at;
  const { name, key, caps } = level;
  const hint = frozen
    ? `See what it used (rlp bill --by model), then let it go on: rlp models thaw ${key}`
    : 'Raise the budget, or ask for less: max_tokens bounds the answer.';
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

function isOverShare({ name, caps }: Level, at: Held | undefined, asking: Asking, share: number): boolean {
  const own = shared.has(name) ? at?.byAgent.get(asking.agent) : undefined;
  if (at === undefined || own === undefined) return false;
  return budgetUnits.some((unit) => {
    const cap = caps[unit];
    if (cap === undefined) return false;
    const left = cap + at.raised[unit] - at.spent[unit] - (at.reserved[unit] - own[unit]);
    return own[unit] + asking.bound[unit] > share * left;
  });
}

export function createBudgets(clock: Clock, share: number = agentShareDefault): Budgets {
  return new BudgetBook(clock, share);
}

function stateOf(key: string, { spent, reserved, frozen }: Held): LevelState {
  return { key, spent: { ...spent }, reserved: { ...reserved }, frozen };
}

class BudgetBook implements Budgets {
  readonly #clock: Clock;
  readonly #share: number;
  readonly #levels = new Map<string, Held>();
  /** The day that is over; empty before the first one is. */
  #before = '';
  /** Those who wait for a settlement of their own agent. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(clock: Clock, share: number) {
    this.#clock = clock;
    this.#share = share;
  }

  async reserve(asking: Asking, signal: AbortSignal): Promise<Result<Reservation, Failure>> {
    while (!signal.aborted) {
      const reserved = this.tryReserve(asking);
      if (reserved !== undefined) return reserved;
      await this.#turn(asking.agent, signal);
    }
    return err(failure('Cancelled', 'the call was cancelled while it waited for its share of a budget'));
  }

  tryReserve(asking: Asking): Result<Reservation, Failure> | undefined {
    const { levels: wanted, bound } = asking;
    for (const level of wanted) {
      const refused = refusal(level, this.#levels.get(level.key), bound);
      if (refused !== undefined) return err(refused);
    }
    if (wanted.some((level) => isOverShare(level, this.#levels.get(level.key), asking, this.#share))) return undefined;
    const lasting = wanted.filter(({ name }) => name !== 'call');
    const fresh = lasting.filter(({ key }) => !this.#levels.has(key)).length;
    if (this.#levels.size + fresh > levelsMax)
      return err(failure('Busy', `${this.#levels.size} budget levels are held, the limit is ${levelsMax}`));
    const kept = lasting.map((level) => ({ level, at: this.#held(level.key) }));
    return ok(this.#hold(kept, asking));
  }

  #hold(kept: readonly Kept[], { agent, bound, deadlineMs }: Asking): Reservation {
    for (const { level, at } of kept) {
      add(at.reserved, bound, 1);
      if (!shared.has(level.name)) continue;
      const own = at.byAgent.get(agent) ?? none();
      at.byAgent.set(agent, own);
      add(own, bound, 1);
    }
    let state: 'open' | 'expired' | 'settled' = 'open';
    const deadline = this.#clock.after(deadlineMs, () => {
      state = 'expired';
      for (const one of kept) {
        free(one, agent, bound);
        add(one.at.spent, bound, 1);
      }
      this.#wake(agent);
    });
    return {
      settle: (used) => {
        if (state === 'settled') return { beyond: false, frozen: [] };
        deadline[Symbol.dispose]();
        for (const one of kept) {
          if (state === 'open') free(one, agent, bound);
          else add(one.at.spent, bound, -1);
          add(one.at.spent, used, 1);
        }
        state = 'settled';
        const over = budgetUnits.filter((unit) => used[unit] > bound[unit]);
        const frozen = kept.filter(({ level: { caps } }) => over.some((unit) => caps[unit] !== undefined));
        for (const { at } of frozen) at.frozen = true;
        this.#wake(agent);
        return { beyond: over.length > 0, frozen: frozen.map(({ level }) => level.key) };
      },
    };
  }

  book(wanted: readonly Level[], used: Spending): void {
    for (const { name, key } of wanted) if (name !== 'call') add(this.#held(key).spent, used, 1);
  }

  raise({ key, unit, amount, by }: Raise): void {
    const at = this.#held(key);
    if (at.raises.has(by)) return;
    at.raises.add(by);
    at.raised[unit] += amount;
    at.frozen = false;
  }

  freeze(key: string): void {
    this.#held(key).frozen = true;
  }

  thaw(key: string): boolean {
    const at = this.#levels.get(key);
    if (at?.frozen !== true) return false;
    at.frozen = false;
    return true;
  }

  frozen(): readonly LevelState[] {
    const isOver = (key: string): boolean => this.#before !== '' && isOfDay(key) && key.endsWith(this.#before);
    return [...this.#levels].filter(([key, { frozen }]) => frozen && !isOver(key)).map(([key, at]) => stateOf(key, at));
  }

  state(key: string): LevelState | undefined {
    const at = this.#levels.get(key);
    return at === undefined ? undefined : stateOf(key, at);
  }

  drop(prefix: string): void {
    for (const key of this.#levels.keys()) if (key.startsWith(prefix)) this.#levels.delete(key);
  }

  dropDaysBut(day: string, before: string): void {
    this.#before = before;
    for (const key of this.#levels.keys())
      if (isOfDay(key) && !key.endsWith(day) && (before === '' || !key.endsWith(before))) this.#levels.delete(key);
  }

  #held(key: string): Held {
    const known = this.#levels.get(key);
    if (known !== undefined) return known;
    const fresh = nothingHeld();
    this.#levels.set(key, fresh);
    return fresh;
  }

  #turn(agent: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const others = this.#waiting.get(agent) ?? new Set();
      this.#waiting.set(agent, others);
      const go = (): void => {
        signal.removeEventListener('abort', go);
        others.delete(go);
        resolve();
      };
      others.add(go);
      signal.addEventListener('abort', go, { once: true });
    });
  }

  #wake(agent: string): void {
    const all = this.#waiting.get(agent);
    this.#waiting.delete(agent);
    for (const go of all ?? []) go();
  }
}

/** Counted by the day: of all, of a user or of an opening. */
export function isOfDay(key: string): boolean {
  return /^(?:day|user|opening):/.test(key);
}

function free({ level, at }: Kept, agent: string, bound: Spending): void {
  add(at.reserved, bound, -1);
  const own = at.byAgent.get(agent);
  if (!shared.has(level.name) || own === undefined) return;
  add(own, bound, -1);
  if (own.calls === 0) at.byAgent.delete(agent);
}
