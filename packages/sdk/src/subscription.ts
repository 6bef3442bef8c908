/**
 * The messages of one subscription, to be taken one at a time.
 *
 * 1. Messages come in the order received; what waits to be taken when it ends is still given.
 * 2. When `bufferedMessagesMax` wait, `onFull` is called: the connection stops reading until they are taken.
 */
import { bufferedMessagesMax } from './limits.ts';

export interface MessageQueue<T> extends AsyncIterable<T> {
  put(message: T): void;
  end(): void;
  readonly size: number;
}

export function createMessageQueue<T>(onFull: () => void, onRoom: () => void): MessageQueue<T> {
  let waiting: T[] = [];
  let first = 0;
  let ended = false;
  let wake: (() => void) | undefined;
  const size = (): number => waiting.length - first;
  const take = (): T | undefined => {
    const message = waiting[first];
    first += 1;
    if (first === waiting.length || first > 4096) {
      waiting = waiting.slice(first);
      first = 0;
    }
    if (size() * 2 === bufferedMessagesMax) onRoom();
    return message;
  };
  return {
    get size() {
      return size();
    },
    put(message) {
      if (ended) return;
      waiting.push(message);
      if (size() >= bufferedMessagesMax) onFull();
      wake?.();
    },
    end() {
      ended = true;
      wake?.();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (size() > 0) {
          const message = take();
          if (message !== undefined) yield message;
        }
        if (ended) return;
        await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
    },
  };
}
