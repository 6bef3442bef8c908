/**
 * A clock that moves only when a test says so.
 *
 * 1. Timers fire in the order of their times, and of their making where those are equal.
 * 2. While a timer runs, the clock shows that timer's time.
 */
import type { Clock } from '@runloop/core';

export interface SimulatedClock extends Clock {
  /** Moves time on, running every timer that falls due, then lets pending promises settle. */
  advance(ms: number): Promise<void>;
  /** Timers that wait. A test that leaves one leaks it. */
  readonly pending: number;
}

type Timer = { readonly atMs: number; readonly order: number; readonly fn: () => void };

export function simulatedClock(startMs = 1_700_000_000_000): SimulatedClock {
  let now = startMs;
  let order = 0;
  const timers = new Set<Timer>();
  const next = (untilMs: number): Timer | undefined => {
    let first: Timer | undefined;
    for (const timer of timers) {
      if (timer.atMs > untilMs) continue;
      if (first === undefined || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  };
  return {
    nowMs: () => Math.floor(now),
    monotonicMs: () => now - startMs,
    after(delayMs, fn) {
      const timer = { atMs: now + Math.max(0, delayMs), order: (order += 1), fn };
      timers.add(timer);
      return { [Symbol.dispose]: () => void timers.delete(timer) };
    },
    async advance(ms) {
      const until = now + ms;
      for (let timer = next(until); timer !== undefined; timer = next(until)) {
        timers.delete(timer);
        now = timer.atMs;
        timer.fn();
        await settle();
      }
      now = until;
      await settle();
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Lets every promise that can settle without I/O do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
