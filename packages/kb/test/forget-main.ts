/**
 * A process that forgets contact:jane with the real threads, and ends itself by SIGKILL at the step that it was told:
 * `before:<question>`, `during:<question>` or `after:<question>` to one of the threads, `gone:<file>` or `here:<file>`.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Failure, type Result, systemClock, systemRandom, unwrap } from '@runloop/core';
import { forget } from '../src/forget/forget.ts';
import type { Thread } from '../src/thread.ts';
import { by, startThreads } from './forget-kit.ts';

const [rootDir = '', step = ''] = process.argv.slice(2);
const [when = '', what = ''] = step.split(':');
const die = (): void => void process.kill(process.pid, 'SIGKILL');

/** A thread that has the process killed when it is asked `what`. */
function mortal<Q>(thread: Thread<Q>): Thread<Q> {
  return {
    async ask(question) {
      const isIt = typeof question === 'object' && question !== null && 'type' in question && question.type === what;
      if (isIt && when === 'before') die();
      const answer = thread.ask(question);
      if (isIt && when === 'during') setTimeout(die, 2);
      const answered: Result<unknown, Failure> = await answer;
      if (isIt && when === 'after') die();
      return answered;
    },
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  };
}

if (when === 'gone' || when === 'here') {
  const watch = `const { workerData: w, parentPort: p } = require('node:worker_threads'); const { existsSync } = require('node:fs');
    p.postMessage(''); while (!existsSync(w.path)); while (w.isGone && existsSync(w.path)); process.kill(process.pid, 'SIGKILL');`;
  const worker = new Worker(watch, { eval: true, workerData: { path: join(rootDir, what), isGone: when === 'gone' } });
  await new Promise((resolve) => worker.once('message', resolve));
}
await using owner = new AsyncDisposableStack();
const { ledger, views, search, data } = await startThreads(rootDir, owner);
const deps = { random: systemRandom, ledger: mortal(ledger), views: mortal(views), search: mortal(search), data };
unwrap(await forget(deps, 'contact:jane', { ...by, ts_ms: systemClock.nowMs() }), 'a forgetting');
