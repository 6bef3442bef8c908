/** Changes that run once, for as long as they are remembered. */
import { type Failure, type Result, failure, err, ok } from '@runloop/core';
import { simulatedClock } from '@runloop/testkit';
import { expect, test } from 'vitest';
import { createIdempotency } from '../src/sessions/idempotency.ts';

const code = (answer: Result<unknown, Failure>): unknown => (answer.ok ? answer.value : answer.error.code);

test('A10: keys are forgotten by age, then by number; never while they run', async () => {
  const clock = simulatedClock();
  const once = createIdempotency(clock, { idempotencyKeysMax: 2, idempotencyMs: 1000 });
  let runs = 0;
  const ask = async (traceId: string): Promise<unknown> =>
    code(
      await once.once({ principal: 'p', traceId, op: 'run.submit', args: {} }, () => Promise.resolve(ok((runs += 1)))),
    );
  expect([await ask('a'), await ask('a'), await ask('b')]).toEqual([1, 1, 2]);
  expect([await ask('c'), once.size, await ask('a')]).toEqual([3, 2, 4]);
  await clock.advance(1000);
  expect(await ask('a')).toBe(5);
  const never = new Promise<Result<unknown, Failure>>(() => undefined);
  for (const traceId of ['x', 'y'])
    void once.once({ principal: 'p', traceId, op: 'run.submit', args: {} }, () => never);
  expect(await ask('z')).toBe('LimitExceeded');
});

test('arguments that are not JSON are refused, a passing failure is tried again', async () => {
  const once = createIdempotency(simulatedClock(), { idempotencyKeysMax: 2, idempotencyMs: 1000 });
  const ask = async (args: unknown, answer: Result<unknown, Failure>): Promise<unknown> =>
    code(await once.once({ principal: 'p', traceId: 't', op: 'run.submit', args }, () => Promise.resolve(answer)));
  expect(await ask({ a: 1n }, ok(1))).toBe('InvalidParams');
  expect(await ask({}, err(failure('Busy', 'x')))).toBe('Busy');
  expect(await ask({}, err(failure('InvalidOpening', 'x')))).toBe('InvalidOpening');
  expect(await ask({}, ok(1))).toBe('InvalidOpening');
});
