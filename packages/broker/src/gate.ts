/**
 * What stands before each provider: at most so many calls at once, a bounded queue, and a breaker for one that keeps failing.
 *
 * 1. A place is given in the order of asking. 2. An open breaker refuses at once; after its time one probe is let through.
 */
import { type Clock, type Failure, type Result, err, failure, ok } from '@runloop/core';
import { breakerFailures, breakerOpenMs, queueMax } from './limits.ts';

export type GateState = 'closed' | 'open' | 'half_open';

export interface Gate {
  /** Waits for a place; whoever gets one must dispose of it. */
  enter(signal: AbortSignal): Promise<Result<Disposable, Failure>>;
  succeeded(): void;
  failed(terminal: boolean): void;
  state(): GateState;
}

export function createGate(clock: Clock, id: string, concurrency: number): Gate {
  let inside = 0;
  let failures = 0;
  let openUntilMs = 0;
  let probing = false;
  const queue: (() => void)[] = [];
  /** Gives the place to whoever waits longest; nobody can slip in between. */
  const handOver = (): void => {
    const next = queue.shift();
    if (next === undefined) inside -= 1;
    else next();
  };
  const leave = (): Disposable => {
    let left = false;
    return {
      [Symbol.dispose]() {
        if (left) return;
        left = true;
        probing = false;
        handOver();
      },
    };
  };
  const refused = (): Failure | undefined => {
    if (failures < breakerFailures) return undefined;
    if (clock.monotonicMs() >= openUntilMs && !probing) return undefined;
    return failure(
      'ProviderUnavailable',
      `provider "${id}" is left alone for a while: it failed ${failures} times in a row`,
      { hint: 'It is tried again by itself.' },
    );
  };
  return {
    async enter(signal) {
      if (signal.aborted) return err(failure('Cancelled', 'the call was cancelled'));
      const no = refused();
      if (no !== undefined) return err(no);
      if (inside >= concurrency) {
        if (queue.length >= queueMax) return err(failure('Busy', `${queueMax} calls wait for provider "${id}"`));
        const came = await new Promise<boolean>((resolve) => {
          const onTurn = (): void => {
            signal.removeEventListener('abort', onAbort);
            resolve(true);
          };
          const onAbort = (): void => {
            queue.splice(queue.indexOf(onTurn), 1);
            resolve(false);
          };
          queue.push(onTurn);
          signal.addEventListener('abort', onAbort, { once: true });
        });
        if (!came) return err(failure('Cancelled', 'the call was cancelled while it waited'));
        const later = refused();
        if (later !== undefined) {
          handOver();
          return err(later);
        }
      } else inside += 1;
      probing = failures >= breakerFailures;
      return ok(leave());
    },
    succeeded() {
      failures = 0;
    },
    failed(terminal) {
      failures = terminal ? Math.max(failures + 1, breakerFailures) : failures + 1;
      if (failures >= breakerFailures) openUntilMs = clock.monotonicMs() + breakerOpenMs;
    },
    state: () => (failures < breakerFailures ? 'closed' : clock.monotonicMs() >= openUntilMs ? 'half_open' : 'open'),
  };
}
