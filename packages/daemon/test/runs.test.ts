/** Runs under bad luck and bad company: double submissions, double answers, crashes at the worst place, floods. */
import { err, failure, unwrap } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { pendingActionsMax } from '../src/runs/questions.ts';
import { recoveryMs } from '../src/runs/runs.ts';
import { metaOf } from '../src/runs/tape.ts';
import { type Boot, endOf, of, opening, Place, type Script, traceId } from './runs-fixture.ts';

const nothing: Script = () => Promise.resolve(1);
const fact = { kind: 'fact.asserted', payload: { subject: 's', predicate: 'p', object: 'o' } };
const mail = { to: ['a@b.c'], subject: 's', body: 'b' };

describe('a trace id names one run for ever', () => {
  test('submitted again after the run ended and the daemon restarted: the same run, nothing new on the ledger', async () => {
    await using place = await Place.open();
    const first = await place.boot(nothing);
    const { run_id } = unwrap(await first.submit(), 'the first submission');
    const before = await first.until('run.finished');
    const second = await place.boot(nothing);
    expect(await second.submit()).toMatchObject({ ok: true, value: { run_id, existing: true } });
    expect(second.runs.get(traceId)).toBeUndefined();
    expect(await place.rows()).toEqual(before);
  });

  test.each([
    ['another actor', { actor: 'client:mallory' }],
    ['another opening', { text: opening(2) }],
    ['another answer to questions', { onConfirm: 'deny' as const }],
  ])('submitted again with %s: Conflict', async (_, more) => {
    await using place = await Place.open();
    const first = await place.boot(nothing);
    await first.submit();
    const before = await first.until('run.finished');
    expect(await first.submit(more)).toMatchObject({ ok: false, error: { code: 'Conflict' } });
    expect(await place.rows()).toEqual(before);
  });

  test('two at once: one run', async () => {
    await using place = await Place.open();
    const { submit, until } = await place.boot(nothing);
    const answers = await Promise.all([submit(), submit({ actor: 'client:mallory' }), submit()]);
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
    expect(of(await until('run.finished'), 'run.started')).toHaveLength(1);
  });

  test('A10: many at once do not slip past runs_max together', async () => {
    await using place = await Place.open();
    const { submit } = await place.boot(() => new Promise(() => undefined), { runsMax: 3 });
    const ids = Array.from({ length: 10 }, (_, i) => String(i).padStart(32, '0'));
    const answers = await Promise.all(ids.map((id) => submit({ traceId: id })));
    expect(answers.filter((answer) => answer.ok)).toHaveLength(3);
    expect(answers.at(-1)).toMatchObject({ ok: false, error: { code: 'LimitExceeded' } });
  });
});

test('an agent starts from the time that the ledger has, in the run and after a restart', async () => {
  await using place = await Place.open();
  let nowMs = 1_800_000_000_000;
  const seen: number[] = [];
  const late: Script = (_, node, { accepted_ms }) => {
    seen.push(accepted_ms);
    return node === 'n1' && seen.length === 2 ? new Promise(() => undefined) : Promise.resolve(1);
  };
  const more = '\nedges:\n  - { from: n0.out, to: n1.in }\n';
  // A clock that moves whenever somebody looks: whoever reads it twice has two times.
  const options = { nowMs: () => (nowMs += 7) };
  const first = await place.boot(late, options);
  await first.submit({ text: opening(2, more) });
  while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const second = await place.boot(late, options);
  const [accepted] = await second.until('run.finished');
  expect(seen).toEqual([accepted?.ts_ms, accepted?.ts_ms, accepted?.ts_ms]);
});

test('a submission that the ledger refuses is refused, leaves no fault behind, and may be made again', async () => {
  await using place = await Place.open();
  let isFull = true;
  const { runs, submit, until } = await place.boot(nothing, {
    ledger: (real) => ({
      ...real,
      append: (drafts) => (isFull ? Promise.resolve(err(failure('StorageFull', 'full'))) : real.append(drafts)),
    }),
  });
  expect(await submit()).toMatchObject({ ok: false, error: { code: 'StorageFull' } });
  isFull = false;
  await new Promise((resolve) => {
    setTimeout(resolve, recoveryMs + 500);
  });
  expect([...runs.faults()]).toEqual([]);
  expect(await submit()).toMatchObject({ ok: true });
  expect(endOf(await until('run.finished'))).toMatchObject({ state: 'succeeded' });
});

test.each([
  ['approve', 'approve'],
  ['approve', 'deny'],
  ['deny', 'approve'],
] as const)(
  'two answers at once, %s and %s: the first wins, the other is told so and not written',
  async (one, two) => {
    await using place = await Place.open();
    const { runs, submit, until } = await place.boot(async (call) => {
      await call('mail.send', mail);
      return 1;
    });
    await submit();
    const asked = metaOf(of(await until('node.waiting'), 'action.requested')[0] ?? expect.fail('nothing was asked'));
    const decide = (decision: 'approve' | 'deny', by: string) =>
      runs.get(traceId)?.questions.decide(String(asked['action']), String(asked['hash']), decision, by);
    const answers = await Promise.all([decide(one, 'first'), decide(two, 'second')]);
    expect(answers).toMatchObject([undefined, { code: 'Conflict' }]);
    const decided = of(await until('run.finished'), 'action.decided');
    expect(decided.map((row) => metaOf(row))).toMatchObject([{ decision: one, by: 'first' }]);
  },
);

test('calls that were refused before they were anything leave no hole in the tape of a suspended attempt', async () => {
  await using place = await Place.open();
  const { runs, submit, until } = await place.boot(async (call) => {
    await call('no.such.operation', {});
    await call('kb.search', { text: 'x' });
    await call('mail.send', mail);
    return 1;
  });
  await submit();
  const asked = metaOf(of(await until('node.waiting'), 'action.requested')[0] ?? expect.fail('nothing was asked'));
  await runs.get(traceId)?.questions.decide(String(asked['action']), String(asked['hash']), 'approve', 'me');
  expect(endOf(await until('run.finished'))).toMatchObject({ state: 'succeeded' });
});

test('A10: an attempt may make more calls than one transaction holds', async () => {
  await using place = await Place.open();
  const calls = 5000;
  const { submit, until } = await place.boot(async (call) => {
    for (let i = 0; i < calls; i += 1) await call('kb.why', { entity: `e${i}` });
    return 1;
  });
  await submit();
  const rows = await until('run.finished');
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
  expect(of(rows, 'effect.result')).toHaveLength(calls);
});

test('A10: an opening of 20 000 nodes is accepted whole, cancelled whole, and taken up after a restart', async () => {
  await using place = await Place.open();
  const first = await place.boot(() => new Promise(() => undefined));
  expect(await first.submit({ text: opening(20_000) })).toMatchObject({ ok: true });
  const { runs, until } = await place.boot(() => new Promise(() => undefined));
  runs.get(traceId)?.driver.send({ type: 'cancel', by: 'me', reason: 'enough' });
  const rows = await until('run.finished');
  expect(of(rows, 'node.finished')).toHaveLength(20_000);
  expect(endOf(rows)).toMatchObject({ state: 'cancelled' });
});

test('A10: questions that a run may have open are bounded, and one more is refused where everybody sees it', async () => {
  await using place = await Place.open();
  const { submit, until } = await place.boot(async (call) => {
    const answer = await call('mail.send', mail);
    return answer.type === 'error' ? answer.code : answer.type;
  });
  await submit({ text: opening(pendingActionsMax + 3) });
  const rows = await until('run.waiting');
  expect(of(rows, 'action.requested')).toHaveLength(pendingActionsMax + 3);
  expect(of(rows, 'action.decided').map(metaOf)).toMatchObject(
    Array.from({ length: 3 }, () => ({ decision: 'deny', by: 'pending_actions_max' })),
  );
});

test('what no frame can carry is refused to the agent that gives it, and never reaches the queue of questions', async () => {
  await using place = await Place.open();
  const poison = JSON.parse('{"__proto__":1}') as { [key: string]: number };
  const { submit, until } = await place.boot(async (call) => {
    const answer = await call('mail.send', { ...mail, poison });
    return answer.type === 'error' ? poison : 1;
  });
  await submit();
  const rows = await until('run.finished');
  expect(of(rows, 'action.requested')).toEqual([]);
  expect(endOf(rows)).toMatchObject({ state: 'failed', reason: expect.stringContaining('__proto__') });
});

test('the time limit of a run holds although the clock is set back while it runs', async () => {
  await using place = await Place.open();
  let backMs = 0;
  const script: Script = async (call) => {
    await call('kb.search', { text: 'x' });
    backMs = 3_600_000;
    return new Promise(() => undefined);
  };
  const { submit, until } = await place.boot(script, { nowMs: () => Date.now() - backMs });
  await submit({ text: opening(1, 'policy: { timeout_ms: 300 }\n') });
  const rows = await until('run.finished');
  expect(endOf(rows)).toMatchObject({ state: 'failed', reason: expect.stringContaining('time limit') });
  expect(rows.map((row) => row.ts_ms)).toEqual(rows.map((row) => row.ts_ms).toSorted((a, b) => a - b));
});

test('a port may be named like something that every object has', async () => {
  await using place = await Place.open();
  const { submit, until } = await place.boot(nothing, { port: 'constructor' });
  const text = opening(
    2,
    'edges:\n  - { from: n0.constructor, to: n1.constructor }\nsuccess: { all_of: ["exists(n1.constructor)"] }\n',
  );
  expect(await submit({ text })).toMatchObject({ ok: true });
  expect(endOf(await until('run.finished'))).toMatchObject({ state: 'succeeded' });
  const plain = 'version: 0\nname: t\nnodes:\n  - { id: a, use: "agent:plain" }\n  - { id: b, use: "agent:plain" }\n';
  const text2 = `${plain}edges:\n  - { from: a.constructor, to: b.in }\n  - { from: a.out, to: b.constructor }\n`;
  expect(await submit({ traceId: '01'.repeat(16), text: text2 })).toMatchObject({
    ok: false,
    error: { code: 'InvalidOpening', message: 'test.yaml: 2 errors' },
  });
});

test('a proposal that a crash cut off is made again by itself, and stands on the ledger once', async () => {
  await using place = await Place.open();
  const script: Script = async (call) => {
    await call('kb.propose', fact);
    return 1;
  };
  for (const cut of ['before', 'after']) {
    const id = (cut === 'before' ? '0a' : '0b').repeat(16);
    let reached = (): void => undefined;
    const there = new Promise<void>((resolve) => (reached = resolve));
    const first = await place.boot(script, {
      performer: (real) => ({
        ...real,
        async perform(...args) {
          if (cut === 'after') await real.perform(...args);
          reached();
          return new Promise(() => undefined);
        },
      }),
    });
    await first.submit({ traceId: id });
    await there;
    const second = await place.boot(script);
    const rows = await second.until('run.finished', id);
    expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
    expect(of(rows, 'fact.asserted')).toHaveLength(1);
    expect(of(rows, 'node.waiting')).toEqual([]);
  }
});

describe('an action that a crash cut off and that may have happened', () => {
  const script: Script = async (call) => {
    const answer = await call('mail.send', mail);
    return answer.type === 'error' ? answer.code : answer.type;
  };
  /** Sends that began, and what the last of them came to. */
  async function crashes(
    place: Place,
    answers: readonly ('approve' | 'deny')[],
  ): Promise<{ sends: number; end: unknown }> {
    let sends = 0;
    let isLast = false;
    const boot = (): Promise<Boot> => {
      let reached = (): void => undefined;
      there = new Promise((resolve) => (reached = resolve));
      return place.boot(script, {
        performer: (real) => ({
          ...real,
          repeats: () => false,
          perform(...args) {
            sends += 1;
            if (isLast) return real.perform(...args);
            reached();
            return new Promise(() => undefined);
          },
        }),
      });
    };
    let there: Promise<void> = Promise.resolve();
    const decide = async ({ runs, until }: Boot, count: number, decision: 'approve' | 'deny'): Promise<void> => {
      for (;;) {
        const asked = of(await until('node.waiting'), 'action.requested').map(metaOf);
        const [open] = asked.slice(count);
        if (open !== undefined)
          return void (await runs
            .get(traceId)
            ?.questions.decide(String(open['action']), String(open['hash']), decision, 'me'));
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
      }
    };
    let now = await boot();
    await now.submit();
    await decide(now, 0, 'approve');
    for (const [i, answer] of answers.entries()) {
      await there;
      isLast = i === answers.length - 1;
      now = await boot();
      await decide(now, i + 1, answer);
    }
    const end = endOf(await now.until('run.finished'));
    return { sends, end };
  }

  test.each([
    [['approve'], 2],
    [['deny'], 1],
    [['approve', 'approve'], 3],
    [['approve', 'deny'], 2],
  ] as const)('is asked about each time: %j, then it was begun %i times', async (answers, sends) => {
    await using place = await Place.open();
    expect(await crashes(place, answers)).toMatchObject({ sends, end: { state: 'succeeded' } });
    const rows = await place.rows();
    expect(of(rows, 'action.requested')).toHaveLength(answers.length + 1);
    const last = metaOf(of(rows, 'effect.result').at(-1) ?? expect.fail('no result'));
    expect(last).toMatchObject(
      answers.at(-1) === 'deny' ? { ok: false, error: { code: 'ApprovalDenied' } } : { ok: true },
    );
  });
});
