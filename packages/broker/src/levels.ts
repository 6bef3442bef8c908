/**
 * The levels that one call counts on, and their caps: the configuration's, narrowed by those of the caller.
 */
import { budgetUnits, type Level, type LevelName } from './budgets.ts';
import type { BrokerConfig } from './broker-config.ts';
import type { Amounts, CallContext } from './request.ts';

/** A call of the past, as the ledger knows it. */
export type BookedCall = Pick<CallContext, 'run' | 'node' | 'agent' | 'user' | 'opening'> & {
  /** When it was; left out where its day is booked apart, for all, for its user and for its opening. */
  readonly ts_ms?: number;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
  readonly latency_ms: number;
  /** Answered from the cache: nobody was called. */
  readonly cached?: boolean;
};

/** Of whom a day's spending is. */
export type DayOf = { readonly level: 'day' } | { readonly level: 'user' | 'opening'; readonly name: string };

/** Days are UTC. */
export function dayKey(ms: number, of: DayOf = { level: 'day' }): string {
  const day = new Date(ms).toISOString().slice(0, 10);
  return of.level === 'day' ? `day:${day}` : `${of.level}:${of.name}/${day}`;
}

export function dayLevel({ budgets }: BrokerConfig, ms: number, of: DayOf = { level: 'day' }): Level {
  return { name: of.level, key: dayKey(ms, of), caps: budgets.caps[of.level] };
}

export function levelsOf(
  config: BrokerConfig,
  ctx: Pick<CallContext, 'run' | 'node' | 'agent' | 'user' | 'opening' | 'budgets'>,
  nowMs: number | undefined,
): readonly Level[] {
  const { caps, runTokens } = config.budgets;
  const own = ctx.budgets ?? {};
  const byDefault = own.run?.tokens === undefined ? { tokens: runTokens } : {};
  const level = (name: LevelName, key: string, given: Amounts): Level => ({ name, key, caps: given });
  return [
    ...(nowMs === undefined ? [] : daysOf(config, ctx, nowMs)),
    level('run', `run:${ctx.run}`, narrower(narrower(caps.run, byDefault), own.run)),
    ...groupsOf(ctx.node).map((id) =>
      level('group', `group:${ctx.run}/${id}`, own.groups?.find((group) => group.id === id) ?? {}),
    ),
    level('node', `node:${ctx.run}/${ctx.node}`, narrower(caps.node, own.node)),
    level('agent', `agent:${ctx.run}/${ctx.agent}`, narrower(caps.agent, own.agent)),
    level('call', 'call', narrower(caps.call, own.call)),
  ];
}

function daysOf(config: BrokerConfig, { user, opening }: Pick<CallContext, 'user' | 'opening'>, ms: number): Level[] {
  return [
    dayLevel(config, ms),
    ...(user === undefined ? [] : [dayLevel(config, ms, { level: 'user', name: user })]),
    ...(opening === undefined ? [] : [dayLevel(config, ms, { level: 'opening', name: opening })]),
  ];
}

/** What a node's id says of where it stands: `a/b/n` in `a/b` and in `a`. */
function groupsOf(node: string): readonly string[] {
  const names = node.split('/');
  return names.slice(1).map((_, i) => names.slice(0, i + 1).join('/'));
}

export function narrower(a: Amounts, b: Amounts | undefined): Amounts {
  const least = (one: number | undefined, other: number | undefined): number | undefined =>
    one === undefined ? other : other === undefined ? one : Math.min(one, other);
  return Object.fromEntries(budgetUnits.map((unit) => [unit, least(a[unit], b?.[unit])]));
}
