import { expect, test } from 'vitest';
import { sinceOf } from '../src/parse-time.ts';
import { exactDollars } from '../src/screen.ts';

const now = Date.UTC(2026, 10, 21);

test.each([
  [undefined, 0],
  ['90m', now - 90 * 60_000],
  ['7d', now - 7 * 86_400_000],
  ['4w', now - 28 * 86_400_000],
  ['999999w', 0],
  ['2026-11-01', Date.UTC(2026, 10, 1)],
  ['2026-11-01T10:00:00Z', Date.UTC(2026, 10, 1, 10)],
  ['2026-13-01', undefined],
  ['yesterday', undefined],
  ['7', undefined],
])('--since %s', (given, expected) => {
  const since = sinceOf(given, now);
  expect(since.ok ? since.value : undefined).toBe(expected);
});

test.each([
  [0, '$0.000000000'],
  [1, '$0.000000001'],
  [1_234_567_890, '$1.234567890'],
  [Number.MAX_SAFE_INTEGER, '$9007199.254740991'],
])('%d nano-dollars are shown exactly', (nano, expected) => {
  expect(exactDollars(nano)).toBe(expected);
});
