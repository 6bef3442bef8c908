/** The views thread rests when nobody asks, and loses nothing by it. */
import { ok } from '@runloop/core';
import { settle, simulatedClock } from '@runloop/testkit';
import { expect, test } from 'vitest';
import { restingThread } from '../src/resting-thread.ts';
import type { Thread } from '../src/thread.ts';

/** Threads that count themselves and answer with their number. */
function threads(): { start: () => Thread<string>; started: () => number; ended: () => number } {
  let started = 0;
  let ended = 0;
  return {
    started: () => started,
    ended: () => ended,
    start: () => {
      started += 1;
      const number = started;
      return {
        ask: (question) => Promise.resolve(ok(`${question}${number}`)),
        async [Symbol.asyncDispose]() {
          await Promise.resolve();
          ended += 1;
        },
      };
    },
  };
}

test('it starts at the first question, ends after the idle time, and starts again', async () => {
  const clock = simulatedClock();
  const kit = threads();
  let rested = 0;
  const thread = restingThread(clock, kit.start, 1000, () => (rested += 1));
  expect(thread.awake()).toBe(false);
  expect(await thread.ask('a')).toEqual(ok('a1'));
  await clock.advance(900);
  expect(await thread.ask('b')).toEqual(ok('b1'));
  await clock.advance(900);
  expect(thread.awake()).toBe(true);
  await clock.advance(200);
  expect(thread.awake()).toBe(false);
  expect(rested).toBe(1);
  expect(await Promise.all([thread.ask('c'), thread.ask('d')])).toEqual([ok('c2'), ok('d2')]);
  expect([kit.started(), kit.ended(), rested]).toEqual([2, 1, 1]);
  await clock.advance(1100);
  await settle();
  expect([kit.ended(), rested]).toEqual([2, 2]);
  // Asked while it ends: it waits for that, and for the new one.
  await thread.ask('e');
  const ending = clock.advance(1100);
  expect(await thread.ask('f')).toMatchObject({ ok: true });
  await ending;
  await thread[Symbol.asyncDispose]();
  expect(kit.ended()).toBe(kit.started());
});

test('closing ends it for good', async () => {
  const clock = simulatedClock();
  const kit = threads();
  const thread = restingThread(clock, kit.start, 1000);
  await thread.ask('a');
  await thread[Symbol.asyncDispose]();
  await clock.advance(5000);
  await settle();
  expect([kit.started(), kit.ended()]).toEqual([1, 1]);
});

test('one that has died is started anew at the next question', async () => {
  const clock = simulatedClock();
  const kit = threads();
  let dead = false;
  const start = (): Thread<string> => {
    dead = false;
    return { ...kit.start(), isDead: () => dead };
  };
  const thread = restingThread(clock, start, 1000);
  expect(await thread.ask('a')).toEqual(ok('a1'));
  dead = true;
  expect(await thread.ask('b')).toEqual(ok('b2'));
  await thread[Symbol.asyncDispose]();
});
