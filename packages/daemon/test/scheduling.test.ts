/** Who runs next, who looks on, and who is turned away. */
import { systemClock, unwrap } from '@runloop/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventFeed } from '../src/runs/feed.ts';
import { Slots } from '../src/runs/slots.ts';
import { opening, Place, traceId } from './runs-fixture.ts';

/** Asks for a slot for each `[run, priority]` while none is free; answers who got them, one after another. */
function served(asks: readonly (readonly [run: string, priority: number])[]): string[] {
  const slots = new Slots(1, 1000);
  const order: string[] = [];
  slots.take();
  for (const [run, priority] of asks) slots.request(run, priority, () => order.push(run) > 0);
  for (let i = 0; i < asks.length; i += 1) slots.release();
  return order;
}

describe('slots', () => {
  test.each([
    ['round-robin over runs, whoever asked for more', ['a a a b b c'], 'a b c a b a'],
    ['the higher priority first', ['a:0 b:9 a:0 b:9 c:5'], 'b b c a a'],
  ])('%s', (_, [asks = ''], expected) => {
    const list = asks.split(' ').map((ask) => [ask.split(':')[0] ?? '', Number(ask.split(':')[1] ?? 0)] as const);
    expect(served(list).join(' ')).toBe(expected);
  });

  test('nobody of one priority waits for more than one turn of each other run', () => {
    const asks = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(asks, (runs) => {
        const order = served(runs.map((run) => [run, 0]));
        expect([...order].sort()).toEqual([...runs].sort());
        for (const [at, run] of order.entries()) {
          const next = order.indexOf(run, at + 1);
          const between = order.slice(at + 1, next === -1 ? at + 1 : next);
          expect(new Set(between).size).toBe(between.length);
        }
      }),
    );
  });

  test('a node that does not need its slot any more hands it on', () => {
    const slots = new Slots(1, 10);
    const order: string[] = [];
    slots.take();
    slots.request('gone', 9, () => false);
    slots.request('there', 0, () => order.push('there') > 0);
    slots.release();
    expect([order, slots.used, slots.waiting]).toEqual([['there'], 1, 0]);
  });

  test('A10: what would let more nodes wait than may is refused, and says what to do', async () => {
    await using place = await Place.open();
    const { submit } = await place.boot(() => Promise.resolve(1), { nodesWaitingMax: 3 });
    expect(await submit({ text: opening(4) })).toMatchObject({
      error: { code: 'LimitExceeded', hint: expect.stringContaining('nodes_waiting_max') },
    });
    expect(await submit({ text: opening(3) })).toMatchObject({ ok: true });
  });
});

test('who looks on and goes and comes again sees each event once and in order, while the run goes on', async () => {
  await using place = await Place.open();
  const { submit, until } = await place.boot(async (call) => {
    for (let i = 0; i < 20; i += 1)
      await call('kb.propose', { kind: 'fact.asserted', payload: { subject: 's', predicate: `p${i}`, object: 'o' } });
    return 1;
  });
  const feed = new EventFeed(systemClock, place.kb);
  const edges = Array.from({ length: 5 }, (_, i) => `  - { from: n${i}.out, to: n${i + 1}.in }`).join('\n');
  unwrap(await submit({ text: opening(6, `edges:\n${edges}\n`) }), 'a run');
  const watch = async (max: number): Promise<number[]> => {
    const seen: number[] = [];
    for (let looks = 0; ; looks += 1) {
      // Every third look is broken off before it has an answer.
      const leaving = new AbortController();
      const page = feed.read({ traceId, afterSeq: seen.at(-1) ?? 0, max, waitMs: 20 }, leaving.signal);
      if (looks % 3 === 2) leaving.abort();
      const { events, done } = unwrap(await page, 'a page');
      if (looks % 3 !== 2) seen.push(...events.map(({ seq }) => seq ?? -1));
      if (done && looks % 3 !== 2) return seen;
    }
  };
  const watched = await Promise.all([1, 2, 7, 1000].map(watch));
  const all = (await until('run.finished')).flatMap(({ run_seq }) => run_seq ?? []);
  for (const seen of watched) expect(seen).toEqual(all);
});
