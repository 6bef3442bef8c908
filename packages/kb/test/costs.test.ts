/** The bill: whatever calls were made, every grouping adds up to the same total, and what nobody answered stands apart. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { unwrap } from '@runloop/core';
import { type CostRow, costsBy } from '../src/index.ts';
import { open, runEvent, tempDir } from './kb-kit.ts';

const name = fc.constantFrom('a', 'b', 'c');
const amount = fc.integer({ min: 0, max: 2 ** 40 });
const call = fc.record({
  run: fc.constantFrom('aa', 'bb', 'cc'),
  kind: fc.constantFrom('model.called', 'budget.settled'),
  node: name,
  agent: fc.option(name, { nil: undefined }),
  provider: name,
  model: fc.option(name, { nil: undefined }),
  ts_ms: fc.integer({ min: 0, max: 4 * 86_400_000 }),
  tokens_in: amount,
  tokens_out: amount,
  usd_nano: amount,
});

const names = ['calls', 'tokens_in', 'tokens_out', 'usd_nano', 'unanswered', 'bound_tokens', 'bound_usd_nano'] as const;
type Sums = { readonly [name in (typeof names)[number]]: number };
const sum = (rows: readonly CostRow[]): Sums =>
  Object.fromEntries(names.map((one) => [one, rows.reduce((all, row) => all + row[one], 0)])) as Sums;

test('every grouping has the same total, to the last nano-dollar, since any time', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(call, { maxLength: 30 }),
      fc.integer({ min: 0, max: 5 * 86_400_000 }),
      async (calls, sinceMs) => {
        using dir = tempDir();
        await using kb = await open(dir.path, { simulated: true });
        const runs = ['aa', 'bb'].map((run) =>
          runEvent('run.accepted', { name: `of ${run}`, actor: run, seed: '', agents: {} }, 1, run.repeat(16)),
        );
        const made = calls.map(({ run, kind, ts_ms, agent, model, ...meta }) => ({
          ...runEvent(
            kind,
            { ...meta, ...(agent === undefined ? {} : { agent }), ...(model === undefined ? {} : { model }) },
            undefined,
            run.repeat(16),
          ),
          ts_ms,
        }));
        unwrap(await kb.append([...runs, ...made]), 'the calls');
        const counted = calls.filter((one) => one.ts_ms >= sinceMs);
        const lost = counted.filter(({ kind }) => kind === 'budget.settled');
        const all = (of: readonly (typeof counted)[number][], key: 'tokens_in' | 'tokens_out' | 'usd_nano'): number =>
          of.reduce((before, one) => before + one[key], 0);
        const expected: Sums = {
          calls: counted.length,
          tokens_in: all(counted, 'tokens_in'),
          tokens_out: all(counted, 'tokens_out'),
          usd_nano: all(counted, 'usd_nano'),
          unanswered: lost.length,
          bound_tokens: all(lost, 'tokens_in') + all(lost, 'tokens_out'),
          bound_usd_nano: all(lost, 'usd_nano'),
        };
        for (const by of costsBy) {
          const costs = unwrap(await kb.costs({ by, sinceMs, max: 1000 }), by);
          expect(costs.total).toMatchObject(expected);
          expect(sum(costs.rows)).toEqual(expected);
        }
        const own = unwrap(await kb.costs({ by: 'run', sinceMs, actor: 'aa', max: 1000 }), 'own');
        expect(own.total.calls).toBe(counted.filter(({ run }) => run === 'aa').length);
      },
    ),
    { numRuns: 25 },
  );
});

test('more groups than asked for are in the total all the same', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const calls = ['x', 'y', 'z'].map((agent, i) => runEvent('model.called', { node: 'n', agent, usd_nano: i + 1 }));
  unwrap(await kb.append(calls), 'the calls');
  const costs = unwrap(await kb.costs({ by: 'agent', max: 2 }), 'costs');
  expect([costs.rows.map(({ key }) => key), costs.total.usd_nano]).toEqual([['z', 'y'], 6]);
});
