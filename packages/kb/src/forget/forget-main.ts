/**
 * A thread for planning what to forget: it reads the whole ledger, and holds up neither the writer nor the readers.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { err } from '@runloop/core';
import { loadBlake3 } from '../blake3.ts';
import { storageFailure } from '../storage-failure.ts';
import type { Answer, Question } from '../thread.ts';
import { planForget } from './plan.ts';

export type ForgetData = { readonly rootDir: string; readonly eventsDb: string; readonly viewDb: string };

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');
const blake3 = await loadBlake3();
const { rootDir, eventsDb, viewDb } = workerData as ForgetData;

function plan(entity: string): Answer['answer'] {
  try {
    using stack = new DisposableStack();
    const opened = (path: string): Database.Database =>
      stack.adopt(new Database(path, { readonly: true, fileMustExist: true }), (db) => db.close());
    const ledger = opened(eventsDb);
    const views = opened(viewDb);
    return ledger.transaction(() => planForget({ ledger, views, rootDir }, entity, blake3))();
  } catch (error) {
    return err(storageFailure(error, eventsDb));
  }
}

port.on('message', (message: 'close' | Question<string>) => {
  if (message === 'close') return port.close();
  port.postMessage({ n: message.n, answer: plan(message.question) } satisfies Answer);
});
