/**
 * The model broker: every model call of every agent, through budget, cache, provider and meter.
 *
 * 1. Each attempt reserves its upper bound at every level before it starts, and settles when it ends (budgets.ts).
 * 2. With no provider the call fails with `ProviderUnavailable` at once; nothing pretends to be a model.
 * 3. A failure at one provider leads to the next of the route; each that was left is named in the answer.
 * The tape (effect.intent, effect.result, model.called) is written by the caller, from what the answer carries.
 */
import {
  type Clock,
  type Failure,
  type Log,
  type Random,
  type Result,
  digestJson,
  err,
  failure,
  ok,
  joinSignals,
} from '@runloop/core';
import { type Bookkeeping, createBookkeeping } from './bookkeeping.ts';
import { createBudgets } from './budgets.ts';
import { openAnswerStore } from './answer-store.ts';
import { type Cache, createCache, type Shelf } from './cache.ts';
import type { BrokerConfig, ProviderConfig } from './broker-config.ts';
import { createEchoProvider } from './echo-provider.ts';
import { type GateState, createGate } from './gate.ts';
import type { Http } from './http.ts';
import { createHttpProvider, type ProviderSecrets } from './http-provider.ts';
import { embedTextsMax, requestBytesMax } from './limits.ts';
import { completion, embedding } from './operations.ts';
import { type Operation, type Paid, type PaidCall, type Station, createPaidCall, createPriceOf } from './paid-call.ts';
import { type Price, readPriceTable } from './prices.ts';
import type { Provider } from './provider.ts';
import { createRecordProvider } from './record-provider.ts';
import { optionsProblem } from './provider-options.ts';
import { createSemanticCache, isKept, type Question, questionOf, type SemanticCache } from './semantic-cache.ts';
import type {
  CacheState,
  CallContext,
  Completion,
  CompletionRequest,
  EmbedRequest,
  Embedding,
  ModelCalled,
} from './request.ts';
import { type Target, route } from './route.ts';

export type BrokerDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly http: Http;
  readonly secrets: ProviderSecrets;
  /** A file for answers that outlive the process; without it they are kept in memory alone. */
  readonly cacheFile?: string | undefined;
};

export type ModelRow = {
  readonly pattern: string;
  readonly provider: string;
  readonly model: string;
  readonly kind: string;
  readonly clearance: string;
  readonly state: GateState;
  readonly concurrency: number;
  readonly timeout_ms: number;
  readonly input_usd_per_million?: number;
  readonly output_usd_per_million?: number;
  /** Where the price was read; the operator's own has none. */
  readonly price_source?: string;
};

export interface Broker extends Bookkeeping, AsyncDisposable {
  complete(request: CompletionRequest, ctx: CallContext, signal: AbortSignal): Promise<Result<Completion, Failure>>;
  embed(request: EmbedRequest, ctx: CallContext, signal: AbortSignal): Promise<Result<Embedding, Failure>>;
  /** Whether what is private may go where a request for this model goes: to a cleared provider, or nowhere at all. */
  clears(model: string | undefined): boolean;
  /** Where a request for this model goes, in order. */
  targets(model: string): readonly { readonly provider: string; readonly model: string; readonly kind: string }[];
  models(): { readonly prices_date: string; readonly rows: readonly ModelRow[] };
  /** Forgets every answer that was kept, in memory and in the file, which is emptied; fails where it cannot be. */
  purgeCache(): Result<void, Failure>;
  close(): Promise<void>;
}

export function createBroker(deps: BrokerDeps, config: BrokerConfig): Broker {
  const { clock } = deps;
  const table = readPriceTable();
  const budgets = createBudgets(clock, config.budgets.agentShare);
  const stations = stationsOf(deps, config);
  const closing = new AbortController();
  const priceOf = createPriceOf(config, table.prices);
  const answers = deps.cacheFile === undefined ? undefined : openAnswers(deps, deps.cacheFile);
  const cache = createCache<Paid<unknown>>(clock, config.cache, answers);
  const semantic = semanticOf(deps, config, cache, (request, ctx, signal) => embed(request, ctx, signal));
  const call = createRoutedCall({
    clock,
    config,
    cache,
    semantic,
    paidCall: createPaidCall({ ...deps, budgets, stations }, config, priceOf),
    closing: closing.signal,
  });
  const embed: Broker['embed'] = async (request, ctx, signal) => {
    const wrong = wrongRequest(request.texts.length, JSON.stringify(request.texts).length, embedTextsMax);
    if (wrong !== undefined) return err(wrong);
    const op = embedding(request);
    const asked = { model: request.model, key: request.texts, keep: true, op, ctx, signal };
    const answered = await call({ kind: 'embed', ...asked });
    if (!answered.ok) return answered;
    const { paid, called } = answered.value;
    return ok({ vectors: paid.value.vectors, dimension: paid.value.vectors[0]?.length ?? 0, called });
  };
  const close = async (): Promise<void> => {
    closing.abort();
    answers?.[Symbol.dispose]();
    await deps.http[Symbol.asyncDispose]();
  };
  return {
    async complete(request, ctx, signal) {
      const wrong = wrongRequest(request.messages.length, JSON.stringify([request.messages, request.tools]).length);
      if (wrong !== undefined) return err(wrong);
      const problem = optionsProblem(request.provider_options);
      if (problem !== undefined) return err(failure('Usage', problem));
      const op = completion(config, request, ctx);
      const { model, cache: _cache, stream: _stream, ...rest } = request;
      const key = { ...rest, max_tokens: op.maxTokens };
      const keep = isKept(request);
      const question = keep && semantic !== undefined ? questionOf(key) : undefined;
      const answered = await call({ kind: 'complete', model, key, keep, question, op, ctx, signal });
      if (!answered.ok) return answered;
      const { paid, called } = answered.value;
      const { queue_ms, first_token_ms } = paid;
      return ok({ ...paid.value, called, latency: { queue_ms, first_token_ms, total_ms: called.latency_ms } });
    },
    embed,
    clears(model) {
      const routed = route(config, model ?? config.defaultModel);
      return routed.length === 0 || cleared(routed).length > 0;
    },
    targets: (model) =>
      route(config, model).map(({ provider, model: name }) => ({
        provider: provider.id,
        model: name,
        kind: provider.kind,
      })),
    models: () => ({ prices_date: table.date, rows: modelRows(config, stations, priceOf) }),
    ...createBookkeeping({ clock, budgets, config, priceOf }),
    purgeCache() {
      semantic?.purge();
      return cache.purge();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What is read back is what was written: the file is ours alone, and of one version. */
function openAnswers({ clock, log, secrets }: BrokerDeps, path: string): Shelf<Paid<unknown>> & Disposable {
  const store = openAnswerStore({ clock, log, scrub: (text) => secrets.scrub(text) }, path);
  return {
    get(key) {
      const found = store.get(key);
      return found === undefined ? undefined : { ...found, value: found.value as unknown as Paid<unknown> };
    },
    put: (key, value, untilMs) => store.put(key, value, untilMs),
    purge: () => store.purge(),
    [Symbol.dispose]: () => store[Symbol.dispose](),
  };
}

/** Undefined where it is off. */
function semanticOf(
  { clock, log }: BrokerDeps,
  { cache: { semantic } }: BrokerConfig,
  cache: Cache<Paid<unknown>>,
  embed: Broker['embed'],
): SemanticCache<Paid<unknown>> | undefined {
  if (semantic === undefined) return undefined;
  const { model, threshold } = semantic;
  return createSemanticCache({
    clock,
    log,
    threshold,
    answerOf: (key) => cache.peek(key),
    async embed(text, ctx, signal) {
      const done = await embed({ model, texts: [text] }, ctx, signal);
      if (!done.ok) return done;
      const { vectors, called } = done.value;
      ctx.onCalled?.(called);
      return ok({ by: `${called.provider}:${called.model}`, values: vectors[0] ?? [] });
    },
  });
}

function stationsOf(deps: BrokerDeps, { providers }: BrokerConfig): ReadonlyMap<string, Station> {
  return new Map(
    providers.map((one) => [
      one.id,
      { provider: providerOf(deps, one), gate: createGate(deps.clock, one.id, one.concurrency) },
    ]),
  );
}

function providerOf(deps: BrokerDeps, one: ProviderConfig): Provider {
  if (one.kind === 'echo') return createEchoProvider(one.id);
  if (one.kind === 'record') return createRecordProvider(one.id, one.file ?? '');
  return createHttpProvider(deps, { ...one, kind: one.kind });
}

type Routed<T> = { readonly paid: Paid<T>; readonly called: ModelCalled };
type Asked<T> = {
  readonly kind: 'complete' | 'embed';
  readonly model: string | undefined;
  /** What the answer depends on, beside route and owner. */
  readonly key: unknown;
  readonly keep: boolean;
  /** What the answer to a near one may answer. */
  readonly question?: Question | undefined;
  readonly op: Operation<T>;
  readonly ctx: CallContext;
  readonly signal: AbortSignal;
};
type RoutedCall = <T>(asked: Asked<T>) => Promise<Result<Routed<T>, Failure>>;
type RoutedDeps = {
  readonly clock: Clock;
  readonly config: BrokerConfig;
  readonly cache: Cache<Paid<unknown>>;
  readonly semantic: SemanticCache<Paid<unknown>> | undefined;
  readonly paidCall: PaidCall;
  readonly closing: AbortSignal;
};

/** Routes, looks into the cache, calls; then says what it cost this caller. */
function createRoutedCall({ clock, config, cache, semantic, paidCall, closing }: RoutedDeps): RoutedCall {
  return async <T>({ kind, model, key, keep, question, op, ctx, signal }: Asked<T>) => {
    const began = clock.monotonicMs();
    const name = model ?? config.defaultModel;
    const { only } = ctx;
    const routed = route(config, name).filter(({ provider }) => only === undefined || provider.id === only);
    if (routed.length === 0) return err(noProvider(config, name));
    // The fallbacks too: what is private goes only where it may.
    const targets = ctx.secrecy === 'public' || ctx.agreed === true ? routed : cleared(routed);
    if (targets.length === 0) return err(notCleared(name, routed));
    const scope = {
      kind,
      owner: ctx.owner ?? '',
      secrecy: ctx.secrecy ?? 'private',
      user: ctx.user ?? '',
      targets: targets.map(({ provider: { id, kind, baseUrl, file = '' }, model: asked }) => [
        id,
        kind,
        baseUrl,
        file,
        asked,
      ]),
    };
    const digest = digestJson({ ...scope, key });
    const isFit = question !== undefined && only === undefined && mayBeSeen(targets, ctx) && !cache.has(digest);
    const group = { ...scope, trust: ctx.trust ?? 'untrusted' };
    using ending = joinSignals(signal, closing);
    const looked = isFit ? await semantic?.look(question, group, ctx, ending.signal) : undefined;
    if (looked?.answer !== undefined) {
      // Keys of a group are those of calls of one kind.
      const paid = looked.answer as Paid<T>;
      return ok({ paid, called: calledOf(paid, 'semantic', clock.monotonicMs() - began) });
    }
    if (isFit && signal.aborted) return err(failure('Cancelled', 'the call was cancelled'));
    const { result, cache: state } = await cache.get(
      digest,
      keep,
      async (flight) => {
        using either = joinSignals(flight, closing);
        return await paidCall(targets, op, ctx, either.signal);
      },
      ending.signal,
    );
    if (!result.ok) return result;
    looked?.keep(digest);
    // The digest names the kind of call, so that what was stored under it is of this type.
    const paid = result.value as Paid<T>;
    return ok({ paid, called: calledOf(paid, state, clock.monotonicMs() - began) });
  };
}

function cleared(targets: readonly Target[]): readonly Target[] {
  return targets.filter(({ provider }) => provider.clearance === 'private');
}

/** Without a person's word for this one request. */
function mayBeSeen(targets: readonly Target[], { secrecy }: CallContext): boolean {
  return secrecy === 'public' || cleared(targets).length === targets.length;
}

function notCleared(name: string, routed: readonly Target[]): Failure {
  const ids = routed.map(({ provider }) => provider.id).join(', ');
  return failure('CapabilityDenied', `the model "${name}" is served by ${ids}, which is not cleared for private data`, {
    hint: 'set clearance: private on a provider that may see it, or route the model to a local one',
  });
}

function noProvider(config: BrokerConfig, name: string): Failure {
  const why =
    config.providers.length === 0
      ? 'no model provider is configured'
      : `no route leads from the model "${name}" to a provider`;
  return failure('ProviderUnavailable', why, {
    hint: 'Configure models.broker.providers and models.broker.route; see docs/broker.md.',
  });
}

function modelRows(
  config: BrokerConfig,
  stations: ReadonlyMap<string, Station>,
  priceOf: (target: Target) => Price | undefined,
): readonly ModelRow[] {
  const patterns = new Set([config.defaultModel, ...config.routes.map(({ pattern }) => pattern)]);
  patterns.delete('');
  return [...patterns].flatMap((pattern) =>
    route(config, pattern).map((target): ModelRow => {
      const price = priceOf(target);
      return {
        pattern,
        provider: target.provider.id,
        model: target.model,
        kind: target.provider.kind,
        clearance: target.provider.clearance,
        state: stations.get(target.provider.id)?.gate.state() ?? 'closed',
        concurrency: target.provider.concurrency,
        timeout_ms: target.provider.timeoutMs,
        ...(price === undefined ? {} : { input_usd_per_million: price.input, output_usd_per_million: price.output }),
        ...(price?.source === undefined ? {} : { price_source: price.source }),
      };
    }),
  );
}

function calledOf(paid: Paid<unknown>, cache: CacheState, latencyMs: number): ModelCalled {
  const own = cache === 'miss';
  return {
    model: paid.model,
    provider: paid.provider,
    tokens_in: own ? paid.usage.tokens_in : 0,
    tokens_out: own ? paid.usage.tokens_out : 0,
    usd_nano: own ? paid.usd_nano : 0,
    cache,
    latency_ms: latencyMs,
    fallback_from: paid.fallback_from,
    saved_usd_nano: own ? 0 : paid.usd_nano,
  };
}

function wrongRequest(parts: number, bytes: number, partsMax = Infinity): Failure | undefined {
  if (parts === 0) return failure('Usage', 'the model was asked nothing: the request has no content');
  if (parts > partsMax)
    return failure('LimitExceeded', `${parts} texts are over the ${partsMax} that one call may have`);
  if (bytes > requestBytesMax)
    return failure('LimitExceeded', `the request has ${bytes} characters, the limit is ${requestBytesMax}`);
  return undefined;
}
