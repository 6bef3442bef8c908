/**
 * What tokens cost: a dated table in the package (prices.json), after the operator's own. Nano-dollars, integers, rounded up.
 */
import { readFileSync } from 'node:fs';
import type { Usage } from './request.ts';
import { matches } from './pattern.ts';

/** US dollars for a million tokens. */
export type Price = {
  readonly pattern: string;
  readonly input: number;
  readonly output: number;
  /** The rates of the whole request where its prompt has more tokens than `over`. */
  readonly long?: { readonly over: number; readonly input: number; readonly output: number };
  /** The most tokens that one image is, where that is over `imageTokens` of estimate.ts. */
  readonly image_tokens?: number;
  /** Where the figures were read. */
  readonly source?: string;
};
export type PriceTable = { readonly date: string; readonly prices: readonly Price[] };

export function readPriceTable(): PriceTable {
  return JSON.parse(readFileSync(new URL('../prices.json', import.meta.url), 'utf8')) as PriceTable;
}

export const freePrice: Price = { pattern: '*', input: 0, output: 0 };

export function findPrice(prices: readonly Price[], model: string): Price | undefined {
  return prices.find(({ pattern }) => matches(pattern, model));
}

/** One dollar for a million tokens is a thousand nano-dollars a token. */
export function costNano(price: Price, usage: Usage): number {
  const { input, output } = price.long !== undefined && usage.tokens_in > price.long.over ? price.long : price;
  return Math.ceil(input * 1_000 * usage.tokens_in) + Math.ceil(output * 1_000 * usage.tokens_out);
}
