/**
 * The ports through which pure code meets the machine: time, randomness, log.
 *
 * Production makes them once, in a `main.ts`; tests pass simulated ones from the testkit.
 */
export interface Clock {
  /** Wall time, milliseconds since the epoch, an integer. */
  nowMs(): number;
  /** Milliseconds that never go backwards, with fractions. */
  monotonicMs(): number;
  /** Calls `fn` once after `delayMs`, unless disposed of before. */
  after(delayMs: number, fn: () => void): Disposable;
}

export interface Random {
  bytes(length: number): Uint8Array;
}

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';
export type LogFields = { readonly [key: string]: unknown };

export interface Log {
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

/** Resolves after `delayMs`, or at once with `aborted` when the signal says so. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<'elapsed' | 'aborted'> {
  if (signal?.aborted === true) return Promise.resolve('aborted');
  return new Promise((resolve) => {
    const onAbort = (): void => {
      timer[Symbol.dispose]();
      resolve('aborted');
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve('elapsed');
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
