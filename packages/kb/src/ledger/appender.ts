/**
 * The main thread's side of group commit: gathers what is appended while the writer is busy, and sends it as one message.
 *
 * 1. Appends of one turn of the event loop travel together, those of many runs too; some messages are under way at once, so
 *    that the writer always has its next one.
 * 2. What waits is bounded; beyond the limit an append is refused, not queued.
 * 3. A bad append is refused before it is sent: its neighbours are written.
 */
import { type Failure, type Random, type Result, err, failure, ok } from '@runloop/core';
import type { AppendedEvent, BlobDraft, EventDraft } from './event.ts';
import { packed } from './batch.ts';
import type { Ids } from './ledger.ts';
import type { LedgerQuestion } from './ledger-desk.ts';
import { appendsPendingMax, blobBytesPendingMax, transactionEventsMax } from '../limits.ts';
import { type PreparedEvent, prepare } from './prepare.ts';
import type { Thread } from '../thread.ts';

const messagesMax = 16;
/**
 * So many are not kept until the end of the turn: the writer begins with them, and takes the others into its transaction as
 * they are prepared. A writer that rests is woken earlier.
 */
const sendAtOnce = 256;
const wakeAt = 64;

type Waiting = {
  readonly drafts: readonly PreparedEvent[];
  readonly blobs: readonly BlobDraft[];
  readonly resolve: (answer: Result<readonly AppendedEvent[], Failure>) => void;
};

export interface Appender {
  append(
    drafts: readonly EventDraft[],
    blobs?: readonly BlobDraft[],
  ): Promise<Result<readonly AppendedEvent[], Failure>>;
  /** Why the writer wrote nothing last time; nothing where it did. */
  fault(): Failure | undefined;
  /** Events and blobs that wait or are being written. */
  pending(): number;
  /** Resolves when nothing waits any more. */
  drained(): Promise<void>;
}

export function createAppender(thread: Thread<LedgerQuestion>, random: Random, onDurable: () => void): Appender {
  let waiting: Waiting[] = [];
  let pending = 0;
  let pendingBytes = 0;
  let underWay = 0;
  let scheduled = false;
  let gathered = 0;
  let fault: Failure | undefined;
  const idle: (() => void)[] = [];

  const settle = (batch: readonly Waiting[], answer: Result<unknown, Failure>): void => {
    fault = answer.ok ? undefined : answer.error;
    let at = 0;
    for (const { drafts, blobs, resolve } of batch) {
      pending -= drafts.length + blobs.length;
      pendingBytes -= bytesOf(blobs);
      if (!answer.ok) {
        resolve(answer);
        continue;
      }
      const ids = answer.value as Ids;
      resolve(ok(drafts.map(() => eventOf(ids[at++]))));
    }
    if (answer.ok && at > 0) onDurable();
  };

  const send = (batch: readonly Waiting[]): void => {
    underWay += 1;
    const events = batch.flatMap(({ drafts }) => drafts);
    const blobs = batch.flatMap((one) => one.blobs);
    void thread.ask({ type: 'append', batch: packed(events, blobs, random) }).then((answer) => {
      underWay -= 1;
      settle(batch, answer);
      flush();
    });
  };

  const flush = (): void => {
    scheduled = false;
    gathered = 0;
    for (let free = messagesMax - underWay; waiting.length > 0 && free > 0; free -= 1) {
      let events = 0;
      let count = 0;
      while (count < waiting.length && (count === 0 || events < transactionEventsMax)) {
        events += (waiting[count]?.drafts.length ?? 0) + (waiting[count]?.blobs.length ?? 0);
        count += 1;
      }
      send(waiting.splice(0, count));
    }
    if (pending === 0) for (const resolve of idle.splice(0)) resolve();
  };

  return {
    append(drafts, blobs = []) {
      const count = drafts.length + blobs.length;
      const bytes = bytesOf(blobs);
      if (count === 0) return Promise.resolve({ ok: true, value: [] });
      if (pending + count > appendsPendingMax)
        return busy(`${pending} events wait for the ledger, the limit is ${appendsPendingMax}`);
      if (pendingBytes + bytes > blobBytesPendingMax)
        return busy(`${pendingBytes} bytes of blobs wait for the ledger, the limit is ${blobBytesPendingMax}`);
      const prepared = prepare(drafts, blobs);
      if (!prepared.ok) return Promise.resolve(prepared);
      pending += count;
      pendingBytes += bytes;
      return new Promise((resolve) => {
        waiting.push({ drafts: prepared.value, blobs, resolve });
        gathered += count;
        if (gathered >= (underWay === 0 ? wakeAt : sendAtOnce)) return flush();
        if (scheduled) return;
        scheduled = true;
        setImmediate(flush);
      });
    },
    fault: () => fault,
    pending: () => pending,
    drained: () => (pending === 0 ? Promise.resolve() : new Promise((resolve) => idle.push(resolve))),
  };
}

function busy(why: string): Promise<Result<never, Failure>> {
  return Promise.resolve(err(failure('Busy', why, { hint: 'Try again when the disk has caught up.' })));
}

/** Characters for texts, which is near enough for a bound. */
function bytesOf(blobs: readonly BlobDraft[]): number {
  return blobs.reduce((sum, { content }) => sum + content.length, 0);
}

function eventOf(id: number | undefined): AppendedEvent {
  if (id === undefined) throw new Error('assumed an id for each event');
  return { id: Math.abs(id), existing: id < 0 };
}
