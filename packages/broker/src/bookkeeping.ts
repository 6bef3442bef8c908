/**
 * The broker's budgets as the daemon sees them: what was spent, what a restart brings back, what an operator raises or thaws.
 */
import type { Clock } from '@runloop/core';
import { type Budgets, isOfDay, type LevelState, type Raise, type Spending, spendingOf } from './budgets.ts';
import type { BrokerConfig } from './broker-config.ts';
import { type BookedCall, dayKey, dayLevel, type DayOf, levelsOf } from './levels.ts';
import { completion, embedding } from './operations.ts';
import { spentOf } from './paid-call.ts';
import type { Price } from './prices.ts';
import type { CallContext, CompletionRequest, EmbedRequest, Spent } from './request.ts';
import { route, type Target } from './route.ts';
import { isKept, questionOf } from './semantic-cache.ts';

export interface Bookkeeping {
  /** What was spent and reserved: of today, and of a run. */
  spending(run?: string): { readonly day?: LevelState; readonly run?: LevelState };
  /** Books what the ledger says was spent before a restart. */
  restore(calls: readonly BookedCall[]): void;
  /** The same of a whole day: of everybody, of one user or of one opening. */
  restoreDay(tsMs: number, spent: Spending, of?: DayOf): void;
  /** Freezes a level that was frozen before the restart; one of a day that is over is passed over. */
  restoreFrozen(key: string): void;
  /** Levels that take no call, for one has used more than it had reserved. */
  frozen(): readonly LevelState[];
  /** Lets a frozen level go on; false where there is none of this key. */
  thaw(key: string): boolean;
  /** Adds to the cap of a level, as `details` of `BudgetExceeded` name it. */
  raise(raise: Raise): void;
  /** Books the bound of a call whose answer was lost in a crash: it may have been paid for. Undefined where no provider serves it. */
  forfeit(request: CompletionRequest | EmbedRequest, ctx: CallContext): Spent | undefined;
  /** Forgets the budgets of a run that has ended. */
  endRun(run: string): void;
}

export type BookkeepingDeps = {
  readonly clock: Clock;
  readonly budgets: Budgets;
  readonly config: BrokerConfig;
  readonly priceOf: (target: Target) => Price | undefined;
};

export function createBookkeeping({ clock, budgets, config, priceOf }: BookkeepingDeps): Bookkeeping {
  /** With the embedding that the semantic cache may have asked for. */
  const withLook = (spent: Spent, request: CompletionRequest | EmbedRequest): Spent => {
    const { semantic } = config.cache;
    const question = 'messages' in request && isKept(request) ? questionOf(request) : undefined;
    const [target] = semantic === undefined ? [] : route(config, semantic.model);
    if (question === undefined || target === undefined) return spent;
    const look = spentOf(target, embedding({ texts: [question.text] }), priceOf);
    return { ...spent, tokens_in: spent.tokens_in + look.tokens_in, usd_nano: spent.usd_nano + look.usd_nano };
  };
  return {
    spending(run) {
      const day = budgets.state(dayKey(clock.nowMs()));
      const ofRun = run === undefined ? undefined : budgets.state(`run:${run}`);
      return { ...(day === undefined ? {} : { day }), ...(ofRun === undefined ? {} : { run: ofRun }) };
    },
    restore(calls) {
      for (const one of calls) {
        const calls = one.cached === true ? 0 : 1;
        const spent = spendingOf(one, one.usd_nano, calls * Math.ceil(one.latency_ms), calls);
        budgets.book(levelsOf(config, one, one.ts_ms), spent);
      }
    },
    restoreDay: (tsMs, spent, of) => budgets.book([dayLevel(config, tsMs, of)], spent),
    restoreFrozen(key) {
      const isOver = isOfDay(key) && !key.endsWith(dayKey(clock.nowMs()).slice(4));
      if (!isOver) budgets.freeze(key);
    },
    frozen: () => budgets.frozen(),
    thaw: (key) => budgets.thaw(key),
    forfeit(request, ctx) {
      const op = 'messages' in request ? completion(config, request, ctx) : embedding(request);
      // Which provider of the route it was under way at is not known: the dearest.
      const [dearest] = route(config, request.model ?? config.defaultModel)
        .map((target) => spentOf(target, op, priceOf))
        .sort((a, b) => b.usd_nano - a.usd_nano || b.tokens_in - a.tokens_in);
      if (dearest === undefined) return undefined;
      const spent = withLook(dearest, request);
      budgets.book(levelsOf(config, ctx, clock.nowMs()), spendingOf(spent, spent.usd_nano, spent.latency_ms));
      return spent;
    },
    raise: (raise) => budgets.raise(raise),
    endRun(run) {
      for (const prefix of [`group:${run}/`, `node:${run}/`, `agent:${run}/`]) budgets.drop(prefix);
      budgets.drop(`run:${run}`);
    },
  };
}
