/**
 * Joins the broker to the model calls of agents.
 */
import { type Clock, type Config, err, failure, type Failure, type JsonValue, type Log, ok, type Random, type Result } from '@runloop/core';
import type { Home } from '../home/home.ts';
import type { ModelPort } from './model-calls.ts';

export type ModelsDeps = { readonly clock: Clock; readonly random: Random; readonly log: Log; readonly env: { readonly [name: string]: string | undefined } };
export interface Models extends ModelPort {
  list(): JsonValue;
  close(): Promise<void>;
}

export function createModels(_deps: ModelsDeps, _config: Config, _home: Home): Result<Models, Failure> {
  return ok({
    call: () => Promise.resolve(err(failure('ProviderUnavailable', 'no model provider is configured', { hint: 'add one under models.broker.providers' }))),
    list: () => [],
    close: () => Promise.resolve(),
  });
}
