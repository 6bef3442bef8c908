/**
 * The ledger thread: commits whatever has arrived at once.
 *
 * Every message that is in the queue when the thread wakes joins one transaction, up to a limit; there is no timer.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Failure, Result } from '@runloop/core';
import { loadBlake3 } from '../blake3.ts';
import { createLedgerDesk, type LedgerData, type LedgerQuestion } from './ledger-desk.ts';
import type { AppendRequest } from './ledger.ts';
import { transactionEventsMax } from '../limits.ts';
import type { Answer, Question } from '../thread.ts';

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');

using desk = createLedgerDesk(workerData as LedgerData, await loadBlake3(), process.pid);
const reply = (n: number, answer: Result<unknown, Failure>): void => port.postMessage({ n, answer } satisfies Answer);

type Message = 'close' | Question<LedgerQuestion>;

function commit(batch: readonly Question<readonly AppendRequest[]>[]): void {
  const answers = desk.commit(batch.map(({ question }) => question));
  for (const [i, { n }] of batch.entries()) {
    const answer = answers[i];
    if (answer !== undefined) reply(n, answer);
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
      if (question === 'open') reply(n, desk.open());
      else if ('type' in question) {
        // What was asked before it is written first.
        commit(batch);
        batch = [];
        events = 0;
        reply(n, desk.upkeep(question));
      } else {
        batch.push({ n, question });
        events += question.reduce((sum, one) => sum + one.drafts.length + one.blobs.length, 0);
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
