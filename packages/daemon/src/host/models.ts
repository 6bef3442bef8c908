/**
 * Joins the broker to the model calls of agents: their requests checked, their budgets handed on, their secrets resolved.
 */
import {
  type BookedCall,
  type Broker,
  type CallContext,
  type DayOf,
  createBroker,
  type Embedding,
  type Http,
  type LevelState,
  type ModelCalled,
  type Overrun,
  parseBrokerConfig,
  parseCompletion,
  parseEmbedding,
  type Spending,
  type Spent,
  undiciHttp,
} from '@runloop/broker';
import {
  type Clock,
  type Config,
  type Failure,
  type JsonObject,
  type JsonValue,
  type Log,
  ok,
  type Random,
  type Result,
} from '@runloop/core';
import type { SecretsPort } from '@runloop/runtime';
import type { CallScope, Spender } from '../runs/ports.ts';
import type { ModelAnswer, ModelPort } from './model-calls.ts';
import { type TriedProvider, tryModel } from './try-model.ts';

export type ModelsDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly secrets: SecretsPort;
  /** The network, where left out. */
  readonly http?: Http;
  /** Where answers outlive the daemon; in memory alone where left out. */
  readonly cacheFile?: string;
};
export type Meter = (kind: 'model.tested' | 'model.test_unanswered' | 'model.test_overrun', meta: JsonObject) => void;
export interface Models extends ModelPort {
  /** The vectors of texts of our own, which are private. */
  embed(
    model: string,
    texts: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly outcome: Result<Embedding, Failure>; readonly spent: readonly Spent[] }>;
  /** With the budgets that are frozen, for whoever may know of everybody's. */
  list(isOperator: boolean): JsonValue;
  /** Tries each provider that a model leads to; what it used is told to `meter`. */
  try(model: string, user: string, meter: Meter, signal: AbortSignal): Promise<readonly TriedProvider[]>;
  /** Books what a run had spent before a restart, its day apart. */
  restoreRun(traceId: string, spent: readonly Omit<BookedCall, 'run'>[]): void;
  restoreDay(tsMs: number, spent: Spending, of?: DayOf): void;
  restoreFrozen(key: string): void;
  /** Budgets that take no call, for one has used more than it had reserved. */
  frozen(): readonly LevelState[];
  /** Lets a frozen budget go on; false where none of this key is frozen. */
  thaw(key: string): boolean;
  /** A run has ended: what its levels held is forgotten. */
  endRun(traceId: string): void;
  /** Forgets every answer that was kept: `broker.sqlite` is emptied; fails where it cannot be. */
  purgeCache(): Result<void, Failure>;
  close(): Promise<void>;
}

export function createModels(
  { clock, random, log, secrets, http = undiciHttp(), cacheFile }: ModelsDeps,
  config: Pick<Config, 'models'>,
): Result<Models, Failure> {
  const parsed = parseBrokerConfig(config.models);
  if (!parsed.ok) return parsed;
  const broker = createBroker({ clock, random, log, http, secrets, cacheFile }, parsed.value);
  const complete = async (request: JsonObject, ctx: CallContext, signal: AbortSignal): Promise<Outcome> => {
    const checked = parseCompletion(request);
    if (!checked.ok) return checked;
    const done = await broker.complete(checked.value, ctx, signal);
    if (!done.ok) return done;
    const { called, latency: _, ...answer } = done.value;
    return ok({ answer: answer, called });
  };
  const embed = async (request: JsonObject, ctx: CallContext, signal: AbortSignal): Promise<Outcome> => {
    const checked = parseEmbedding(request);
    if (!checked.ok) return checked;
    const done = await broker.embed(checked.value, ctx, signal);
    if (!done.ok) return done;
    const { called, ...answer } = done.value;
    return ok({ answer: answer, called });
  };
  return ok({
    async call(op, request, scope, signal) {
      const spent: Spent[] = [];
      const overruns: Overrun[] = [];
      const beside: ModelCalled[] = [];
      const ctx: CallContext = {
        ...contextOf(scope),
        onSpent: (one) => spent.push(one),
        onCalled: (one) => beside.push(one),
        onOverrun: (one) => overruns.push(one),
        onDelta: scope.onDelta,
      };
      const outcome = await (op === 'embed' ? embed : complete)(request, ctx, signal);
      return { outcome, spent, beside, overruns };
    },
    async embed(model, texts, signal) {
      const spent: Spent[] = [];
      const ctx: CallContext = {
        run: 'kb',
        node: 'kb.embed',
        agent: 'kb',
        owner: 'kb',
        secrecy: 'private',
        onSpent: (one) => spent.push(one),
      };
      const outcome = await broker.embed({ model, texts }, ctx, signal);
      // What a run may spend is meant for one piece of work: here, one request.
      broker.endRun(ctx.run);
      return { outcome, spent };
    },
    forfeit(op, request, spender) {
      const checked = op === 'embed' ? parseEmbedding(request) : parseCompletion(request);
      return checked.ok ? broker.forfeit(checked.value, contextOf(spender)) : undefined;
    },
    try: (model, user, meter, signal) => metered(broker, model, user, meter, signal),
    raise: ({ action, ...raise }) => broker.raise({ ...raise, by: action }),
    restoreRun: (traceId, spent) => broker.restore(spent.map((one) => ({ run: traceId, ...one }))),
    restoreDay: (tsMs, spent, of) => broker.restoreDay(tsMs, spent, of),
    restoreFrozen: (key) => broker.restoreFrozen(key),
    frozen: () => broker.frozen(),
    thaw: (key) => broker.thaw(key),
    clears: (model) => broker.clears(model),
    list(isOperator) {
      const { prices_date, rows } = broker.models();
      return { prices_date, models: rows, frozen: isOperator ? broker.frozen() : [] };
    },
    endRun: (traceId) => broker.endRun(traceId),
    purgeCache: () => broker.purgeCache(),
    close: () => closeOf(broker),
  });
}

async function metered(
  broker: Broker,
  model: string,
  user: string,
  meter: Meter,
  signal: AbortSignal,
): Promise<readonly TriedProvider[]> {
  const ctx: CallContext = {
    run: 'models-test',
    node: 'test',
    agent: 'rlp models test',
    user,
    secrecy: 'public',
    onSpent: (spent) => meter('model.test_unanswered', { ...spent }),
    onOverrun: (overrun) => meter('model.test_overrun', { ...overrun }),
  };
  const tried = await tryModel(broker, model, ctx, signal);
  broker.endRun(ctx.run);
  for (const { provider, model: name, steps } of tried)
    for (const { state, tokens_in, tokens_out, usd_nano, total_ms: latency_ms } of steps)
      if (state !== 'error')
        meter('model.tested', { provider, model: name, tokens_in, tokens_out, usd_nano, cache: 'miss', latency_ms });
  return tried;
}

async function closeOf(broker: Broker): Promise<void> {
  await broker.close();
}

function contextOf({
  traceId,
  actor,
  opening,
  node,
  bundle,
  budgets,
  label,
  approved,
}: Spender & Partial<Pick<CallScope, 'label' | 'approved'>>): CallContext {
  const granted = bundle.caps.model === false ? undefined : bundle.caps.model;
  const agentUsd = granted?.usd_per_run;
  return {
    run: traceId,
    user: actor,
    opening,
    node,
    agent: bundle.name,
    owner: bundle.name,
    secrecy: label?.secrecy,
    trust: label?.trust,
    agreed: approved,
    budgets: {
      run: {
        tokens: budgets.runTokens,
        usd_nano: budgets.runUsd === undefined ? undefined : Math.round(budgets.runUsd * 1e9),
      },
      groups: (budgets.groups ?? []).map(({ id, tokens, usd }) => ({
        id,
        tokens,
        usd_nano: usd === undefined ? undefined : Math.round(usd * 1e9),
      })),
      node: { tokens: budgets.nodeTokens },
      agent: {
        tokens: granted?.tokens_per_run,
        usd_nano: agentUsd === undefined ? undefined : Math.round(agentUsd * 1e9),
      },
    },
  };
}

type Outcome = ModelAnswer['outcome'];
