/** Budgets: the ledger of them as properties, then every level in every unit against a provider that keeps books. */
import { err, failure, type JsonObject, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { memoryLog, simulatedClock, startFakeProvider } from '@runloop/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Amounts,
  type Broker,
  type CallContext,
  createBroker,
  type Overrun,
  parseBrokerConfig,
  undiciHttp,
} from '../src/index.ts';
import {
  type Asking,
  type Budgets,
  createBudgets,
  type LevelName,
  type Reservation,
  type Spending,
  spendingOf,
} from '../src/budgets.ts';
import { levelsMax } from '../src/limits.ts';

const never = new AbortController().signal;
const tokens = (count: number): Spending => spendingOf({ tokens_in: count, tokens_out: 0 }, 0, 0);
const asking = (key: string, caps: Amounts, bound: Spending, more: Partial<Asking> = {}): Asking => ({
  levels: [{ name: 'run', key, caps }],
  bound,
  agent: 'a',
  deadlineMs: 60_000,
  ...more,
});
const held = (budgets: Budgets, ask: Asking): Reservation =>
  unwrap(budgets.tryReserve(ask) ?? err(failure('Busy', 'it waits')), 'room');

describe('reserving and settling', () => {
  test('in any order, spent plus reserved never passes a cap, nothing is lost, and somebody always goes on', () => {
    const keys = ['day:1', 'run:a', 'node:a/x'] as const;
    const names = { 'day:1': 'day', 'run:a': 'run', 'node:a/x': 'node' } as const;
    const step = fc.record({
      keys: fc.subarray([...keys], { minLength: 1 }),
      agent: fc.constantFrom('a', 'b', 'c'),
      bound: fc.nat(40),
      used: fc.nat(40),
      settle: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(200), fc.nat(100), (steps, cap, share) => {
        const budgets = createBudgets(simulatedClock(), share / 100);
        const open: { reservation: Reservation; used: number; keys: readonly string[]; agent: string }[] = [];
        const spent = new Map<string, number>();
        for (const { keys: wanted, agent, bound, used, settle } of steps) {
          const levels = wanted.map((key) => ({ name: names[key], key, caps: { tokens: cap } }));
          const got = budgets.tryReserve({ levels, bound: tokens(bound), agent, deadlineMs: 1 });
          // Who has nothing under way waits for nobody.
          if (got === undefined) expect(open.map((one) => one.agent)).toContain(agent);
          else if (got.ok) open.push({ reservation: got.value, used: Math.min(used, bound), keys: wanted, agent });
          for (const one of open.splice(0, settle)) {
            one.reservation.settle(tokens(one.used));
            one.reservation.settle(tokens(one.used));
            for (const key of one.keys) spent.set(key, (spent.get(key) ?? 0) + one.used);
          }
          for (const key of keys) {
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
    const budgets = createBudgets(simulatedClock());
    const levels = [
      { name: 'run' as const, key: 'run:a', caps: {} },
      { name: 'node' as const, key: 'node:b', caps: { tokens: 1 } },
    ];
    expect(budgets.tryReserve(asking('', {}, tokens(2), { levels }))).toMatchObject({
      ok: false,
      error: { code: 'BudgetExceeded', details: { level: 'node', left: 1 } },
    });
    expect(budgets.state('run:a')?.reserved.tokens ?? 0).toBe(0);
  });

  test('A10: levels are bounded until runs end', () => {
    const budgets = createBudgets(simulatedClock());
    for (let i = 0; i < levelsMax; i += 1) budgets.book([{ name: 'run', key: `run:${i}`, caps: {} }], tokens(1));
    const more = asking('run:new', {}, tokens(1));
    expect(budgets.tryReserve(more)).toMatchObject({ ok: false, error: { code: 'Busy' } });
    budgets.drop('run:1');
    expect(budgets.tryReserve(more)?.ok).toBe(true);
  });

  test('a raise adds to a cap, counts once, and thaws', () => {
    const budgets = createBudgets(simulatedClock());
    const reserve = (count: number): ReturnType<Budgets['tryReserve']> =>
      budgets.tryReserve(asking('run:a', { tokens: 10 }, tokens(count)));
    expect(reserve(12)).toMatchObject({ error: { details: { cap: 10, left: 10, needed: 12 } } });
    const raise = { key: 'run:a', unit: 'tokens' as const, amount: 2, by: 'act_1' };
    budgets.raise(raise);
    budgets.raise(raise);
    expect(reserve(13)?.ok).toBe(false);
    const room = held(budgets, asking('run:a', { tokens: 10 }, tokens(12)));
    expect(room.settle(tokens(20))).toEqual({ beyond: true, frozen: ['run:a'] });
    expect(reserve(12)).toMatchObject({ error: { details: { cap: 12, left: -8, needed: 12 } } });
    budgets.raise({ ...raise, amount: 20, by: 'act_2' });
    expect(reserve(12)?.ok).toBe(true);
  });

  test('an agent holds at most its share of what is left, beyond one call; another is not held up by it', async () => {
    const budgets = createBudgets(simulatedClock(), 0.5);
    const by = (agent: string): Asking => asking('run:a', { calls: 10 }, tokens(0), { agent });
    const first = held(budgets, by('a'));
    for (let i = 1; i < 5; i += 1) held(budgets, by('a'));
    expect(budgets.tryReserve(by('a'))).toBeUndefined();
    held(budgets, by('b'));
    held(budgets, by('b'));
    expect(budgets.tryReserve(by('b'))).toBeUndefined();
    const gone = new AbortController();
    const leaves = budgets.reserve(by('b'), gone.signal);
    const waits = budgets.reserve(by('a'), never);
    gone.abort();
    expect(await leaves).toMatchObject({ ok: false, error: { code: 'Cancelled' } });
    first.settle(spendingOf({ tokens_in: 0, tokens_out: 0 }, 0, 0, 0));
    // 10 less the two of b leave 8: four for a, which it has.
    expect(await Promise.race([waits, Promise.resolve('waits')])).toBe('waits');
    budgets.raise({ key: 'run:a', unit: 'calls', amount: 10, by: 'act' });
    held(budgets, by('b')).settle(tokens(0));
    held(budgets, by('a')).settle(tokens(0));
    expect((await waits).ok).toBe(true);
  });

  test('A10: a reservation that nobody settles is booked at its bound when its time is over, and corrected later', async () => {
    const clock = simulatedClock();
    const budgets = createBudgets(clock, 0.5);
    const one = asking('run:a', { tokens: 10 }, tokens(4), { deadlineMs: 100 });
    const late = held(budgets, one);
    const waits = budgets.reserve(one, never);
    await clock.advance(100);
    expect(budgets.state('run:a')).toMatchObject({ spent: { tokens: 4 }, reserved: { tokens: 4 } });
    expect((await waits).ok).toBe(true);
    late.settle(tokens(1));
    expect(budgets.state('run:a')).toMatchObject({ spent: { tokens: 1 }, reserved: { tokens: 4 } });
  });
});

/** What each call may use at most; the provider says that it did use it. */
const usage = { tokensIn: 34, tokensOut: 50 };
const perCall = { tokens: 84, tokens_in: 34, tokens_out: 50, usd: 134e-6, calls: 1 } as const;
type Unit = keyof typeof perCall;
const fits = 100;
const agents = 50;
const callsOfEach = 20;

const makeBroker = (url: string, budgets: JsonObject, log = memoryLog()): Broker =>
  createBroker(
    {
      clock: systemClock,
      random: systemRandom,
      log,
      http: undiciHttp(),
      secrets: { resolve: () => Promise.resolve(ok('unused')), scrub: (text) => text },
    },
    unwrap(
      parseBrokerConfig({
        default: 'fake:m',
        broker: {
          providers: [{ id: 'fake', kind: 'http', base_url: url, concurrency: 32 }],
          prices: [{ pattern: 'm', input: 1, output: 2 }],
          budgets,
        },
      }),
      'a configuration',
    ),
  );

const ask = (maxTokens: number = usage.tokensOut): Parameters<Broker['complete']>[0] => ({
  messages: [{ role: 'user', content: 'hi' }],
  max_tokens: maxTokens,
});

/** Whose calls meet at the level: what they have in common, all else being each one's own. */
const meeting: { readonly [level in LevelName]: Partial<CallContext> } = {
  day: {},
  user: { user: 'me' },
  opening: { opening: 'letters' },
  run: { run: 'r' },
  group: { run: 'r' },
  node: { run: 'r' },
  agent: { run: 'r' },
  call: {},
};
/** How the configuration names it, and how often its cap is there: once for all, or for each agent. */
const capped: { readonly [level in LevelName]: readonly [key: string, levels: number] } = {
  day: ['day', 1],
  user: ['user_day', 1],
  opening: ['opening_day', 1],
  run: ['run', 1],
  group: ['', 1],
  node: ['node', agents],
  agent: ['agent', agents],
  call: ['call', 0],
};
const levels = Object.keys(meeting) as LevelName[];
const units = Object.keys(perCall) as Unit[];

describe('a thousand calls at once from fifty agents, where a hundred fit: exactly a hundred reach the provider', () => {
  test.each(levels.flatMap((level) => units.map((unit) => [level, unit] as const)))('%s, %s', async (level, unit) => {
    await using fake = await startFakeProvider();
    fake.answerBy(() => ({ type: 'text', text: 'ok', ...usage }));
    const [key, many] = capped[level];
    const isCall = level === 'call';
    const cap = isCall ? perCall[unit] : (perCall[unit] * fits) / many;
    await using broker = makeBroker(
      fake.url,
      key === '' ? {} : { [key]: { [unit]: isCall && unit === 'calls' ? 0 : cap } },
    );
    const group = { id: 'g', [unit === 'usd' ? 'usd_nano' : unit]: unit === 'usd' ? Math.round(cap * 1e9) : cap };
    const calls = Array.from({ length: agents * callsOfEach }, async (_, i) => {
      const agent = `a${i % agents}`;
      const ctx: CallContext = {
        run: `r${i}`,
        user: `u${i}`,
        opening: `o${i}`,
        agent,
        node: level === 'group' ? `g/${agent}` : agent,
        ...meeting[level],
        ...(level === 'group' ? { budgets: { groups: [group] } } : {}),
      };
      // At the level of one call, only the first hundred are small enough: by their answer, or by their prompt.
      const isLarge = isCall && i >= fits;
      const request = isLarge && unit !== 'tokens_in' ? ask(usage.tokensOut + 1) : ask();
      const longer = { ...request, messages: [{ role: 'user' as const, content: 'longer' }] };
      return broker.complete(isLarge && unit === 'tokens_in' ? longer : request, ctx, never);
    });
    const answers = await Promise.all(calls);
    const expected = isCall && unit === 'calls' ? 0 : fits;
    expect(answers.filter((one) => one.ok)).toHaveLength(expected);
    expect(fake.books).toEqual({
      calls: expected,
      tokens_in: expected * usage.tokensIn,
      tokens_out: expected * usage.tokensOut,
    });
    const codes = new Set(
      answers.flatMap((one) => (one.ok ? [] : [`${one.error.code} ${String(one.error.details?.['level'])}`])),
    );
    expect([...codes]).toEqual([`BudgetExceeded ${level}`]);
    const { spent, reserved } = broker.spending().day ?? {};
    expect(spent?.calls ?? 0).toBe(expected);
    expect(reserved?.calls ?? 0).toBe(0);
    expect(broker.frozen()).toEqual([]);
  });

  test("a cap on a provider's time: a call is begun only where all that it may take is left", async () => {
    await using fake = await startFakeProvider();
    const timeout = 60_000;
    await using broker = makeBroker(fake.url, { run: { wall_ms: timeout } });
    const ctx: CallContext = { run: 'r', node: 'n', agent: 'a' };
    const together = await Promise.all([broker.complete(ask(), ctx, never), broker.complete(ask(), ctx, never)]);
    expect(together.map((one) => (one.ok ? 'ok' : one.error.details?.['unit']))).toEqual(['ok', 'wall_ms']);
    expect(broker.spending('r').run?.spent.wall_ms).toBeGreaterThan(0);
    expect(await broker.complete(ask(), ctx, never)).toMatchObject({ error: { details: { unit: 'wall_ms' } } });
  });
});

describe('usage beyond the reservation', () => {
  test('is booked, is an alarm, freezes what has a cap on it, also after a restart, until somebody lifts it', async () => {
    await using fake = await startFakeProvider();
    const log = memoryLog();
    const budgets = { day: { tokens: 1e6 }, user_day: { usd: 100 }, run: { calls: 10 } };
    await using broker = makeBroker(fake.url, budgets, log);
    const overruns: Overrun[] = [];
    const ctx: CallContext = { run: 'r', node: 'n', agent: 'a', user: 'me', onOverrun: (one) => overruns.push(one) };
    fake.script({ type: 'text', text: 'much', tokensIn: 7, tokensOut: 5_000 });
    expect((await broker.complete(ask(), ctx, never)).ok).toBe(true);
    const today = new Date(systemClock.nowMs()).toISOString().slice(0, 10);
    const [day, user] = [`day:${today}`, `user:me/${today}`];
    expect(overruns).toMatchObject([
      { provider: 'fake', model: 'm', used: { tokens_out: 5_000 }, reserved: { tokens_out: 50 }, frozen: [day, user] },
    ]);
    expect(broker.frozen()).toMatchObject([{ key: day, spent: { tokens: 5_007 } }, { key: user }]);
    expect(log.lines.at(-1)).toMatchObject({ level: 'error' });
    const refused = await broker.complete(ask(), ctx, never);
    expect(refused).toMatchObject({ error: { code: 'BudgetExceeded', hint: expect.stringContaining(`thaw ${day}`) } });
    expect([broker.thaw(day), broker.thaw(day), broker.thaw(user)]).toEqual([true, false, true]);
    expect((await broker.complete(ask(), ctx, never)).ok).toBe(true);
    broker.restoreFrozen('day:2001-01-01');
    broker.restoreFrozen('user:me/2001-01-01');
    expect(broker.frozen()).toEqual([]);
    broker.restoreFrozen(user);
    expect((await broker.complete(ask(), ctx, never)).ok).toBe(false);
  });

  test('where no cap is in force it is an alarm all the same, and stops nobody', async () => {
    await using fake = await startFakeProvider();
    await using broker = makeBroker(fake.url, {});
    const overruns: Overrun[] = [];
    const ctx: CallContext = { run: 'r', node: 'n', agent: 'a', onOverrun: (one) => overruns.push(one) };
    fake.script({ type: 'text', text: 'much', tokensIn: 7_000 });
    await broker.complete(ask(), ctx, never);
    expect(overruns).toMatchObject([{ frozen: [] }]);
    expect((await broker.complete(ask(), ctx, never)).ok).toBe(true);
  });
});

test.each<[JsonObject, RegExp]>([
  [{ day_usd: -1 }, /budgets\.day_usd is not a number from 0/],
  [{ dya_usd: 1 }, /budgets\.dya_usd is not known; there are day, user_day/],
  [{ day: 5 }, /budgets\.day is not a map of tokens/],
  [{ day: { euros: 5 } }, /budgets\.day\.euros is no unit/],
  [{ day: { usd: '5' } }, /budgets\.day\.usd is not a number/],
  [{ agent_share: 0 }, /agent_share is not a number above 0/],
])('%j is refused', (budgets, message) => {
  const parsed = parseBrokerConfig({ broker: { budgets } });
  expect(parsed).toMatchObject({ ok: false, error: { code: 'InvalidConfig' } });
  if (!parsed.ok) expect(parsed.error.message).toMatch(message);
});

test('of a flat key and its level the narrower counts; a run with tokens of its own leaves the default behind', () => {
  const budgets = { day_usd: 5, day: { usd: 2, calls: 7 }, hard_cap_usd: 0.1, default_tokens: 8000 };
  const parsed = unwrap(parseBrokerConfig({ broker: { budgets } }), 'a configuration');
  expect(parsed.budgets).toMatchObject({
    caps: { day: { usd_nano: 2e9, calls: 7 }, run: { usd_nano: 1e8 } },
    runTokens: 8000,
    agentShare: 0.5,
  });
});
