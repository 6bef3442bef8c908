/**
 * The ledger thread: takes the lock of the state directory, owns events.sqlite, and commits whatever has arrived at once.
 *
 * Every message that is in the queue when the thread wakes joins one transaction, up to a limit; there is no timer.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Failure, type Result, err } from '@runloop/core';
import { loadBlake3 } from './blake3.ts';
import { type AppendRequest, openLedger } from './ledger.ts';
import { transactionEventsMax } from './limits.ts';
import { takeLock } from './lock.ts';
import type { Answer, Question } from './thread.ts';

/** The first question is `open`; the others are appends. */
export type LedgerQuestion = 'open' | readonly AppendRequest[];
export type LedgerData = {
  readonly rootDir: string;
  readonly eventsDb: string;
  readonly pagesMax?: number | undefined;
};

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');
const data = workerData as LedgerData;

const blake3 = await loadBlake3();
using stack = new DisposableStack();
const reply = (n: number, answer: Result<unknown, Failure>): void => port.postMessage({ n, answer } satisfies Answer);

const opened = ((): ReturnType<typeof openLedger> => {
  const lock = takeLock(data.rootDir, process.pid);
  if (!lock.ok) return err(lock.error);
  stack.use(lock.value);
  const ledger = openLedger(data.eventsDb, blake3, { pagesMax: data.pagesMax });
  if (ledger.ok) stack.use(ledger.value);
  return ledger;
})();

type Message = 'close' | Question<LedgerQuestion>;

function commit(batch: readonly Question<readonly AppendRequest[]>[]): void {
  if (!opened.ok) return batch.forEach(({ n }) => reply(n, err(opened.error)));
  const answers = opened.value.append(batch.flatMap(({ question }) => question));
  let at = 0;
  for (const { n, question } of batch) {
    reply(n, { ok: true, value: answers.slice(at, at + question.length) });
    at += question.length;
  }
}

await new Promise<void>((resolve) => {
  port.on('message', (first: Message) => {
    let message: Message | undefined = first;
    let batch: Question<readonly AppendRequest[]>[] = [];
    let events = 0;
    while (message !== undefined) {
      if (message === 'close') {
        commit(batch);
        port.close();
        return resolve();
      }
      const { n, question } = message;
      if (question === 'open') reply(n, opened.ok ? { ok: true, value: opened.value.lastId() } : err(opened.error));
      else {
        batch.push({ n, question });
        events += question.reduce((sum, one) => sum + one.drafts.length, 0);
      }
      if (events >= transactionEventsMax) {
        commit(batch);
        batch = [];
        events = 0;
      }
      const following: { readonly message: Message } | undefined = receiveMessageOnPort(port);
      message = following?.message;
    }
    if (batch.length > 0) commit(batch);
  });
});
