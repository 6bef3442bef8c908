/** The parts of the broker as tables and properties: patterns, streams, estimates, the gate. */
import { systemClock, unwrap } from '@runloop/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createGate } from '../src/gate.ts';
import { queueMax } from '../src/limits.ts';
import { matches } from '../src/pattern.ts';
import { costNano } from '../src/prices.ts';
import { createLineDecoder } from '../src/lines.ts';
import { createSseDecoder } from '../src/sse.ts';

test.each<[string, string, boolean]>([
  ['*', '', true],
  ['a*', 'abc', true],
  ['a*', 'b', false],
  ['*c', 'abc', true],
  ['a*b*c', 'a-b-c', true],
  ['a*b*c', 'acb', false],
  ['ab*ba', 'aba', false],
  ['a', 'a', true],
  ['a', 'ab', false],
  ['a**b', 'ab', true],
])('the pattern %s on %s: %s', (pattern, name, expected) => expect(matches(pattern, name)).toBe(expected));

test('prices are nano-dollars, rounded up', () => {
  expect(costNano({ pattern: '*', input: 0.15, output: 0.6 }, { tokens_in: 1_000, tokens_out: 10 })).toBe(
    150_000 + 6_000,
  );
  expect(costNano({ pattern: '*', input: 0.0001, output: 0 }, { tokens_in: 1, tokens_out: 0 })).toBe(1);
});

test('a stream is the same however its bytes are cut', () => {
  const events = ['{"a":"ü€😀"}', 'two\nlines', '[DONE]'];
  const bytes = Buffer.from(
    `: hello\r\n\r\ndata: ${events[0]}\n\nevent: x\ndata: two\ndata:lines\n\ndata: [DONE]\r\n\r\n`,
  );
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
      const decoder = createSseDecoder();
      const found: string[] = [];
      let from = 0;
      for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
        found.push(...decoder.push(bytes.subarray(from, to)));
        from = to;
      }
      expect(found).toEqual(events);
    }),
  );
});

test('a long line in pieces of one byte is looked through once', () => {
  const piece = Buffer.from('x');
  for (const [decoder, end] of [
    [createSseDecoder(), '\n\n'],
    [createLineDecoder(), '\n'],
  ] as const) {
    decoder.push(Buffer.from('data: '));
    for (let i = 0; i < 1_000_000; i += 1) decoder.push(piece);
    expect(decoder.push(Buffer.from(end))[0]?.endsWith('xx')).toBe(true);
  }
});

describe('the gate', () => {
  test('lets so many in, the rest in order, and those who go away are forgotten', async () => {
    const gate = createGate(systemClock, 'p', 2);
    const never = new AbortController().signal;
    const [a, b] = [unwrap(await gate.enter(never), 'a place'), unwrap(await gate.enter(never), 'a place')];
    const order: string[] = [];
    const gone = new AbortController();
    const waiting = [
      gate.enter(gone.signal).then((answer) => order.push(answer.ok ? 'in' : answer.error.code)),
      gate.enter(never).then((answer) => order.push(answer.ok ? 'second' : 'no')),
    ];
    gone.abort();
    a[Symbol.dispose]();
    a[Symbol.dispose]();
    await Promise.all(waiting);
    expect(order).toEqual(['Cancelled', 'second']);
    b[Symbol.dispose]();
    expect((await gate.enter(never)).ok).toBe(true);
  });

  test('A10: its queue is bounded', async () => {
    const gate = createGate(systemClock, 'p', 1);
    const away = new AbortController();
    await gate.enter(away.signal);
    const waiting = Array.from({ length: queueMax }, () => gate.enter(away.signal));
    expect(await gate.enter(away.signal)).toMatchObject({ ok: false, error: { code: 'Busy' } });
    away.abort();
    expect((await Promise.all(waiting)).every(({ ok }) => !ok)).toBe(true);
  });
});
