/**
 * model.*: every model call of every agent goes through the broker.
 *
 * What was called, for how much and from where is told as `model.called`, beside the call's result.
 */
import { type Failure, failure, type JsonObject, type JsonValue, type Result } from '@runloop/core';
import type { CallScope, Performed, RunDraft } from '../runs/ports.ts';
import { answered, refused } from './kb-calls.ts';

/** What a call cost and who answered it. */
export type ModelCalled = {
  readonly model: string;
  readonly provider: string;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
  readonly cache: string;
  readonly latency_ms: number;
};

export interface ModelPort {
  /** Whether a provider that is cleared for private data serves this model, or the default one. */
  clears(model: string | undefined): boolean;
  call(
    op: 'complete' | 'embed',
    request: JsonObject,
    scope: CallScope,
    signal: AbortSignal,
  ): Promise<Result<{ readonly answer: JsonValue; readonly called: ModelCalled }, Failure>>;
}

export async function performModel(
  models: ModelPort,
  op: string,
  args: JsonObject,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Performed> {
  if (op !== 'model.complete' && op !== 'model.embed')
    return refused(failure('NotFound', `there is no operation ${op}`));
  const outcome = await models.call(op === 'model.embed' ? 'embed' : 'complete', args, scope, signal);
  if (!outcome.ok) return refused(outcome.error);
  const { answer, called } = outcome.value;
  const tokens = called.tokens_in + called.tokens_out;
  const event: RunDraft = {
    kind: 'model.called',
    level: 'info',
    message: `${scope.node} called ${called.model} (${tokens} tokens, cache ${called.cache}).`,
    meta: { node: scope.node, attempt: scope.attempt, agent: scope.bundle.name, ...called },
  };
  return { ...answered(answer), events: [event] };
}
