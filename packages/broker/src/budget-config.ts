/**
 * `models.broker.budgets`: caps by level, each level a map of units; and the four flat keys that stand for the common ones.
 */
import { type Failure, type JsonObject, type Result, failure, isJsonObject, err, ok } from '@runloop/core';
import type { BudgetConfig, CappedLevel } from './broker-config.ts';
import { agentShareDefault } from './limits.ts';
import { narrower } from './levels.ts';
import type { Amounts } from './request.ts';

/** What a level is called in the configuration. */
const levelKeys: { readonly [key: string]: CappedLevel } = {
  day: 'day',
  user_day: 'user',
  opening_day: 'opening',
  run: 'run',
  node: 'node',
  agent: 'agent',
  call: 'call',
};
/** What a unit is called there, and how many of the broker's own one of it is. */
const unitKeys: { readonly [key: string]: readonly [unit: keyof Amounts, factor: number] } = {
  tokens: ['tokens', 1],
  tokens_in: ['tokens_in', 1],
  tokens_out: ['tokens_out', 1],
  usd: ['usd_nano', 1e9],
  calls: ['calls', 1],
  wall_ms: ['wall_ms', 1],
};
const flatKeys: { readonly [key: string]: readonly [level: CappedLevel, unit: string] } = {
  per_request_tokens_cap: ['call', 'tokens'],
  hard_cap_usd: ['run', 'usd'],
  day_usd: ['day', 'usd'],
};

const where = 'models.broker.budgets';
const invalid = (key: string, why: string): Result<never, Failure> =>
  err(failure('InvalidConfig', `${where}.${key} ${why}`, { hint: 'See docs/broker.md.' }));
const isAmount = (value: unknown): value is number => typeof value === 'number' && value >= 0;

export function parseBudgets(given: JsonObject): Result<BudgetConfig, Failure> {
  const caps: { [level in CappedLevel]: Amounts } = {
    day: {},
    user: {},
    opening: {},
    run: {},
    node: {},
    agent: {},
    call: {},
  };
  const cap = (level: CappedLevel, key: string, value: number): void => {
    const [unit, factor] = unitKeys[key] ?? ['tokens', 1];
    caps[level] = narrower(caps[level], { [unit]: Math.round(value * factor) });
  };
  let agentShare = agentShareDefault;
  let runTokens: number | undefined;
  for (const [key, value] of Object.entries(given)) {
    const level = Object.hasOwn(levelKeys, key) ? levelKeys[key] : undefined;
    const flat = Object.hasOwn(flatKeys, key) ? flatKeys[key] : undefined;
    if (level !== undefined) {
      if (!isJsonObject(value)) return invalid(key, `is not a map of ${Object.keys(unitKeys).join(', ')}`);
      for (const [unit, amount] of Object.entries(value)) {
        if (!Object.hasOwn(unitKeys, unit))
          return invalid(`${key}.${unit}`, `is no unit; there are ${Object.keys(unitKeys).join(', ')}`);
        if (!isAmount(amount)) return invalid(`${key}.${unit}`, 'is not a number from 0');
        cap(level, unit, amount);
      }
    } else if (key === 'agent_share') {
      if (!isAmount(value) || value === 0 || value > 1) return invalid(key, 'is not a number above 0, up to 1');
      agentShare = value;
    } else if (flat === undefined && key !== 'default_tokens') {
      const known = [...Object.keys(levelKeys), ...Object.keys(flatKeys), 'default_tokens', 'agent_share'];
      return invalid(key, `is not known; there are ${known.join(', ')}`);
    } else if (!isAmount(value)) return invalid(key, 'is not a number from 0');
    else if (flat === undefined) runTokens = Math.round(value);
    else cap(...flat, value);
  }
  return ok({ caps, agentShare, ...(runTokens === undefined ? {} : { runTokens }) });
}
