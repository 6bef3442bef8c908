/**
 * Signs the ledger's head every hour and at the end: whoever cuts the ledger short later no longer has it.
 */
import type { Clock, Failure, Log, Result } from '@runloop/core';

export const sealMs = 3_600_000;

/** `seal` signs only where something is new. When it is disposed of, the last head has been signed. */
export function sealing(
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  seal: () => Promise<Result<unknown, Failure>>,
): AsyncDisposable {
  let isOver = false;
  let timer: Disposable;
  let last = Promise.resolve();
  const sealed = async (): Promise<void> => {
    const head = await seal();
    if (!head.ok) log.log('error', 'the head of the ledger could not be signed', { reason: head.error.message });
  };
  const later = (): void => {
    if (isOver) return;
    timer = clock.after(sealMs, () => {
      last = sealed().then(later);
    });
  };
  later();
  return {
    async [Symbol.asyncDispose]() {
      isOver = true;
      timer[Symbol.dispose]();
      await last;
      await sealed();
    },
  };
}
