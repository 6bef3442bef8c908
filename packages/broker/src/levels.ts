/**
 * The levels that one call counts on, and their caps: the configuration's, narrowed by those of the caller.
 */
import type { Level } from './budgets.ts';
import type { BrokerConfig } from './config.ts';
import type { Amounts, CallContext } from './request.ts';

/** A call of the past, as the ledger knows it. */
export type BookedCall = Pick<CallContext, 'run' | 'node' | 'agent'> & {
  /** When it was; left out where its day is booked apart. */
  readonly ts_ms?: number;
  readonly tokens: number;
  readonly usd_nano: number;
};

/** Days are UTC. */
export function dayKey(ms: number): string {
  return `day:${Math.floor(ms / 86_400_000)}`;
}

export function dayLevel(usdNano: number | undefined, ms: number): Level {
  return { name: 'day', key: dayKey(ms), caps: { usd_nano: usdNano } };
}

export function levelsOf(
  { budgets }: BrokerConfig,
  ctx: Pick<CallContext, 'run' | 'node' | 'agent' | 'budgets'>,
  nowMs: number | undefined,
): readonly Level[] {
  const own = ctx.budgets ?? {};
  return [
    ...(nowMs === undefined ? [] : [dayLevel(budgets.dayUsdNano, nowMs)]),
    {
      name: 'run',
      key: `run:${ctx.run}`,
      caps: narrower(
        { tokens: own.run?.tokens === undefined ? budgets.runTokens : undefined, usd_nano: budgets.runUsdNano },
        own.run,
      ),
    },
    ...groupsOf(ctx.node).map((id) => ({
      name: 'group' as const,
      key: `group:${ctx.run}/${id}`,
      caps: own.groups?.find((group) => group.id === id) ?? {},
    })),
    { name: 'node', key: `node:${ctx.run}/${ctx.node}`, caps: own.node ?? {} },
    { name: 'agent', key: `agent:${ctx.run}/${ctx.agent}`, caps: own.agent ?? {} },
    { name: 'call', key: 'call', caps: narrower({ tokens: budgets.callTokens }, own.call) },
  ];
}

/** What a node's id says of where it stands: `a/b/n` in `a/b` and in `a`. */
function groupsOf(node: string): readonly string[] {
  const names = node.split('/');
  return names.slice(1).map((_, i) => names.slice(0, i + 1).join('/'));
}

function narrower(a: Amounts, b: Amounts | undefined): Amounts {
  const least = (one: number | undefined, other: number | undefined): number | undefined =>
    one === undefined ? other : other === undefined ? one : Math.min(one, other);
  return {
    tokens: least(a.tokens, b?.tokens),
    usd_nano: least(a.usd_nano, b?.usd_nano),
    calls: least(a.calls, b?.calls),
  };
}
