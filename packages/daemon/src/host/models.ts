/**
 * Joins the broker to the model calls of agents: their requests checked, their budgets handed on, their secrets resolved.
 */
import {
  type BookedCall,
  type Broker,
  type CallContext,
  type CompletionRequest,
  createBroker,
  type EmbedRequest,
  type Http,
  parseBrokerConfig,
  type Spending,
  type Spent,
  undiciHttp,
} from '@runloop/broker';
import {
  type Clock,
  type Config,
  err,
  failure,
  type Failure,
  isJsonObject,
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

export type ModelsDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly secrets: SecretsPort;
  /** The network, where left out. */
  readonly http?: Http;
};
export interface Models extends ModelPort {
  list(): JsonValue;
  /** Books what a run had spent before a restart, its day apart. */
  restoreRun(traceId: string, spent: readonly Omit<BookedCall, 'run'>[]): void;
  restoreDay(tsMs: number, spent: Spending): void;
  /** A run has ended: what its levels held is forgotten. */
  endRun(traceId: string): void;
  close(): Promise<void>;
}

export function createModels(
  { clock, random, log, secrets, http = undiciHttp() }: ModelsDeps,
  config: Pick<Config, 'models'>,
): Result<Models, Failure> {
  const parsed = parseBrokerConfig(config.models);
  if (!parsed.ok) return parsed;
  const broker = createBroker({ clock, random, log, http, secrets }, parsed.value);
  const complete = async (request: JsonObject, ctx: CallContext, signal: AbortSignal): Promise<Outcome> => {
    const checked = checkCompletion(request);
    if (!checked.ok) return checked;
    const done = await broker.complete(checked.value, ctx, signal);
    if (!done.ok) return done;
    const { called, latency: _, ...answer } = done.value;
    return ok({ answer: answer, called });
  };
  const embed = async (request: JsonObject, ctx: CallContext, signal: AbortSignal): Promise<Outcome> => {
    const checked = checkEmbedding(request);
    if (!checked.ok) return checked;
    const done = await broker.embed(checked.value, ctx, signal);
    if (!done.ok) return done;
    const { called, ...answer } = done.value;
    return ok({ answer: answer, called });
  };
  return ok({
    async call(op, request, scope, signal) {
      const spent: Spent[] = [];
      const ctx: CallContext = { ...contextOf(scope), onSpent: (one) => spent.push(one) };
      const outcome = await (op === 'embed' ? embed : complete)(request, ctx, signal);
      return { outcome, spent };
    },
    forfeit(op, request, spender) {
      const checked = op === 'embed' ? checkEmbedding(request) : checkCompletion(request);
      return checked.ok ? broker.forfeit(checked.value, contextOf(spender)) : undefined;
    },
    raise: ({ action, ...raise }) => broker.raise({ ...raise, by: action }),
    restoreRun: (traceId, spent) => broker.restore(spent.map((one) => ({ run: traceId, ...one }))),
    restoreDay: (tsMs, spent) => broker.restoreDay(tsMs, spent),
    clears: (model) => broker.clears(model),
    list() {
      const { prices_date, rows } = broker.models();
      return { prices_date, models: rows };
    },
    endRun: (traceId) => broker.endRun(traceId),
    close: () => closeOf(broker),
  });
}

async function closeOf(broker: Broker): Promise<void> {
  await broker.close();
}

function contextOf({
  traceId,
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
    node,
    agent: bundle.name,
    owner: bundle.name,
    secrecy: label?.secrecy,
    agreed: approved,
    budgets: {
      run: {
        tokens: budgets.runTokens,
        usd_nano: budgets.runUsd === undefined ? undefined : Math.floor(budgets.runUsd * 1e9),
      },
      groups: (budgets.groups ?? []).map(({ id, tokens, usd }) => ({
        id,
        tokens,
        usd_nano: usd === undefined ? undefined : Math.floor(usd * 1e9),
      })),
      node: { tokens: budgets.nodeTokens },
      agent: {
        tokens: granted?.tokens_per_run,
        usd_nano: agentUsd === undefined ? undefined : Math.floor(agentUsd * 1e9),
      },
    },
  };
}

type Outcome = ModelAnswer['outcome'];

function checkEmbedding({ texts, model }: JsonObject): Result<EmbedRequest, Failure> {
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string'))
    return err(failure('InvalidParams', 'model.embed needs { texts: [strings] }'));
  return ok({ texts: texts, ...(typeof model === 'string' ? { model } : {}) });
}

const roles = ['system', 'user', 'assistant', 'tool'];

/** An agent may send anything; the broker gets only what has the shape of a request. */
function checkCompletion(request: JsonObject): Result<CompletionRequest, Failure> {
  const { messages } = request;
  if (!Array.isArray(messages) || messages.length === 0)
    return err(failure('InvalidParams', 'model.complete needs { messages: [{role, content}] }'));
  for (const message of messages as readonly JsonValue[]) {
    if (!isJsonObject(message) || !roles.includes(String(message['role'])))
      return err(failure('InvalidParams', `model.complete: each message needs a role of ${roles.join(', ')}`));
    const { content } = message;
    const isParts =
      Array.isArray(content) &&
      (content as readonly JsonValue[]).every((part) => isJsonObject(part) && typeof part['type'] === 'string');
    if (typeof content !== 'string' && !isParts)
      return err(failure('InvalidParams', 'model.complete: the content of a message is a text or a list of parts'));
  }
  for (const key of ['temperature', 'top_p', 'seed', 'max_tokens'] as const) {
    if (request[key] !== undefined && typeof request[key] !== 'number')
      return err(failure('InvalidParams', `model.complete: ${key} must be a number`));
  }
  return ok(request as unknown as CompletionRequest);
}
