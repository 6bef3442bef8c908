/**
 * A thread for planning what to archive: it reads the whole ledger, and holds up neither the writer nor the readers.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { err, ok } from '@runloop/core';
import { storageFailure } from '../storage-failure.ts';
import type { Answer, Question } from '../thread.ts';
import { planArchive } from './plan.ts';

export type ArchiveData = { readonly eventsDb: string };

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');
const { eventsDb } = workerData as ArchiveData;

function plan(beforeMs: number): Answer['answer'] {
  try {
    using stack = new DisposableStack();
    const ledger = new Database(eventsDb, { readonly: true, fileMustExist: true });
    stack.defer(() => ledger.close());
    return ok(ledger.transaction(() => planArchive(ledger, beforeMs))());
  } catch (error) {
    return err(storageFailure(error, eventsDb));
  }
}

port.on('message', (message: 'close' | Question<number>) => {
  if (message === 'close') return port.close();
  port.postMessage({ n: message.n, answer: plan(message.question) } satisfies Answer);
});
