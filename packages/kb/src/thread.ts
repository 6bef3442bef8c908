/**
 * Calls into a thread of ours: requests go in with a number, results come back with it.
 *
 * 1. Requests are performed in the order in which they were sent.
 * 2. When the thread dies, whatever waits for it fails, and so does every later call; nothing hangs.
 */
import { type Failure, type Result, err, failure, startModuleThread } from '@runloop/core';
import { threadYoungMib } from './limits.ts';

export type Question<Q> = { readonly n: number; readonly question: Q };
export type Answer = { readonly n: number; readonly answer: Result<unknown, Failure> };

export interface Thread<Q> extends AsyncDisposable {
  /** Throws what structured clone throws when the question cannot be sent. */
  ask(question: Q): Promise<Result<unknown, Failure>>;
  /** Whether it has ended by itself. */
  readonly isDead?: () => boolean;
}

/** Starts the module `name` beside this one (`.ts` from source, `.js` when built) as a thread. */
export function startThread<Q>(name: string, workerData: unknown): Thread<Q> {
  const worker = startModuleThread(import.meta.url, name, {
    workerData,
    resourceLimits: { maxYoungGenerationSizeMb: threadYoungMib },
  });
  const waiting = new Map<number, (result: Result<unknown, Failure>) => void>();
  let next = 1;
  let dead: Failure | undefined;
  const die = (why: string): void => {
    dead ??= failure('StorageFailed', `the ${name} thread ended: ${why}`, { hint: 'Restart the daemon; see its log.' });
    for (const resolve of waiting.values()) resolve(err(dead));
    waiting.clear();
  };
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      die(`exit code ${code}`);
      resolve();
    });
  });
  worker.on('error', (error) => die(error instanceof Error ? error.message : String(error)));
  worker.on('message', ({ n, answer }: Answer) => {
    const resolve = waiting.get(n);
    waiting.delete(n);
    resolve?.(answer);
  });
  return {
    ask(question) {
      if (dead !== undefined) return Promise.resolve(err(dead));
      const n = next;
      next += 1;
      worker.postMessage({ n, question } satisfies Question<Q>);
      return new Promise((resolve) => waiting.set(n, resolve));
    },
    isDead: () => dead !== undefined,
    async [Symbol.asyncDispose]() {
      if (dead === undefined) worker.postMessage('close');
      await ended;
    },
  };
}
