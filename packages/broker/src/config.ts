/**
 * The broker's part of the configuration (`models.*`), parsed once into types that cannot be wrong.
 */
import { isAbsolute } from 'node:path';
import {
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  err,
  failure,
  isJsonObject,
  ok,
} from '@runloop/core';
import {
  type BrokerConfig,
  type ProviderConfig,
  providerKinds,
  type RouteConfig,
  type SemanticConfig,
} from './broker-config.ts';
import { parseBudgets } from './budget-config.ts';
import { cacheEntriesDefault, cacheTtlMsDefault, concurrencyDefault, timeoutMsDefault } from './limits.ts';
import { semanticThresholdDefault } from './limits.ts';
import type { Price } from './prices.ts';
import { route, wayOf } from './route.ts';

const invalid = (where: string, why: string): Result<never, Failure> =>
  err(failure('InvalidConfig', `${where} ${why}`, { hint: 'See docs/broker.md.' }));

/** Takes the value of `models` as YAML gives it. Provider kinds that this version does not know are refused by name. */
export function parseBrokerConfig(models: JsonObject): Result<BrokerConfig, Failure> {
  const broker = isJsonObject(models['broker']) ? models['broker'] : {};
  const providers: ProviderConfig[] = [];
  for (const [i, one] of list(broker['providers']).entries()) {
    const parsed = parseProvider(one, `models.broker.providers[${i}]`);
    if (!parsed.ok) return parsed;
    if (providers.some(({ id }) => id === parsed.value.id))
      return invalid(`models.broker.providers[${i}].id`, `"${parsed.value.id}" is there twice`);
    providers.push(parsed.value);
  }
  const routes: RouteConfig[] = [];
  for (const [i, one] of list(broker['route']).entries()) {
    const where = `models.broker.route[${i}]`;
    if (!isJsonObject(one) || typeof one['pattern'] !== 'string' || typeof one['provider'] !== 'string')
      return invalid(where, 'needs pattern and provider');
    const fallback = list(one['fallback']).filter((id) => typeof id === 'string');
    const named = [one['provider'], ...fallback.map((way) => wayOf(way).id)];
    const unknown = named.find((id) => !providers.some((provider) => provider.id === id));
    if (unknown !== undefined) return invalid(where, `names the provider "${unknown}", which is not configured`);
    const target = one['target_model'];
    routes.push({
      pattern: one['pattern'],
      provider: one['provider'],
      fallback,
      ...(typeof target === 'string' ? { targetModel: target } : {}),
    });
  }
  const prices = list(broker['prices']);
  const wrong = prices.findIndex((one) => !isPrice(one));
  if (wrong >= 0)
    return invalid(`models.broker.prices[${wrong}]`, 'needs pattern, input and output: dollars for a million tokens');
  const cache = isJsonObject(broker['cache']) ? broker['cache'] : {};
  const budgets = parseBudgets(isJsonObject(broker['budgets']) ? broker['budgets'] : {});
  if (!budgets.ok) return budgets;
  const semantic = parseSemantic(cache['semantic'], { providers, routes });
  if (!semantic.ok) return semantic;
  return ok({
    defaultModel: typeof models['default'] === 'string' ? models['default'] : '',
    providers,
    routes,
    cache: {
      ttlMs: positive(cache['ttl_ms'], cacheTtlMsDefault),
      capacity: positive(cache['capacity'], cacheEntriesDefault),
      ...(semantic.value === undefined ? {} : { semantic: semantic.value }),
    },
    budgets: budgets.value,
    prices: prices as readonly Price[],
  });
}

function parseSemantic(
  given: JsonValue | undefined,
  routing: Pick<BrokerConfig, 'providers' | 'routes'>,
): Result<SemanticConfig | undefined, Failure> {
  const where = 'models.broker.cache.semantic';
  if (given === undefined) return ok(undefined);
  if (!isJsonObject(given)) return invalid(where, 'is not a map of enabled, threshold and model');
  const { enabled = false, threshold = semanticThresholdDefault, model, ...others } = given;
  const [other] = Object.keys(others);
  if (other !== undefined) return invalid(`${where}.${other}`, 'is not known; there are enabled, threshold, model');
  if (typeof enabled !== 'boolean') return invalid(`${where}.enabled`, 'is neither true nor false');
  if (typeof threshold !== 'number' || !(threshold > 0 && threshold <= 1))
    return invalid(`${where}.threshold`, 'is not a number above 0, up to 1');
  if (!enabled) return ok(undefined);
  const hint = 'Name a model that makes embeddings, as in model: "local:nomic-embed-text", or set enabled: false.';
  if (typeof model !== 'string' || model === '')
    return err(
      failure('InvalidConfig', `${where}.model is not set: questions are compared by its embeddings`, { hint }),
    );
  if (route(routing, model).length === 0)
    return err(failure('InvalidConfig', `${where}.model: no route leads from "${model}" to a provider`, { hint }));
  return ok({ threshold, model });
}

function parseProvider(one: JsonValue, where: string): Result<ProviderConfig, Failure> {
  if (!isJsonObject(one) || typeof one['id'] !== 'string' || !/^[a-z][a-z0-9_-]{0,63}$/.test(one['id']))
    return invalid(where, 'needs an id: a letter, then up to 63 of a-z, 0-9, _ and -');
  const kind = providerKinds.find((known) => known === one['kind']);
  if (kind === undefined)
    return invalid(
      `${where}.kind`,
      `is ${JSON.stringify(one['kind'])}; this version knows ${providerKinds.join(', ')}`,
    );
  const baseUrl = typeof one['base_url'] === 'string' ? one['base_url'].replace(/\/+$/, '') : '';
  const isRemote = kind !== 'echo' && kind !== 'record';
  const file = one['file'];
  if (kind === 'record' && (typeof file !== 'string' || !isAbsolute(file)))
    return invalid(`${where}.file`, 'is not the absolute path of a tape');
  if (isRemote && !(URL.canParse(baseUrl) && /^https?:$/.test(new URL(baseUrl).protocol)))
    return invalid(`${where}.base_url`, 'is not an http or https address');
  if (isRemote && /[?#@]/.test(baseUrl))
    return invalid(
      `${where}.base_url`,
      'has more than a host and a path: no name or password (that is secret_id), no query',
    );
  const local = !isRemote || isLoopback(new URL(baseUrl).hostname);
  const clearance = one['clearance'] ?? (local ? 'private' : 'public');
  if (clearance !== 'public' && clearance !== 'private')
    return invalid(`${where}.clearance`, 'is neither "public" nor "private"');
  const timeoutMs = positive(one['timeout_ms'], timeoutMsDefault);
  return ok({
    id: one['id'],
    kind,
    baseUrl,
    clearance,
    timeoutMs,
    firstTokenMs: Math.min(positive(one['first_token_ms'], timeoutMs), timeoutMs),
    concurrency: positive(one['concurrency'], concurrencyDefault),
    ...(typeof one['secret_id'] === 'string' ? { secretId: one['secret_id'] } : {}),
    ...(kind === 'record' && typeof file === 'string' ? { file } : {}),
  });
}

/** Whether the host is this machine: such providers cost nothing and may see private data unless configured otherwise. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

const list = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : []);
const positive = (value: JsonValue | undefined, otherwise: number): number =>
  typeof value === 'number' && value > 0 ? Math.floor(value) : otherwise;
const isPrice = (value: unknown): value is Price =>
  isJsonObject(value) &&
  typeof value['pattern'] === 'string' &&
  hasRates(value) &&
  isLong(value['long']) &&
  isCount(value['image_tokens']);
const hasRates = (value: JsonObject): boolean => isRate(value['input']) && isRate(value['output']);
const isLong = (value: JsonValue | undefined): boolean =>
  value === undefined || (isJsonObject(value) && isRate(value['over']) && hasRates(value));
const isCount = (value: JsonValue | undefined): boolean =>
  value === undefined || (isRate(value) && Number.isInteger(value));
const isRate = (value: unknown): value is number => typeof value === 'number' && value >= 0 && Number.isFinite(value);
