/**
 * Real clocks for agents that are granted them: what they were told is on the tape, so a replay tells them the same.
 */
import { type Clock, failure, type JsonObject, sleep } from '@runloop/core';
import type { Performed } from '../runs/ports.ts';
import { answered, refused } from './kb-calls.ts';

/** One sleep; whoever wants more sleeps again, and the attempt's deadline ends both. */
export const sleepMsMax = 3_600_000;

export async function performClock(
  clock: Clock,
  op: string,
  { ms }: JsonObject,
  signal: AbortSignal,
): Promise<Performed> {
  if (op === 'clock.sleep') {
    if (typeof ms !== 'number' || !(ms >= 0) || ms > sleepMsMax)
      return refused(failure('InvalidParams', `clock.sleep: ms must be a number from 0 to ${sleepMsMax}`));
    if ((await sleep(clock, ms, signal)) === 'aborted')
      return refused(failure('Cancelled', 'clock.sleep: the attempt ended meanwhile'));
  }
  return answered({ wall_ms: clock.nowMs(), monotonic_ms: clock.monotonicMs() });
}
