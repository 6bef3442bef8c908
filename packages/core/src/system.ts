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

/** What small requests are served from: asking the system for each costs more than all else of them. */
const pool = new Uint8Array(4_096);
let taken = pool.length;

export const systemRandom: Random = {
  bytes(length) {
    if (length > pool.length / 8) return randomFillSync(new Uint8Array(length));
    if (taken + length > pool.length) {
      randomFillSync(pool);
      taken = 0;
    }
    const bytes = pool.slice(taken, taken + length);
    pool.fill(0, taken, taken + length);
    taken += length;
    return bytes;
  },
};
