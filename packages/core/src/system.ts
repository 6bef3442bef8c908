/**
 * The real clock and the real random source: one of the few files that may touch the process.
 *
 * Timers are unreferenced: waiting never keeps a process alive that has nothing else to do.
 */
import { randomFillSync } from 'node:crypto';
import type { Clock, Random } from './ports.ts';

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, Math.min(delayMs, 2 ** 31 - 1));
    timer.unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

export const systemRandom: Random = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
};
