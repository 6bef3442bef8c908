/**
 * The main thread's side of group commit: gathers what is appended while the writer is busy, and sends it as one message.
 *
 * 1. Appends of one turn of the event loop travel together, those of many runs too; at most two messages are under way, so
 *    that the writer always has its next one.
 * 2. What waits is bounded; beyond the limit an append is refused, not queued.
 * 3. A bad append is refused before it is sent: its neighbours are written.
 */
import { type Failure, type Random, type Result, err, failure, ok } from '@runloop/core';
import type { AppendedEvent, BlobDraft, EventDraft } from './event.ts';
import { type AppendAnswer, type AppendRequest, saltBytes } from './ledger.ts';
import type { LedgerQuestion } from './ledger-desk.ts';
import { appendsPendingMax, blobBytesPendingMax, transactionEventsMax } from '../limits.ts';
import { type PreparedEvent, prepare } from './prepare.ts';
import type { Thread } from '../thread.ts';

const messagesMax = 2;
/** So many are not kept until the end of the turn: the writer begins with them while the others are prepared. */
const sendAtOnce = 256;

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
  const idle: (() => void)[] = [];

  const settle = (batch: readonly Waiting[], answers: Result<unknown, Failure>): void => {
    let isNew = false;
    for (const [i, one] of batch.entries()) {
      pending -= one.drafts.length + one.blobs.length;
      pendingBytes -= bytesOf(one.blobs);
      const answer = answers.ok ? (answers.value as readonly AppendAnswer[])[i] : err(answers.error);
      if (answer === undefined) throw new Error('assumed an answer for each append');
      isNew ||= answer.ok && answer.value.length > 0;
      one.resolve(answer.ok ? ok(answer.value.map((id) => ({ id: Math.abs(id), existing: id < 0 }))) : answer);
    }
    if (isNew) onDurable();
  };

  const send = (batch: readonly Waiting[]): void => {
    underWay += 1;
    void thread.ask(salted(batch, random)).then((answers) => {
      underWay -= 1;
      settle(batch, answers);
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
        if (gathered >= sendAtOnce) return flush();
        if (scheduled) return;
        scheduled = true;
        setImmediate(flush);
      });
    },
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

/** One buffer of salt for all: a buffer each is what would cost most of sending them. */
function salted(batch: readonly Waiting[], random: Random): readonly AppendRequest[] {
  const salts = random.bytes(saltBytes * batch.reduce((sum, { drafts }) => sum + drafts.length, 0));
  let at = 0;
  return batch.map(({ drafts, blobs }) => {
    const from = at;
    at += drafts.length * saltBytes;
    return { drafts, blobs, salts: salts.subarray(from, at) };
  });
}
