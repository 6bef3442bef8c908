/**
 * What a provider is to the broker: something that answers one attempt. Routing, budgets, retries and caching are not its matter.
 */
import type { Failure, Result } from '@runloop/core';
import type { Embedded } from './dialects/dialect.ts';
import type { Answer, CompletionRequest, EmbedRequest, Usage } from './request.ts';

/** How a failed attempt is to be taken. */
export type AttemptFailure = {
  readonly failure: Failure;
  /** `retry`: try again here; `next`: try the next provider; `stop`: the request itself is at fault. */
  readonly verdict: 'retry' | 'next' | 'stop';
  readonly retryAfterMs?: number;
  /** Opens the breaker at once: a quota that is used up, say. */
  readonly terminal?: boolean;
  /** The provider is well and has no answer to this one request: its breaker takes no note of it. */
  readonly isWell?: boolean;
  /** Whether tokens may have been spent: the bound is then booked. */
  readonly spent: boolean;
};

export type Attempt = {
  readonly model: string;
  readonly maxTokens: number;
  readonly bound: Usage;
  readonly signal: AbortSignal;
  readonly onFirst: () => void;
  readonly onDelta: (text: string) => void;
};

export interface Provider {
  readonly id: string;
  complete(request: CompletionRequest, attempt: Attempt): Promise<Result<Answer, AttemptFailure>>;
  embed(request: EmbedRequest, attempt: Attempt): Promise<Result<Embedded, AttemptFailure>>;
}
