/**
 * The paid part of a call: along the route, provider by provider, each attempt reserved before and settled after.
 *
 * A failure that another provider cannot mend (a refused budget, a wrong request, a cancelled call) ends the route.
 */
import { type Clock, type Failure, type Log, type Random, type Result, err, failure, ok } from '@runloop/core';
import { attemptAt } from './attempt.ts';
import { type Budgets, type Spending, spendingOf } from './budgets.ts';
import type { BrokerConfig } from './broker-config.ts';
import { isLoopback } from './config.ts';
import { imageTokens } from './estimate.ts';
import type { Gate } from './gate.ts';
import { dayKey, levelsOf } from './levels.ts';
import { reservationGraceMs } from './limits.ts';
import { type Price, costNano, findPrice, freePrice } from './prices.ts';
import type { Attempt, AttemptFailure, Provider } from './provider.ts';
import type { CallContext, Spent, Usage } from './request.ts';
import type { Target } from './route.ts';

/** What a provider answered, before it is known who asked. */
export type Paid<T> = {
  readonly value: T;
  readonly usage: Usage;
  readonly usd_nano: number;
  readonly provider: string;
  readonly model: string;
  readonly fallback_from: readonly string[];
  readonly queue_ms: number;
  readonly first_token_ms: number;
};

/** One kind of call: how it bounds its tokens, how it is performed, what it used. */
export type Operation<T> = {
  readonly promptTokens: number;
  readonly images: number;
  readonly maxTokens: number;
  readonly onDelta: (text: string) => void;
  readonly perform: (provider: Provider, attempt: Attempt) => Promise<Result<T, AttemptFailure>>;
  readonly usage: (value: T) => Usage;
};

export type Station = { readonly provider: Provider; readonly gate: Gate };
export type PaidDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly budgets: Budgets;
  readonly stations: ReadonlyMap<string, Station>;
};
export type PaidCall = <T>(
  targets: readonly Target[],
  op: Operation<T>,
  ctx: CallContext,
  signal: AbortSignal,
) => Promise<Result<Paid<T>, Failure>>;

const none: Spending = spendingOf({ tokens_in: 0, tokens_out: 0 }, 0, 0, 0);

/** The operator's price, nothing for this machine's own models, else the package's table. */
export function createPriceOf(config: BrokerConfig, packaged: readonly Price[]): (target: Target) => Price | undefined {
  return ({ provider, model }) =>
    findPrice(config.prices, model) ??
    (provider.kind === 'echo' || provider.kind === 'record' || isLoopback(new URL(provider.baseUrl).hostname)
      ? freePrice
      : findPrice(packaged, model));
}

type TargetCall = <T>(
  target: Target,
  op: Operation<T>,
  ctx: CallContext,
  signal: AbortSignal,
) => Promise<Result<Paid<T>, AttemptFailure>>;

/** A call at one provider. */
function createTargetCall(
  deps: PaidDeps,
  config: BrokerConfig,
  priceOf: (target: Target) => Price | undefined,
): TargetCall {
  const { clock, budgets, stations } = deps;
  let today = '';
  /** What was spent on a day that is over is the ledger's; the day before is kept, for a clock that is set back to it. */
  const forgetDays = (nowMs: number): void => {
    const day = dayKey(nowMs).slice(4);
    if (day !== today) budgets.dropDaysBut(day, today);
    today = day;
  };
  return async <T>(
    target: Target,
    op: Operation<T>,
    ctx: CallContext,
    signal: AbortSignal,
  ): Promise<Result<Paid<T>, AttemptFailure>> => {
    const station = stations.get(target.provider.id);
    if (station === undefined) throw new Error(`assumed a station for ${target.provider.id}`);
    const price = priceOf(target);
    if (price === undefined && levelsOf(config, ctx, clock.nowMs()).some(({ caps }) => caps.usd_nano !== undefined)) {
      const unknown = failure(
        'UnknownPrice',
        `there is no price for "${target.model}", and a cap in dollars is in force`,
        { hint: 'Add it under models.broker.prices.' },
      );
      return err({ failure: unknown, verdict: 'next', spent: false });
    }
    const bound = boundOf(op, price);
    const cost = (usage: Usage): number => costNano(price ?? freePrice, usage);
    const { timeoutMs } = target.provider;
    const reserved = spendingOf(bound, cost(bound), timeoutMs);
    let firstMs = 0;
    const attempted = await attemptAt(deps, station.gate, signal, async () => {
      // Of the day on which it is made: it may have waited for its place.
      const nowMs = clock.nowMs();
      forgetDays(nowMs);
      const levels = levelsOf(config, ctx, nowMs);
      const asking = { levels, bound: reserved, agent: ctx.agent, deadlineMs: timeoutMs + reservationGraceMs };
      const reservation = await budgets.reserve(asking, signal);
      if (!reservation.ok)
        return err({ failure: reservation.error, verdict: 'stop', spent: false } satisfies AttemptFailure);
      const began = clock.monotonicMs();
      firstMs = 0;
      const onFirst = (): void => {
        firstMs ||= clock.monotonicMs() - began;
      };
      const result = await op.perform(station.provider, {
        model: target.model,
        maxTokens: op.maxTokens,
        bound,
        signal,
        onFirst,
        onDelta: op.onDelta,
      });
      const wallMs = Math.min(Math.ceil(clock.monotonicMs() - began), timeoutMs);
      const usage = result.ok ? op.usage(result.value) : bound;
      const isPaid = result.ok || result.error.spent;
      if (!result.ok && isPaid) ctx.onSpent?.({ ...spentOf(target, op, priceOf), latency_ms: wallMs });
      const settled = reservation.value.settle(isPaid ? spendingOf(usage, cost(usage), wallMs) : none);
      if (settled.beyond) overrun(deps.log, ctx, target, { usage, bound, cost, frozen: settled.frozen });
      return result;
    });
    const { result, queueMs } = attempted;
    if (!result.ok) return result;
    const usage = op.usage(result.value);
    return ok({
      value: result.value,
      usage,
      usd_nano: cost(usage),
      provider: target.provider.id,
      model: target.model,
      fallback_from: [],
      queue_ms: queueMs,
      first_token_ms: firstMs,
    });
  };
}

type Bounded = Pick<Operation<unknown>, 'promptTokens' | 'images' | 'maxTokens'>;

/** Images stand in the prompt's tokens by a flat share already. */
function boundOf({ promptTokens, images, maxTokens }: Bounded, price: Price | undefined): Usage {
  const more = images * Math.max(0, (price?.image_tokens ?? 0) - imageTokens);
  return { tokens_in: promptTokens + more, tokens_out: maxTokens };
}

/** The provider was paid more than the most that the call could have cost: either it lies, or our bound is wrong. */
function overrun(
  log: Log,
  ctx: CallContext,
  { provider, model }: Target,
  told: {
    readonly usage: Usage;
    readonly bound: Usage;
    readonly cost: (usage: Usage) => number;
    readonly frozen: readonly string[];
  },
): void {
  const { usage, bound, cost, frozen } = told;
  const used = { ...usage, usd_nano: cost(usage) };
  const reserved = { ...bound, usd_nano: cost(bound) };
  const message = 'a provider used more than was reserved; budgets with a cap on it are frozen';
  log.log('error', message, { provider: provider.id, model, run: ctx.run, used, reserved, frozen });
  ctx.onOverrun?.({ provider: provider.id, model, used, reserved, frozen });
}

/** What a call that was made and not answered is booked at. */
export function spentOf(target: Target, op: Bounded, priceOf: (target: Target) => Price | undefined): Spent {
  const price = priceOf(target);
  const usage = boundOf(op, price);
  const usd_nano = costNano(price ?? freePrice, usage);
  return {
    provider: target.provider.id,
    model: target.model,
    ...usage,
    usd_nano,
    latency_ms: target.provider.timeoutMs,
  };
}

export function createPaidCall(
  deps: PaidDeps,
  config: BrokerConfig,
  priceOf: (target: Target) => Price | undefined,
): PaidCall {
  const oneTarget = createTargetCall(deps, config, priceOf);
  return async <T>(
    targets: readonly Target[],
    op: Operation<T>,
    ctx: CallContext,
    signal: AbortSignal,
  ): Promise<Result<Paid<T>, Failure>> => {
    const left: string[] = [];
    let last: Failure | undefined;
    for (const target of targets) {
      const result = await oneTarget(target, op, ctx, signal);
      if (result.ok) return ok({ ...result.value, fallback_from: left });
      last = result.error.failure;
      if (result.error.verdict === 'stop') break;
      left.push(`${target.provider.id}:${last.code}`);
    }
    return err(last ?? failure('ProviderUnavailable', 'no provider'));
  };
}
