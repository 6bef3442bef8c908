/**
 * Exact answers again: an LRU with a time to live, and one flight for calls that ask the same at the same time.
 *
 * 1. Only successes are kept.
 * 2. One caller's cancelling never stops the others; the flight is aborted when nobody waits, and the last to leave sees how
 *    it ended: what it cost is somebody's.
 * 3. Of those who share a flight one pays: whoever launched it, or the first that stayed.
 */
import { type Clock, type Failure, type Result, err, failure, ok } from '@runloop/core';
import type { CacheState } from './request.ts';

export type Cached<T> = { readonly result: Result<T, Failure>; readonly cache: CacheState };

export interface Cache<T> {
  /** Answers from the cache, from a flight of the same key, or by `call`. `keep` says whether the answer is stored. */
  get(
    key: string,
    keep: boolean,
    call: (signal: AbortSignal) => Promise<Result<T, Failure>>,
    signal: AbortSignal,
  ): Promise<Cached<T>>;
  /** What is kept under a key. */
  peek(key: string): T | undefined;
  /** Whether a call of this key would be answered from what is kept or on its way. */
  has(key: string): boolean;
  size(): number;
  /** Forgets every answer, also of calls that are on their way; fails where those of the shelf are left. */
  purge(): Result<void, Failure>;
}

/** Where answers outlive the process; times are those of the wall clock. */
export interface Shelf<T> {
  get(key: string): { readonly value: T; readonly untilMs: number } | undefined;
  put(key: string, value: T, untilMs: number): void;
  purge(): Result<void, Failure>;
}

type Flight<T> = {
  readonly answer: Promise<Result<T, Failure>>;
  readonly abort: AbortController;
  waiting: number;
  paid: boolean;
};

const budgetCodes: ReadonlySet<string> = new Set(['BudgetExceeded', 'UnknownPrice']);

export function createCache<T>(
  clock: Clock,
  options: { readonly ttlMs: number; readonly capacity: number },
  shelf?: Shelf<T>,
): Cache<T> {
  const kept = new Map<string, { readonly value: T; readonly untilMs: number }>();
  const flights = new Map<string, Flight<T>>();
  const store = (key: string, value: T, leftMs: number): void => {
    kept.delete(key);
    kept.set(key, { value, untilMs: clock.monotonicMs() + leftMs });
    if (kept.size <= options.capacity) return;
    const oldest = kept.keys().next();
    if (oldest.done !== true) kept.delete(oldest.value);
  };
  const launch = (
    key: string,
    keep: boolean,
    call: (signal: AbortSignal) => Promise<Result<T, Failure>>,
  ): Flight<T> => {
    const abort = new AbortController();
    const answer = call(abort.signal)
      .then((result) => {
        // Not where it was forgotten meanwhile.
        if (keep && result.ok && flights.get(key) === flight) {
          store(key, result.value, options.ttlMs);
          shelf?.put(key, result.value, clock.nowMs() + options.ttlMs);
        }
        return result;
      })
      .finally(() => {
        if (flights.get(key) === flight) flights.delete(key);
      });
    const flight: Flight<T> = { answer, abort, waiting: 0, paid: false };
    if (keep) flights.set(key, flight);
    return flight;
  };
  const cache: Cache<T> = {
    async get(key, keep, call, signal) {
      const joined = keep ? flights.get(key) : undefined;
      const known = keep && joined === undefined ? cache.peek(key) : undefined;
      if (known !== undefined) return { result: ok(known), cache: 'hit' };
      const flight = joined ?? launch(key, keep, call);
      flight.waiting += 1;
      const left = await orAborted(flight.answer, signal).finally(() => (flight.waiting -= 1));
      // The budget of whoever began refused it; that of whoever joined was not asked.
      if (joined !== undefined && left?.ok === false && budgetCodes.has(left.error.code))
        return cache.get(key, keep, call, signal);
      if (left !== undefined) return { result: left, cache: pays(flight) ? 'miss' : 'shared' };
      if (flight.waiting > 0) return { result: err(failure('Cancelled', 'the call was cancelled')), cache: 'shared' };
      if (flights.get(key) === flight) flights.delete(key);
      flight.abort.abort();
      return { result: await flight.answer, cache: pays(flight) ? 'miss' : 'shared' };
    },
    peek(key) {
      const found = kept.get(key);
      if (found !== undefined && found.untilMs > clock.monotonicMs()) {
        kept.delete(key);
        kept.set(key, found);
        return found.value;
      }
      const shelved = shelf?.get(key);
      const leftMs = (shelved?.untilMs ?? 0) - clock.nowMs();
      // One that lasts for longer than any does was written by a clock that was ahead, or when answers lasted for longer.
      if (shelved === undefined || leftMs > options.ttlMs) return undefined;
      store(key, shelved.value, leftMs);
      return shelved.value;
    },
    has: (key) => flights.has(key) || cache.peek(key) !== undefined,
    size: () => kept.size,
    purge() {
      kept.clear();
      flights.clear();
      return shelf?.purge() ?? ok(undefined);
    },
  };
  return cache;
}

function pays(flight: Flight<unknown>): boolean {
  const first = !flight.paid;
  flight.paid = true;
  return first;
}

/** The answer, or undefined where the caller left before it came. */
function orAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    void answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
