/**
 * The ledger thread: commits whatever arrives as one transaction.
 *
 * What comes while a transaction is being written joins it, up to a limit: one wait for the disk for all. There is no timer.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Failure, type Result, ok } from '@runloop/core';
import { loadBlake3 } from '../blake3.ts';
import { countOf } from './batch.ts';
import { createLedgerDesk, type LedgerAppend, type LedgerData, type LedgerQuestion } from './ledger-desk.ts';
import { transactionEventsMax } from '../limits.ts';
import type { Answer, Question } from '../thread.ts';

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');

type Message = 'close' | Question<LedgerQuestion>;
type Append = Question<LedgerAppend>;

using desk = createLedgerDesk(workerData as LedgerData, await loadBlake3(), process.pid);
const reply = (n: number, answer: Result<unknown, Failure>): void => port.postMessage({ n, answer } satisfies Answer);
const receive = (): Message | undefined => receiveMessageOnPort(port)?.message as Message | undefined;
const isAppend = (message: Message): message is Append =>
  message !== 'close' && message.question !== 'open' && message.question.type === 'append';
const sizeOf = ({ batch }: LedgerAppend): number => countOf(batch) + batch.blobs.length;

/** Commits it with the appends that arrive meanwhile; answers what has arrived that is none. */
function commit(first: Append): Message | undefined {
  const asked = [first.n];
  let events = sizeOf(first.question);
  let other: Message | undefined;
  const answers = desk.commit(first.question.batch, () => {
    const message = events < transactionEventsMax ? receive() : undefined;
    if (message === undefined) return undefined;
    if (!isAppend(message)) {
      other = message;
      return undefined;
    }
    asked.push(message.n);
    events += sizeOf(message.question);
    return message.question.batch;
  });
  for (const [i, n] of asked.entries()) reply(n, answers.ok ? ok(answers.value[i]) : answers);
  return other;
}

await new Promise<void>((resolve) => {
  port.on('message', (first: Message) => {
    for (let message: Message | undefined = first; message !== undefined;) {
      if (message === 'close') {
        port.close();
        return resolve();
      }
      if (isAppend(message)) {
        message = commit(message) ?? receive();
        continue;
      }
      const { n, question } = message as Question<Exclude<LedgerQuestion, LedgerAppend>>;
      reply(n, question === 'open' ? desk.open() : desk.upkeep(question));
      message = receive();
    }
  });
});
