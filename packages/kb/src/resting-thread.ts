/**
 * A thread that ends when nobody has asked it anything for a while, and starts again at the next question.
 *
 * 1. A question that comes while the thread ends waits for that, and then for the new one; none is lost.
 * 2. One that has died is started anew at the next question.
 * 3. What the thread knows it must be able to learn again from disk: only such threads may rest.
 */
import type { Clock, Failure, Result } from '@runloop/core';
import type { Thread } from './thread.ts';

export function restingThread<Q>(
  clock: Pick<Clock, 'after'>,
  start: () => Thread<Q>,
  idleMs: number,
  onRest: () => void = () => undefined,
): Thread<Q> & { readonly awake: () => boolean } {
  let thread: Thread<Q> | undefined;
  let ending: Promise<void> = Promise.resolve();
  let pending = 0;
  let timer: Disposable | undefined;
  let closed = false;

  const rest = (): void => {
    timer?.[Symbol.dispose]();
    if (closed) return;
    timer = clock.after(idleMs, () => {
      if (pending > 0 || thread === undefined) return;
      ending = Promise.resolve(thread[Symbol.asyncDispose]());
      thread = undefined;
      void ending.then(() => {
        if (thread === undefined && pending === 0 && !closed) onRest();
      });
    });
  };

  return {
    awake: () => thread !== undefined,
    async ask(question): Promise<Result<unknown, Failure>> {
      pending += 1;
      try {
        await ending;
        if (thread?.isDead?.() === true) thread = undefined;
        thread ??= start();
        return await thread.ask(question);
      } finally {
        pending -= 1;
        if (pending === 0) rest();
      }
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      timer?.[Symbol.dispose]();
      await ending;
      await thread?.[Symbol.asyncDispose]();
    },
  };
}
