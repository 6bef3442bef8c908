/**
 * Model providers, routes, budgets, cache and prices.
 */
export {};
