/** The real clock behind `clock.now` and `clock.sleep`. */
import { expect, test } from 'vitest';
import { systemClock } from '@runloop/core';
import { performClock, sleepMsMax } from '../src/host/clock-calls.ts';

test.each([-1, Number.NaN, '1', undefined, sleepMsMax + 1])('A10: a sleep of %s ms is none', async (ms) => {
  const { result } = await performClock(systemClock, 'clock.sleep', { ms: ms as never }, new AbortController().signal);
  expect(result).toMatchObject({ ok: false, code: 'InvalidParams' });
});

test('a sleep ends with its attempt, and has no answer then', async () => {
  const abort = new AbortController();
  const sleeping = performClock(systemClock, 'clock.sleep', { ms: sleepMsMax }, abort.signal);
  abort.abort();
  await expect(sleeping).rejects.toThrow(/ended/);
});

test('both clocks are told', async () => {
  const { result } = await performClock(systemClock, 'clock.now', {}, new AbortController().signal);
  expect(result).toMatchObject({ ok: true, value: { wall_ms: expect.any(Number), monotonic_ms: expect.any(Number) } });
});
