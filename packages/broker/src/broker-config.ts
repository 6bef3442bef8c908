/**
 * The broker's configuration, as config.ts and budget-config.ts parse it. Types alone, and the kinds of providers.
 */
import type { LevelName } from './budgets.ts';
import type { Price } from './prices.ts';
import type { Amounts } from './request.ts';

export type CappedLevel = Exclude<LevelName, 'group'>;
export type BudgetConfig = {
  readonly caps: { readonly [level in CappedLevel]: Amounts };
  /** Of a run that brings no tokens of its own. */
  readonly runTokens?: number;
  /** How much of what is left of a shared cap one agent may hold by calls under way. */
  readonly agentShare: number;
};

export const providerKinds = ['http', 'http_anthropic', 'http_gemini', 'ollama', 'echo', 'record'] as const;

export type ProviderConfig = {
  readonly id: string;
  readonly kind: (typeof providerKinds)[number];
  readonly baseUrl: string;
  readonly secretId?: string;
  /** What a `record` provider plays. */
  readonly file?: string;
  readonly clearance: 'public' | 'private';
  readonly timeoutMs: number;
  /** Time to the first piece of an answer. */
  readonly firstTokenMs: number;
  readonly concurrency: number;
};
export type RouteConfig = {
  readonly pattern: string;
  readonly provider: string;
  readonly targetModel?: string;
  readonly fallback: readonly string[];
};
export type SemanticConfig = { readonly threshold: number; readonly model: string };
export type BrokerConfig = {
  readonly defaultModel: string;
  readonly providers: readonly ProviderConfig[];
  readonly routes: readonly RouteConfig[];
  readonly cache: {
    readonly ttlMs: number;
    readonly capacity: number;
    /** Undefined where it is off. */
    readonly semantic?: SemanticConfig;
  };
  readonly budgets: BudgetConfig;
  /** Prices that come before those of the package. */
  readonly prices: readonly Price[];
};
