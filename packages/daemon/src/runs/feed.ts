/**
 * Follows runs from the ledger: a page of events after a sequence number, waiting for more where there are none yet.
 *
 * A reader sees each event once and in order, for the ledger is what it reads; news only wakes it.
 */
import { type Clock, type Failure, isJsonObject, type Result, ok, type RunEvent } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import type { RunLedger } from './ports.ts';

export const eventsPageMax = 1000;
export const feedWaitMsMax = 30_000;
/** Readers that wait at once; one more is answered at once with what there is. */
export const feedWaitersMax = 4096;

/** Places of readers that are remembered. */
export const feedPlacesMax = 4096;

export type FeedPage = { readonly events: readonly RunEvent[]; readonly done: boolean };

export class EventFeed {
  readonly #clock: Clock;
  readonly #ledger: Pick<RunLedger, 'runEvents'>;
  /** Ids of events that readers have got to, by run and `seq`: who goes on from there is spared the search. */
  readonly #places = new Map<string, number>();
  readonly #waiters = new Map<string, Set<() => void>>();
  #count = 0;

  constructor(clock: Clock, ledger: Pick<RunLedger, 'runEvents'>) {
    this.#clock = clock;
    this.#ledger = ledger;
  }

  /** Wakes whoever waits for news of this run. */
  news(traceId: string): void {
    const waiters = this.#waiters.get(traceId);
    if (waiters === undefined) return;
    this.#waiters.delete(traceId);
    for (const wake of waiters) wake();
  }

  async read(
    q: { traceId: string; afterSeq: number; max: number; waitMs: number },
    signal: AbortSignal,
  ): Promise<Result<FeedPage, Failure>> {
    const deadline = this.#clock.monotonicMs() + Math.min(q.waitMs, feedWaitMsMax);
    for (;;) {
      // Registered before reading: what arrives in between is not missed.
      const wait = this.#wait(q.traceId, deadline - this.#clock.monotonicMs(), signal);
      const page = await this.#ledger.runEvents({
        traceId: q.traceId,
        afterId: this.#places.get(placeOf(q.traceId, q.afterSeq)),
        afterSeq: q.afterSeq,
        streamedOnly: true,
        max: Math.min(q.max, eventsPageMax),
      });
      if (!page.ok || page.value.events.length > 0 || q.waitMs === 0) {
        wait.cancel();
        if (!page.ok) return page;
        const events = page.value.events.map(toRunEvent);
        const last = page.value.events.at(-1);
        if (last !== undefined) this.#keep(placeOf(q.traceId, last.run_seq), last.id);
        return ok({ events, done: events.at(-1)?.kind === 'run.finished' });
      }
      if ((await wait.woken) === 'over') return ok({ events: [], done: false });
    }
  }

  #keep(place: string, id: number): void {
    this.#places.delete(place);
    this.#places.set(place, id);
    const [oldest] = this.#places.keys();
    if (this.#places.size > feedPlacesMax && oldest !== undefined) this.#places.delete(oldest);
  }

  #wait(traceId: string, ms: number, signal: AbortSignal): { woken: Promise<'news' | 'over'>; cancel: () => void } {
    if (ms <= 0 || signal.aborted || this.#count >= feedWaitersMax)
      return { woken: Promise.resolve('over'), cancel: () => undefined };
    const { promise, resolve } = Promise.withResolvers<'news' | 'over'>();
    const waiters = this.#waiters.get(traceId) ?? new Set();
    this.#waiters.set(traceId, waiters);
    this.#count += 1;
    const end = (how: 'news' | 'over'): void => {
      if (!waiters.delete(wake)) {
        // Woken by news: the set has left the map already.
      } else if (waiters.size === 0) this.#waiters.delete(traceId);
      timer[Symbol.dispose]();
      signal.removeEventListener('abort', over);
      resolve(how);
    };
    let counted = true;
    const once = (how: 'news' | 'over'): void => {
      if (!counted) return;
      counted = false;
      this.#count -= 1;
      end(how);
    };
    const wake = (): void => once('news');
    const over = (): void => once('over');
    waiters.add(wake);
    const timer = this.#clock.after(ms, over);
    signal.addEventListener('abort', over, { once: true });
    return { woken: promise, cancel: over };
  }
}

function placeOf(traceId: string, seq: number | undefined): string {
  return `${traceId}/${seq}`;
}

export function toRunEvent(row: StoredEvent): RunEvent {
  const payload = row.payload ?? {};
  const meta = payload['meta'];
  return {
    ...(row.run_seq === undefined ? {} : { seq: row.run_seq }),
    ts_ms: row.ts_ms,
    trace_id: row.trace_id ?? '',
    run_id: String(payload['run_id'] ?? ''),
    opening_id: String(payload['opening_id'] ?? ''),
    kind: row.kind as RunEvent['kind'],
    level: (payload['level'] ?? 'info') as RunEvent['level'],
    message: String(payload['message'] ?? (row.payload === null ? 'forgotten' : '')),
    meta: isJsonObject(meta) ? meta : {},
  };
}
