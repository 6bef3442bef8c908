/** The parts of the broker as tables and properties: budgets, patterns, streams, estimates, the gate. */
import { systemClock, unwrap } from '@runloop/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Reservation, createBudgets } from '../src/budgets.ts';
import { createGate } from '../src/gate.ts';
import { levelsMax, queueMax } from '../src/limits.ts';
import { matches } from '../src/pattern.ts';
import { costNano } from '../src/prices.ts';
import { createLineDecoder } from '../src/lines.ts';
import { createSseDecoder } from '../src/sse.ts';

describe('budgets', () => {
  test('over any order of reserving and settling, spent plus reserved never passes a cap, and nothing is lost', () => {
    const step = fc.record({
      keys: fc.subarray(['run:a', 'node:a/x', 'day:1'], { minLength: 1 }),
      bound: fc.nat(40),
      used: fc.nat(40),
      settle: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(200), (steps, cap) => {
        const budgets = createBudgets();
        const open: { reservation: Reservation; used: number; keys: readonly string[] }[] = [];
        const spent = new Map<string, number>();
        for (const { keys, bound, used, settle } of steps) {
          const levels = keys.map((key) => ({ name: 'run' as const, key, caps: { tokens: cap } }));
          const got = budgets.reserve(levels, { tokens: bound, usd_nano: 0, calls: 1 });
          if (got.ok) open.push({ reservation: got.value, used: Math.min(used, bound), keys });
          for (const one of open.splice(0, settle)) {
            one.reservation.settle({ tokens: one.used, usd_nano: 0, calls: 1 });
            one.reservation.settle({ tokens: one.used, usd_nano: 0, calls: 1 });
            for (const key of one.keys) spent.set(key, (spent.get(key) ?? 0) + one.used);
          }
          for (const key of ['run:a', 'node:a/x', 'day:1']) {
            const state = budgets.state(key);
            expect((state?.spent.tokens ?? 0) + (state?.reserved.tokens ?? 0)).toBeLessThanOrEqual(cap);
            expect(state?.spent.tokens ?? 0).toBe(spent.get(key) ?? 0);
            expect(state?.frozen ?? false).toBe(false);
          }
        }
      }),
    );
  });

  test('a refusal at one level reserves at none', () => {
    const budgets = createBudgets();
    const levels = [
      { name: 'run' as const, key: 'run:a', caps: {} },
      { name: 'node' as const, key: 'node:b', caps: { tokens: 1 } },
    ];
    expect(budgets.reserve(levels, { tokens: 2, usd_nano: 0, calls: 1 })).toMatchObject({
      ok: false,
      error: { code: 'BudgetExceeded', details: { level: 'node', left: 1 } },
    });
    expect(budgets.state('run:a')?.reserved.tokens ?? 0).toBe(0);
  });

  test('A10: levels are bounded until runs end', () => {
    const budgets = createBudgets();
    const one = { tokens: 1, usd_nano: 0, calls: 1 };
    for (let i = 0; i < levelsMax; i += 1) budgets.book([{ name: 'run', key: `run:${i}`, caps: {} }], one);
    const more = [{ name: 'run' as const, key: 'run:new', caps: {} }];
    expect(budgets.reserve(more, one)).toMatchObject({ ok: false, error: { code: 'Busy' } });
    budgets.drop('run:1');
    expect(budgets.reserve(more, one).ok).toBe(true);
  });
});

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
