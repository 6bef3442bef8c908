/** Delivery, order, groups, duplicates, expiry, inboxes, back-pressure, and counts that add up. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DedupeTable, type DropNotice, defaultBusLimits, futureMsMax } from '../src/index.ts';
import { type Member, anonymous, fixture, frame, operator } from './fixture.ts';

const code = (outcome: unknown): unknown =>
  typeof outcome === 'object' && outcome !== null && 'code' in outcome ? outcome.code : outcome;

describe('delivery', () => {
  test('bytes are those published, in order, one copy for overlapping subscriptions', () => {
    const { bus, clock, join } = fixture();
    const a = join('a');
    const b = join('b');
    for (const [sub, topic] of ['x/y', 'x/*', 'x/**'].entries()) expect(b.seat.subscribe(sub, topic).ok).toBe(true);
    const sent = [1, 2, 3].map((payload) => frame(clock.nowMs(), { payload }));
    for (const one of sent) expect(a.seat.publish('x/y', one, true)).toBe(1);
    expect(b.got).toEqual([]);
    bus.flush();
    expect(b.got.map((one) => Buffer.from(one.raw))).toEqual(sent.map((one) => Buffer.from(one.raw)));
    b.seat.unsubscribe(0);
    b.seat.unsubscribe(1);
    expect(a.seat.publish('x/y', frame(clock.nowMs()), true)).toBe(1);
    b.seat.unsubscribe(2);
    expect(a.seat.publish('x/y', frame(clock.nowMs()), true)).toBe(0);
    expect(b.seat.unsubscribe(2).ok).toBe(false);
  });

  test('a queue group takes one copy, in turn, and skips a member that is full', () => {
    const { bus, clock, join } = fixture({ queueFramesMax: 1 });
    const publisher = join('p');
    const members = [join('a'), join('b'), join('c')];
    for (const member of members) member.seat.subscribe(1, 'work', 'group');
    const all = join('all');
    all.seat.subscribe(1, 'work');
    const send = (count: number): void => {
      for (let i = 0; i < count; i += 1) void publisher.seat.publish('work', frame(clock.nowMs()), false);
      bus.flush();
    };
    send(6);
    expect(members.map(({ got }) => got.length)).toEqual([2, 2, 2]);
    expect(all.got.length).toBe(6);
    members[0]?.holdUp();
    for (let i = 0; i < 6; i += 1) send(1);
    // It took the one that found it open, then one in its queue; the others took the rest.
    expect(members.map(({ got }) => got.length).reduce((sum, n) => sum + n)).toBe(11);
    members[0]?.letGo();
    expect(members.map(({ got }) => got.length).reduce((sum, n) => sum + n)).toBe(12);
  });

  test('a duplicate is dropped once seen, by another publisher it is another frame', () => {
    const { bus, clock, join } = fixture();
    const [a, b, other] = [join('a'), join('b'), join('c', { ...anonymous, id: 'someone else' })];
    b.seat.subscribe(1, 't');
    const one = frame(clock.nowMs(), { msgId: 900 });
    expect([a, a, other].map((from) => from.seat.publish('t', one, true))).toEqual([1, 0, 1]);
    expect(bus.stats().drops).toEqual({ expired: 0, duplicate: 1, backpressure: 0 });
  });

  test('expiry is checked at publishing and at delivery', async () => {
    const { bus, clock, join } = fixture();
    const [a, b] = [join('a'), join('b')];
    b.seat.subscribe(1, 't');
    b.holdUp();
    for (const [payload, ttlMs] of [
      [1, 50],
      [2, 50],
      [3, 500],
    ] as const) {
      void a.seat.publish('t', frame(clock.nowMs(), { payload, ttlMs }), true);
      bus.flush();
    }
    await clock.advance(100);
    expect(a.seat.publish('t', frame(clock.nowMs(), { createdAtMs: clock.nowMs() - 10, ttlMs: 10 }), true)).toBe(0);
    b.letGo();
    expect(b.numbers()).toEqual([1, 3]);
    expect(bus.stats().drops.expired).toBe(2);
  });

  test('A10: what asks for too much is refused', () => {
    const { clock, join } = fixture({ subscriptionsMax: 2 });
    const a = join('a');
    const future = frame(clock.nowMs(), { createdAtMs: clock.nowMs() + futureMsMax + 1 });
    expect(code(a.seat.publish('t', future, true))).toBe('LimitExceeded');
    const long = frame(clock.nowMs(), { ttlMs: defaultBusLimits.ttlMsMax + 1 });
    expect(code(a.seat.publish('t', long, true))).toBe('LimitExceeded');
    expect([1, 2, 3].map((sub) => a.seat.subscribe(sub, 't').ok)).toEqual([true, true, false]);
    expect(a.seat.subscribe(1, 't')).toMatchObject({ error: { code: 'Conflict' } });
    expect(code(a.seat.publish('no topic', frame(clock.nowMs()), true))).toBe('BodyDecodeError');
  });

  test('A10: topics are forgotten, oldest first, and their keys counted', () => {
    const { bus, clock, join } = fixture({ topicsMax: 4 });
    const [a, b] = [join('a'), join('b')];
    b.seat.subscribe(1, 't/*');
    for (let i = 0; i < 10; i += 1) void a.seat.publish(`t/${i}`, frame(clock.nowMs()), true);
    expect(bus.stats()).toMatchObject({ topics: 4, dedupeEvictions: 6 });
  });
});

describe('inboxes', () => {
  test('only the asked may answer, until the request expires', async () => {
    const { bus, clock, join } = fixture();
    const [asker, asked, stranger] = [join('asker'), join('asked'), join('stranger')];
    const topic = '_inbox/asker/1';
    expect(asker.seat.subscribe(1, '_inbox/asker/**').ok).toBe(true);
    expect(stranger.seat.subscribe(1, '_inbox/asker/**')).toMatchObject({ error: { code: 'Forbidden' } });
    asked.seat.subscribe(1, 'question');
    expect(code(asked.seat.publish(topic, frame(clock.nowMs()), true))).toBe('Forbidden');
    void asker.seat.publish('question', frame(clock.nowMs(), { meta: { reply_to: topic }, ttlMs: 100 }), true);
    bus.flush();
    expect(asked.seat.publish(topic, frame(clock.nowMs(), { payload: 42 }), true)).toBe(1);
    expect(code(stranger.seat.publish(topic, frame(clock.nowMs()), true))).toBe('Forbidden');
    bus.flush();
    expect(asker.numbers()).toEqual([42]);
    await clock.advance(100);
    expect(code(asked.seat.publish(topic, frame(clock.nowMs()), true))).toBe('Forbidden');
    const elsewhere = frame(clock.nowMs(), { meta: { reply_to: '_inbox/stranger/1' } });
    expect(code(asker.seat.publish('question', elsewhere, true))).toBe('Forbidden');
  });

  test('A10: a session has at most repliesMax reply topics open, the oldest closes', () => {
    const { clock, join } = fixture({ repliesMax: 2 });
    const [asker, asked] = [join('asker'), join('asked')];
    asked.seat.subscribe(1, 'q');
    for (const n of [1, 2, 3])
      void asker.seat.publish('q', frame(clock.nowMs(), { meta: { reply_to: `_inbox/asker/${n}` } }), true);
    const may = [1, 2, 3].map((n) => code(asked.seat.publish(`_inbox/asker/${n}`, frame(clock.nowMs()), true)));
    expect(may).toEqual(['Forbidden', 0, 0]);
  });

  test('no wildcard reaches an inbox', () => {
    const { clock, join } = fixture();
    const [asker, spy, asked] = [join('asker'), join('spy', operator), join('asked')];
    expect(spy.seat.subscribe(1, '**').ok).toBe(true);
    asked.seat.subscribe(1, 'q');
    void asker.seat.publish('q', frame(clock.nowMs(), { meta: { reply_to: '_inbox/asker/1' } }), true);
    expect(asked.seat.publish('_inbox/asker/1', frame(clock.nowMs()), true)).toBe(0);
  });
});

describe('back-pressure', () => {
  const full = (limits = {}): { f: ReturnType<typeof fixture>; a: Member; b: Member; send: (n: number) => unknown } => {
    const f = fixture({ queueFramesMax: 4, ...limits });
    const [a, b] = [f.join('a'), f.join('b')];
    b.seat.subscribe(1, 't');
    b.holdUp();
    const send = (payload: number): unknown => {
      const outcome = a.seat.publish('t', frame(f.clock.nowMs(), { payload }), true);
      f.bus.flush();
      return outcome;
    };
    for (let i = 0; i < 5; i += 1) expect(send(i)).toBe(1);
    return { f, a, b, send };
  };

  test('A10: a full queue holds the publisher, who goes on when there is room', async () => {
    const { f, b, send } = full();
    const held = send(5);
    expect(held).toBeInstanceOf(Promise);
    await f.clock.advance(100);
    b.letGo();
    expect(await held).toBe(1);
    expect(b.numbers()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(f.bus.stats().drops.backpressure).toBe(0);
    expect(f.clock.pending).toBe(0);
  });

  test('held once, then dropped and counted at once, until half empty', async () => {
    const { f, b, send } = full();
    const held = send(5);
    await f.clock.advance(defaultBusLimits.sendTimeoutMs);
    expect(await held).toBe(0);
    expect([send(6), send(7)]).toEqual([0, 0]);
    expect(f.bus.stats().drops.backpressure).toBe(3);
    b.letGo();
    expect(send(8)).toBe(1);
    expect(b.numbers()).toEqual([0, 1, 2, 3, 4, 8]);
  });

  test('A10: a subscriber full for too long is disconnected, and what waited is counted', async () => {
    const { f, b, send } = full();
    void send(5);
    await f.clock.advance(defaultBusLimits.slowConsumerMs);
    expect(b.gone()?.code).toBe('SlowConsumer');
    b.seat.detach();
    expect(f.bus.stats()).toMatchObject({ queuedFrames: 0, drops: { backpressure: 5 } });
  });

  test('A10: bytes are bounded too, though one frame always fits', () => {
    const f = fixture({ queueBytesMax: 1000 });
    const [a, b] = [f.join('a'), f.join('b')];
    b.seat.subscribe(1, 't');
    b.holdUp();
    const send = (bytes: number): unknown => {
      const outcome = a.seat.publish('t', frame(f.clock.nowMs(), { payload: new Uint8Array(bytes) }), false);
      f.bus.flush();
      return outcome;
    };
    expect([send(1), send(5000), send(1)]).toEqual([1, 1, 0]);
  });
});

describe('drops', () => {
  test('the notices add up to the totals, though rate-limited', async () => {
    const f = fixture({ queueFramesMax: 2, dropKeysMax: 3 });
    const watcher = f.join('watcher', operator);
    watcher.seat.subscribe(1, 'rlp/sys/drops');
    const [a, b] = [f.join('a'), f.join('b')];
    b.seat.subscribe(1, 't/**');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(5), fc.constantFrom('dup', 'old', 'ok', 'hold', 'go', 'tick')), { maxLength: 40 }),
        async (steps) => {
          for (const [topic, what] of steps) {
            const now = f.clock.nowMs();
            if (what === 'hold') b.holdUp();
            else if (what === 'go') b.letGo();
            else if (what === 'tick') await f.clock.advance(400);
            else {
              const parts = what === 'dup' ? { msgId: 1 } : what === 'old' ? { createdAtMs: now - 5, ttlMs: 5 } : {};
              void a.seat.publish(`t/${topic}`, frame(now, parts), false);
            }
            f.bus.flush();
          }
          b.letGo();
          f.bus.flushDropNotices();
          const told = watcher.got
            .map((one) => one.payload() as DropNotice)
            .reduce((sum, notice) => sum + notice.count, 0);
          const { expired, duplicate, backpressure } = f.bus.stats().drops;
          expect(told).toBe(expired + duplicate + backpressure);
        },
      ),
      { numRuns: 50 },
    );
    expect(f.bus.stats().drops.duplicate).toBeGreaterThan(0);
    f.bus[Symbol.dispose]();
    expect(f.clock.pending).toBe(0);
  });
});

describe('the table of duplicates', () => {
  test('A10: knows what a plain set knows, forgets the oldest at its limit and the aged', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(60), fc.nat(3)), { maxLength: 400 }), (steps) => {
        const table = new DedupeTable(32, 100);
        let keys: { readonly key: number; readonly at: number }[] = [];
        let now = 0;
        for (const [key, wait] of steps) {
          now += wait;
          const bytes = new Uint8Array(24);
          bytes[3] = key;
          bytes[20] = key * 3;
          keys = keys.filter(({ at }) => at + 100 >= now);
          const known = keys.some((one) => one.key === key);
          expect(table.seen(1, bytes, 0, 16, now)).toBe(known);
          if (!known) keys = [...keys, { key, at: now }].slice(-32);
          expect(table.size).toBe(keys.length);
        }
      }),
    );
  });
});
