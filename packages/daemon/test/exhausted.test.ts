/** A budget that has no room for a call: asked about, raised or not, over a real broker and a provider that counts. */
import type { Http } from '@runloop/broker';
import { type JsonObject, systemClock, systemRandom, unwrap } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import { memoryLog } from '@runloop/testkit';
import { describe, expect, test } from 'vitest';
import { createModels, type Models } from '../src/host/models.ts';
import { metaOf } from '../src/runs/tape.ts';
import { noSecrets, worldModels } from '../src/torture/world.ts';
import { raiseMax } from '../src/runs/questions.ts';
import { type Boot, bundle, endOf, of, opening, Place, type Script, traceId } from './runs-fixture.ts';

const ask = { messages: [{ role: 'user', content: 'hello' }], max_tokens: 20 };
const caps = { ...bundle.caps, model: { allow: ['*'] } };

/** Answers for 12 tokens a call. */
class Provider {
  calls = 0;

  models(budgets: JsonObject = {}): Models {
    const http: Http = {
      post: () => {
        this.calls += 1;
        const message = { role: 'assistant', content: 'hi' };
        const usage = { prompt_tokens: 10, completion_tokens: 2 };
        const body = { model: 'world', choices: [{ index: 0, message, finish_reason: 'stop' }], usage };
        return Promise.resolve({
          status: 200,
          headers: {},
          body: once(new TextEncoder().encode(JSON.stringify(body))),
        });
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const broker = { ...worldModels.broker, budgets };
    const deps = { clock: systemClock, random: systemRandom, log: memoryLog(), secrets: noSecrets, http };
    return unwrap(createModels(deps, { models: { ...worldModels, broker } }), 'models');
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

const calls =
  (count: number): Script =>
  async (call) => {
    for (let i = 0; i < count; i += 1) {
      const answer = await call('model.complete', ask);
      if (answer.type === 'error') return answer.code;
    }
    return 'all';
  };

/** The nth question, once its node waits for the answer. */
async function asked({ until }: Boot, nth: number): Promise<JsonObject> {
  for (;;) {
    const rows = await until('node.waiting');
    const question = of(rows, 'action.requested').map(metaOf)[nth];
    if (of(rows, 'node.waiting').some((row) => metaOf(row)['action'] === question?.['action'])) return question ?? {};
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

async function decide(
  { runs }: Boot,
  { action, hash }: JsonObject,
  decision: 'approve' | 'deny',
  raise?: number,
): Promise<unknown> {
  const said = raise === undefined ? {} : { raise };
  return runs.get(traceId)?.questions.decide(String(action), String(hash), decision, 'me', said);
}

const nodes = (rows: readonly StoredEvent[]): JsonObject[] => of(rows, 'node.finished').map(metaOf);
const budget = (tokens: number): string => opening(1, `policy: { budget_tokens: ${tokens} }\n`);

describe('the node waits, and the operator is asked', () => {
  test.each([
    ['no crash', [500], 1],
    ['a crash while it waits', [500], 1],
    ['a crash after the yes', [500], 1],
    ['only what is missing, each time', [undefined, undefined, undefined], 3],
  ] as const)('a raise lets it go on: %s', async (when, raises, questions) => {
    await using place = await Place.open();
    const provider = new Provider();
    const start = (): Promise<Boot> => place.boot(calls(4), { caps, models: provider.models() });
    let boot = await start();
    await boot.submit({ text: budget(60) });
    for (const [nth, raise] of raises.entries()) {
      const question = await asked(boot, nth);
      expect(question).toMatchObject({ op: 'budget.raise', node: 'n0', args: { level: 'run', unit: 'tokens' } });
      if (when === 'a crash while it waits') boot = await start();
      expect(await decide(boot, question, 'approve', raise)).toBeUndefined();
      if (when === 'a crash after the yes') boot = await start();
    }
    const rows = await boot.until('run.finished');
    expect(nodes(rows)).toMatchObject([{ state: 'succeeded', attempt: 1 }]);
    expect(provider.calls).toBe(4);
    expect(of(rows, 'action.requested')).toHaveLength(questions);
    expect(of(rows, 'budget.raised')).toHaveLength(questions);
    const [exhausted] = of(rows, 'budget.exhausted').map(metaOf);
    expect(exhausted).toMatchObject({ node: 'n0', level: 'run', key: `run:${traceId}`, cap: 60 });
    expect(of(rows, 'node.waiting').map(metaOf)[0]).toMatchObject({ for: 'budget' });
    // Money is conserved: what was refused is not booked, before a crash or after it.
    expect(of(rows, 'budget.settled')).toEqual([]);
    const spent = of(rows, 'model.called').map(metaOf);
    expect(spent.map(({ tokens_in, tokens_out }) => [tokens_in, tokens_out])).toEqual(
      Array.from({ length: 4 }, () => [10, 2]),
    );
    expect(endOf(rows)).toMatchObject({ tokens: 48 });
  });

  test.each(['no', '--on-confirm deny'])(
    '%s: the node fails with BudgetExceeded, and the provider hears of nothing',
    async (how) => {
      await using place = await Place.open();
      const provider = new Provider();
      const boot = await place.boot(calls(1), { caps, models: provider.models() });
      await boot.submit({ text: budget(5), onConfirm: how === 'no' ? 'wait' : 'deny' });
      if (how === 'no') await decide(boot, await asked(boot, 0), 'deny');
      const rows = await boot.until('run.finished');
      expect(nodes(rows)).toMatchObject([{ state: 'failed', code: 'BudgetExceeded' }]);
      expect(of(rows, 'budget.exhausted').length).toBeGreaterThan(0);
      expect(of(rows, 'action.requested')).toHaveLength(how === 'no' ? 1 : 0);
      expect(provider.calls).toBe(0);
    },
  );

  test('what an agent may spend at most is a grant and no budget: it is told', async () => {
    await using place = await Place.open();
    const provider = new Provider();
    const own = { ...caps, model: { allow: ['*'], tokens_per_run: 5 } };
    const boot = await place.boot(calls(1), { caps: own, models: provider.models() });
    await boot.submit();
    const rows = await boot.until('run.finished');
    expect(nodes(rows)).toMatchObject([{ state: 'succeeded' }]);
    expect(of(rows, 'budget.exhausted')).toEqual([]);
  });

  test('a raise is of a budget, and of something', async () => {
    await using place = await Place.open();
    const boot = await place.boot(calls(1), { caps, models: new Provider().models() });
    await boot.submit({ text: budget(5) });
    const question = await asked(boot, 0);
    expect(await decide(boot, question, 'approve', 0)).toMatchObject({ code: 'Usage' });
    expect(await decide(boot, question, 'deny', 5)).toMatchObject({ code: 'Usage' });
    for (const amount of [raiseMax + 1, Infinity, NaN])
      expect(await decide(boot, question, 'approve', amount)).toMatchObject({ code: 'Usage' });
  });
});
