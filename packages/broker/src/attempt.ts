/**
 * One call at one provider: its place at the gate, its attempts, the waits between them.
 */
import { type Clock, type Random, type Result, err, fraction, sleep } from '@runloop/core';
import type { Gate } from './gate.ts';
import { attemptsMax, retryMsMax } from './limits.ts';
import type { AttemptFailure } from './provider.ts';

export type Attempted<T> = { readonly result: Result<T, AttemptFailure>; readonly queueMs: number };

export async function attemptAt<T>(
  deps: { readonly clock: Clock; readonly random: Random },
  gate: Gate,
  signal: AbortSignal,
  call: () => Promise<Result<T, AttemptFailure>>,
): Promise<Attempted<T>> {
  const asked = deps.clock.monotonicMs();
  const place = await gate.enter(signal);
  const queueMs = deps.clock.monotonicMs() - asked;
  if (!place.ok)
    return {
      result: err({ failure: place.error, verdict: place.error.code === 'Cancelled' ? 'stop' : 'next', spent: false }),
      queueMs,
    };
  using _place = place.value;
  for (let attempt = 1; ; attempt += 1) {
    const result = await call();
    if (result.ok) gate.succeeded();
    else if (result.error.verdict !== 'stop' && result.error.isWell !== true)
      gate.failed(result.error.terminal === true);
    if (result.ok || result.error.verdict !== 'retry' || attempt >= attemptsMax) return { result, queueMs };
    const waitMs = result.error.retryAfterMs ?? 250 * 2 ** (attempt - 1) * (0.5 + fraction(deps.random));
    if (waitMs > retryMsMax) return { result, queueMs };
    if ((await sleep(deps.clock, waitMs, signal)) === 'aborted') return { result, queueMs };
  }
}
