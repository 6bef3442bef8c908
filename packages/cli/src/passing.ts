/**
 * What comes of a run in passing: pieces of what a model says, lines of logs. None of it has to come, none is waited for long.
 */
import { type RunEvent, sleep, systemClock, type TraceId } from '@runloop/core';
import type { Client } from '@runloop/sdk';

/** How long the last of it is waited for, once the run has ended. */
const lateMs = 500;

export type Passing = AsyncDisposable & { readonly drained: () => Promise<unknown> };

/** Hands each event on as it is published; those of the ledger are among them. */
export async function watchPassing(
  client: Client,
  traceId: TraceId,
  take: (event: RunEvent) => void,
): Promise<Passing> {
  const subscribed = await client.subscribe(`rlp/runs/${traceId}/events`);
  if (!subscribed.ok) return { drained: () => Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() };
  const messages = subscribed.value;
  const finished = Promise.withResolvers<void>();
  void (async () => {
    for await (const { payload } of messages) {
      const event = payload as unknown as RunEvent;
      take(event);
      if (event.kind === 'run.finished') break;
    }
    finished.resolve();
  })();
  return {
    drained: () => Promise.race([finished.promise, sleep(systemClock, lateMs)]),
    [Symbol.asyncDispose]: () => messages[Symbol.asyncDispose](),
  };
}
