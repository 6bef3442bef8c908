/**
 * Every frame that was not delivered, counted; and the notices that say so.
 *
 * 1. The counts of all notices given, plus those still waiting to be given, equal the total: nothing is lost by rate-limiting.
 * 2. One notice for each reason and topic in a window; beyond `dropKeysMax` pairs the topic is left out of the key.
 */
import type { Clock, TraceId } from '@runloop/core';

export type DropReason = 'expired' | 'duplicate' | 'backpressure';

export type DropNotice = {
  readonly v: 1;
  readonly reason: DropReason;
  readonly topic: string;
  readonly trace_id: TraceId;
  readonly msg_id: bigint | number;
  readonly expires_at_ms?: number;
  readonly count: number;
};

export type Dropped = {
  readonly reason: DropReason;
  readonly topic: string;
  readonly traceId: TraceId;
  readonly msgId: bigint;
  readonly expiresAtMs: number;
};

type Waiting = { last: Dropped; count: number; timer: Disposable | undefined };

export interface Drops extends Disposable {
  count(dropped: () => Dropped, reason: DropReason, topic: string): void;
  totals(): { readonly [reason in DropReason]: number };
  /** Gives every notice that waits. */
  flush(): void;
}

export function createDrops(
  clock: Clock,
  limits: { readonly dropKeysMax: number; readonly dropNoticeMs: number },
  give: (notice: DropNotice) => void,
): Drops {
  const totals = { expired: 0, duplicate: 0, backpressure: 0 };
  const waiting = new Map<string, Waiting>();

  const tell = (key: string, entry: Waiting): void => {
    if (entry.count === 0) {
      waiting.delete(key);
      return;
    }
    const { last, count } = entry;
    entry.count = 0;
    entry.timer = clock.after(limits.dropNoticeMs, () => tell(key, entry));
    give({
      v: 1,
      reason: last.reason,
      topic: last.topic,
      trace_id: last.traceId,
      msg_id: last.msgId <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(last.msgId) : last.msgId,
      ...(Number.isSafeInteger(last.expiresAtMs) ? { expires_at_ms: last.expiresAtMs } : {}),
      count,
    });
  };

  return {
    count(dropped, reason, topic) {
      totals[reason] += 1;
      let key = `${reason} ${topic}`;
      if (!waiting.has(key) && waiting.size >= limits.dropKeysMax) key = reason;
      const entry = waiting.get(key);
      if (entry === undefined) {
        const first: Waiting = { last: dropped(), count: 1, timer: undefined };
        waiting.set(key, first);
        tell(key, first);
      } else {
        // Only what is told needs its ids read: the first of a window stands for the rest.
        if (entry.count === 0) entry.last = dropped();
        entry.count += 1;
      }
    },
    totals: () => ({ ...totals }),
    flush() {
      for (const [key, entry] of waiting) {
        entry.timer?.[Symbol.dispose]();
        tell(key, entry);
      }
    },
    [Symbol.dispose]() {
      for (const entry of waiting.values()) entry.timer?.[Symbol.dispose]();
      waiting.clear();
    },
  };
}
