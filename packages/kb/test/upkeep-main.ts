/**
 * A process that forgets contact:jane, archives, or makes a backup in `b`, with the real threads, and ends itself by SIGKILL at the step that it
 * was told: `before:<question>`, `during:<question>` or `after:<question>` to one of the threads, `gone:<file>`,
 * `here:<file>`, or `packed:`, once there is something in the archive.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Failure, type Result, systemClock, systemRandom, unwrap } from '@runloop/core';
import { archiveOld } from '../src/archive/archive-old.ts';
import { forget } from '../src/forget/forget.ts';
import { createProgress } from '../src/progress.ts';
import type { Thread } from '../src/thread.ts';
import { by, startThreads } from './forget-kit.ts';
import { open } from './kb-kit.ts';

const [rootDir = '', work = '', step = ''] = process.argv.slice(2);
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

async function watch(script: string): Promise<void> {
  const code = `const { workerData: w, parentPort: p } = require('node:worker_threads'); const { existsSync } = require('node:fs');
    const nap = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); p.postMessage(''); ${script}; process.kill(process.pid, 'SIGKILL');`;
  const worker = new Worker(code, { eval: true, workerData: join(rootDir, what) });
  await new Promise((resolve) => worker.once('message', resolve));
}

const here = 'while (!existsSync(w)) nap()';
if (when === 'here') await watch(here);
if (when === 'gone') await watch(`${here}; while (existsSync(w)) nap()`);
if (when === 'packed')
  await watch(`const D = require('better-sqlite3'); const path = w + '/archive.sqlite';
    const some = () => { try { const db = new D(path, { readonly: true });
      try { return db.prepare('SELECT count(*) FROM blobs').pluck().get() > 0; } finally { db.close(); } } catch { return false; } };
    while (!some()) nap()`);
if (work === 'backup') {
  await using kb = await open(rootDir);
  unwrap(await kb.backup(join(rootDir, 'b'), by), 'a backup');
}
await using owner = new AsyncDisposableStack();
const { data, ...threads } = await startThreads(rootDir, owner);
const ledger = mortal(threads.ledger);
if (work === 'archive') {
  const progress = createProgress();
  unwrap(await archiveOld({ ledger, progress, eventsDb: data.eventsDb }, 5_000), 'archived');
} else {
  const others = { views: mortal(threads.views), search: mortal(threads.search) };
  const blobs = { watchPuts: () => ({ has: () => false, [Symbol.dispose]: () => undefined }) };
  const deps = { random: systemRandom, ledger, ...others, blobs, data };
  unwrap(await forget(deps, 'contact:jane', { ...by, ts_ms: systemClock.nowMs() }), 'a forgetting');
}
