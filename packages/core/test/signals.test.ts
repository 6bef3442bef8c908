/** A joined signal ends with the first of its own, once, and lets go of them. */
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { joinSignals } from '../src/index.ts';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

test.each([0, 1])('it ends with number %i, for its reason, and listens to none any more', (nth) => {
  const both = [new AbortController(), new AbortController()];
  const joined = joinSignals(...both.map(({ signal }) => signal));
  let ends = 0;
  joined.signal.addEventListener('abort', () => (ends += 1));
  both[nth]?.abort(`reason ${nth}`);
  both[1 - nth]?.abort('too late');
  expect([ends, joined.signal.reason]).toEqual([1, `reason ${nth}`]);
  expect(both.map(({ signal }) => listeners(signal))).toEqual([0, 0]);
});

test('it has ended where one of them had', () => {
  const open = new AbortController();
  const joined = joinSignals(open.signal, AbortSignal.abort('before'));
  expect([joined.signal.aborted, joined.signal.reason, listeners(open.signal)]).toEqual([true, 'before', 0]);
});

test('disposed of, it ends no more', () => {
  const one = new AbortController();
  const joined = joinSignals(one.signal);
  expect(listeners(one.signal)).toBe(1);
  joined[Symbol.dispose]();
  one.abort();
  expect([joined.signal.aborted, listeners(one.signal)]).toEqual([false, 0]);
});
