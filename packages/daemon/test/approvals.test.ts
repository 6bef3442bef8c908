/** What a person may say to a question: with other arguments, several times over, about what was cut off; and how many may wait. */
import { digestJson, type JsonObject, type JsonValue, systemClock, unwrap } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { approvalMs, pendingActionsMax, timesMax } from '../src/runs/questions.ts';
import { metaOf } from '../src/runs/tape.ts';
import type { HostPerformer } from '../src/runs/ports.ts';
import { type Boot, bundle, endOf, of, opening, Place, type Script, traceId } from './runs-fixture.ts';

const mail = { to: ['a@b.c'], subject: 's', body: 'b' };
const other = { to: ['me@b.c'], subject: 'edited', body: 'b' };

/** Takes mail and keeps what it was given. */
function mailbox(sent: JsonValue[]): (real: HostPerformer) => HostPerformer {
  return (real) => ({
    ...real,
    perform(op, args, scope, signal) {
      if (op !== 'mail.send') return real.perform(op, args, scope, signal);
      sent.push(args);
      return Promise.resolve({ result: { ok: true, value: { accepted: ['x'] } } });
    },
  });
}

const sends =
  (times: number): Script =>
  async (call) => {
    const told: JsonValue[] = [];
    for (let i = 0; i < times; i += 1) {
      const answer = await call('mail.send', mail);
      told.push(answer.type === 'error' ? answer.code : answer.type);
    }
    return told;
  };

/** The question that is open once `count` have been asked. */
async function asked({ until }: Boot, count: number, id = traceId): Promise<JsonObject> {
  for (;;) {
    const rows = await until('action.requested', id);
    const requests = of(rows, 'action.requested').map(metaOf);
    // The node has given up its cell.
    const waits = of(rows, 'node.waiting').some((row) => metaOf(row)['action'] === requests[count - 1]?.['action']);
    if (requests.length >= count && waits) return requests[count - 1] ?? expect.fail('nothing was asked');
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

const idOf = ({ action, hash }: JsonObject): [string, string] => [String(action), String(hash)];

describe('edited', () => {
  async function edit(boot: Boot, request: JsonObject, args: JsonObject): Promise<unknown> {
    const run = boot.runs.get(traceId) ?? expect.fail('no run');
    const [id, hash] = idOf(request);
    const action = run.driver.actions.get(id) ?? expect.fail('no request');
    return run.edit(action, hash, args, 'me');
  }

  test.each(['no crash', 'a crash after the edit', 'a crash after the yes'])(
    'what was edited is asked about anew and performed, and the agent keeps to its tape: %s',
    async (crash) => {
      await using place = await Place.open();
      const sent: JsonValue[] = [];
      const start = (): Promise<Boot> => place.boot(sends(1), { performer: mailbox(sent) });
      let boot = await start();
      await boot.submit();
      const first = await asked(boot, 1);
      expect(await edit(boot, first, other)).toBeUndefined();
      if (crash === 'a crash after the edit') boot = await start();
      const second = await asked(boot, 2);
      expect(second).toMatchObject({ args: other, hash: digestJson(other), replaces: first['action'] });
      expect(sent).toEqual([]);
      const yes = boot.runs.get(traceId)?.questions.decide(...idOf(second), 'approve', 'me');
      if (crash === 'a crash after the yes') {
        await boot.until('action.decided');
        await yes;
        boot = await start();
      }
      const rows = await boot.until('run.finished');
      expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
      expect(sent).toEqual([other]);
      for (const kind of ['effect.intent', 'effect.result'])
        expect(metaOf(of(rows, kind)[0] ?? expect.fail('no call'))).toMatchObject({
          args: { json: mail },
          args_hash: digestJson(mail),
          performed: { args: { json: other }, args_hash: digestJson(other) },
        });
    },
  );

  test.each([
    ['what the agent may not do', { ...other, to: ['evil@example.com'] }, 'CapabilityDenied'],
    ['what was shown under another hash', other, 'Conflict'],
  ])('not to %s', async (_, args, code) => {
    await using place = await Place.open();
    const caps = { ...bundle.caps, mail: { from: 'me@localhost', to: ['*@b.c'] } };
    const boot = await place.boot(sends(1), { caps });
    await boot.submit();
    const first = await asked(boot, 1);
    const request = code === 'Conflict' ? { ...first, hash: '00' } : first;
    expect(await edit(boot, request, args)).toMatchObject({ code });
  });

  test('not into another kind of call, nor what was cut off', async () => {
    await using place = await Place.open();
    const caps = { ...bundle.caps, net: ['example.com'] };
    const post = { url: 'https://example.com/', method: 'POST', body: 'b' };
    const boot = await place.boot(async (call) => (await call('http.fetch', post)).type, { caps });
    await boot.submit();
    const first = await asked(boot, 1);
    expect(await edit(boot, first, { ...post, method: 'GET' })).toMatchObject({ code: 'InvalidParams' });
  });
});

describe('several times over', () => {
  test.each([
    [1, 3, 3],
    [2, 4, 3],
    [3, 3, 1],
    [timesMax, 5, 1],
  ])('%i times, of %i sends: %i questions, also after a restart between them', async (times, count, questions) => {
    await using place = await Place.open();
    const sent: JsonValue[] = [];
    const start = (): Promise<Boot> => place.boot(sends(count), { performer: mailbox(sent) });
    let boot = await start();
    await boot.submit();
    for (let open = 0, nth = 1; open < questions; open += 1) {
      const request = await asked(boot, nth);
      boot = await start();
      const said = open === 0 ? { times } : {};
      expect(await boot.runs.get(traceId)?.questions.decide(...idOf(request), 'approve', 'me', said)).toBeUndefined();
      nth += open === 0 ? times : 1;
    }
    const rows = await boot.until('run.finished');
    expect(sent).toHaveLength(count);
    const passed = of(rows, 'action.decided').filter((row) => metaOf(row)['under'] !== undefined);
    expect(passed).toHaveLength(count - questions);
    expect(of(rows, 'action.requested')).toHaveLength(count);
  });

  test('two nodes that ask at the same moment do not use the same one', async () => {
    await using place = await Place.open();
    const sent: JsonValue[] = [];
    const boot = await place.boot(sends(1), { performer: mailbox(sent) });
    const edges = ['n1', 'n2', 'n3'].map((to) => `  - { from: n0.out, to: ${to}.in }`).join('\n');
    await boot.submit({ text: opening(4, `edges:\n${edges}\n`) });
    const request = await asked(boot, 1);
    await boot.runs.get(traceId)?.questions.decide(...idOf(request), 'approve', 'me', { times: 2 });
    for (const nth of [3, 4]) {
      const open = await asked(boot, nth);
      await boot.runs.get(traceId)?.questions.decide(...idOf(open), 'deny', 'me');
    }
    await boot.until('run.finished');
    expect(sent).toHaveLength(2);
  });

  test('A10: not without end, not never, and not a no', async () => {
    await using place = await Place.open();
    const boot = await place.boot(sends(1));
    await boot.submit();
    const request = idOf(await asked(boot, 1));
    const questions = boot.runs.get(traceId)?.questions;
    for (const times of [0, timesMax + 1])
      expect(await questions?.decide(...request, 'approve', 'me', { times })).toMatchObject({ code: 'Usage' });
    expect(await questions?.decide(...request, 'deny', 'me', { times: 2 })).toMatchObject({ code: 'Usage' });
  });
});

test('nobody answers, and the daemon is down when the time is over: it is a no, and nothing was sent', async () => {
  await using place = await Place.open();
  const sent: JsonValue[] = [];
  const before = await place.boot(sends(1), { performer: mailbox(sent) });
  await before.submit();
  await asked(before, 1);
  const after = await place.boot(sends(1), {
    performer: mailbox(sent),
    nowMs: () => systemClock.nowMs() + approvalMs + 1,
  });
  const rows = await after.until('run.finished');
  expect(of(rows, 'action.decided').map(metaOf)).toMatchObject([{ decision: 'expired', by: 'expiry' }]);
  expect(sent).toEqual([]);
});

test('the machine slept over the time, and somebody says yes before the timer rings: it is a no', async () => {
  await using place = await Place.open();
  const sent: JsonValue[] = [];
  let sleptMs = 0;
  const boot = await place.boot(sends(1), {
    performer: mailbox(sent),
    nowMs: () => systemClock.nowMs() + sleptMs,
  });
  await boot.submit();
  const request = idOf(await asked(boot, 1));
  sleptMs = approvalMs;
  const questions = boot.runs.get(traceId)?.questions;
  expect(await questions?.decide(...request, 'approve', 'me')).toMatchObject({ code: 'Conflict' });
  const rows = await boot.until('run.finished');
  expect(of(rows, 'action.decided').map(metaOf)).toMatchObject([{ decision: 'expired', by: 'expiry' }]);
  expect(sent).toEqual([]);
});

test('A10: questions that an agent may have open are bounded over all its runs', async () => {
  await using place = await Place.open();
  const boot = await place.boot(sends(1));
  const ids = Array.from({ length: pendingActionsMax }, (_, i) => String(i).padStart(32, '0'));
  for (const id of ids) unwrap(await boot.submit({ traceId: id }), 'a run');
  await Promise.all(ids.map((id) => boot.until('node.waiting', id)));
  unwrap(await boot.submit(), 'one more');
  const rows = await boot.until('run.finished');
  expect(of(rows, 'action.decided').map(metaOf)).toMatchObject([{ decision: 'deny', by: 'pending_actions_max' }]);
  // One is answered: there is room again.
  const run = boot.runs.get(ids[0] ?? '');
  const [open] = run?.driver.actions.pending() ?? [];
  await run?.questions.decide(open?.id ?? '', open?.hash ?? '', 'deny', 'me');
  const next = 'cd'.repeat(16);
  unwrap(await boot.submit({ traceId: next }), 'the next');
  expect(of(await boot.until('node.waiting', next), 'action.decided')).toEqual([]);
});
