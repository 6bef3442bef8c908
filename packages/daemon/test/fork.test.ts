/** Forks: a prefix from a tape, the rest live; labels and evidence come along, crashes and errors in words. A6. */
import { type JsonValue, labelOf, unwrap } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { metaOf } from '../src/runs/tape.ts';
import { type Boot, bundle, endOf, of, opening, Place, type Script, traceId } from './runs-fixture.ts';

const chain = opening(
  4,
  'edges: [{ from: n0.out, to: n1.in }, { from: n1.out, to: n2.in }, { from: n0.out, to: n3.in }]',
);
const forkId = 'cd'.repeat(16);
const request = {
  traceId: forkId,
  of: traceId,
  at: 'n1',
  with: {},
  agents: {},
  onConfirm: 'wait' as const,
  priority: 0,
  actor: 'operator:1',
};
const started = (rows: Parameters<typeof of>[0]): JsonValue[] =>
  of(rows, 'node.started').map((row) => metaOf(row)['node'] ?? null);

async function ran(place: Place, script: Script, more: Parameters<Place['boot']>[1] = {}): Promise<Boot> {
  const boot = await place.boot(script, more);
  unwrap(await boot.submit({ text: chain }), 'a run');
  await boot.until('run.finished');
  return boot;
}

test('what comes before the node is taken from the tape, the rest runs: the node, what depends on it, and what stands beside', async () => {
  await using place = await Place.open();
  const { runs, until } = await ran(place, (_, node) => Promise.resolve(`first ${node}`));
  expect(await runs.fork(request)).toMatchObject({ ok: true, value: { trace_id: forkId, existing: false } });
  const rows = await until('run.finished', forkId);
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
  expect(rows.slice(0, 3).map(({ kind }) => kind)).toEqual(['run.accepted', 'node.finished', 'run.started']);
  expect(metaOf(rows[0] ?? expect.fail())).toMatchObject({
    forked_from: { trace_id: traceId, at: 'n1' },
    actor: 'operator:1',
  });
  const before = of(await place.rows(), 'node.finished').find((row) => metaOf(row)['node'] === 'n0');
  expect(metaOf(rows[1] ?? expect.fail())).toMatchObject({
    node: 'n0',
    from_tape: true,
    outputs: metaOf(before ?? expect.fail())['outputs'],
  });
  expect(started(rows).sort()).toEqual(['n1', 'n2', 'n3']);
  const seqs = rows.flatMap((row) => (row.run_seq === undefined ? [] : [row.run_seq]));
  expect(seqs).toEqual(seqs.map((_, i) => i + 1));
  expect(await runs.fork(request)).toMatchObject({ ok: true, value: { existing: true } });
  expect(await runs.fork({ ...request, at: 'n2' })).toMatchObject({ ok: false, error: { code: 'Conflict' } });
});

test('A6: a fork goes on after a crash from its own ledger, also of a fork', async () => {
  await using place = await Place.open();
  const { runs, until } = await ran(place, (_, node) => Promise.resolve(node));
  unwrap(await runs.fork({ ...request, at: 'n2' }), 'a fork');
  await until('run.finished', forkId);
  const again = 'ef'.repeat(16);
  const hanging = await place.boot((_, node) => (node === 'n2' ? new Promise(() => undefined) : Promise.resolve(node)));
  unwrap(await hanging.runs.fork({ ...request, traceId: again, of: forkId, at: 'n2' }), 'a fork of a fork');
  while (!started(await place.rows(again)).includes('n2')) await new Promise((resolve) => void setTimeout(resolve, 5));
  const after = await place.boot((_, node) => Promise.resolve(node));
  const rows = await after.until('run.finished', again);
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
  expect(started(rows).filter((node) => node === 'n0' || node === 'n1')).toEqual([]);
});

test('a fork asks anew, and what was taken carries its label and its evidence', async () => {
  await using place = await Place.open();
  const note = unwrap(
    await place.kb.append([
      {
        ts_ms: 1,
        actor: 'x',
        kind: 'note.created',
        scope: 'user',
        payload: { text: 'secret' },
        provenance: { label: labelOf('mail', { untrusted: true, private: true }) },
      },
    ]),
    'a note',
  );
  const script: Script = async (call, node) => {
    if (node === 'n0') return JSON.stringify(await call('kb.search', { text: 'secret' }));
    if (node === 'n1') await call('mail.send', { to: ['a@b'], subject: 's', text: 't' });
    return node;
  };
  const { runs, until } = await place.boot(script, { caps: { ...bundle.caps, kb_read: true } });
  const text = opening(2, 'edges: [{ from: n0.out, to: n1.in }]');
  unwrap(await runs.submit({ ...request, file: 'a', text, params: {}, traceId, onConfirm: 'deny' }), 'a run');
  const first = await until('run.finished');
  unwrap(await runs.fork({ ...request, onConfirm: 'deny' }), 'a fork');
  const second = await until('run.finished', forkId);
  const asked = [first, second].map((rows) => metaOf(of(rows, 'action.requested')[0] ?? expect.fail()));
  expect(asked[1]?.['action']).not.toBe(asked[0]?.['action']);
  expect(asked[1]?.['flow']).toEqual(asked[0]?.['flow']);
  expect(asked[0]?.['flow']).toMatchObject({ trust: 'untrusted', secrecy: 'private' });
  expect(metaOf(of(second, 'node.finished')[0] ?? expect.fail())).toMatchObject({ evidence: [note[0]?.id] });
});

describe('what cannot be forked is refused in words', () => {
  const fine: Script = (_, node) => Promise.resolve(node);
  const failing: Script = (_, node) => (node === 'n0' ? Promise.reject(new Error('no')) : Promise.resolve(node));
  test.each<[string, Script, Partial<typeof request> & { agents?: { [node: string]: string } }, string, RegExp]>([
    ['a run that is not there', fine, { of: '11'.repeat(16) }, 'NotFound', /there is no run/],
    ['a node that is not there', fine, { at: 'n7' }, 'NotFound', /has no node "n7".*did you mean "n0"/],
    ['an agent for a node that is not there', fine, { agents: { m1: 'scripted' } }, 'NotFound', /has no node "m1"/],
    [
      'an agent for a node that is taken',
      fine,
      { agents: { n0: 'scripted' } },
      'InvalidParams',
      /taken from the tape.*fork at "n0"/,
    ],
    ['a node after one that failed', failing, { at: 'n1' }, 'InvalidParams', /"n0" failed.*--at n0/],
    ['a node after one that was cancelled', failing, { at: 'n2' }, 'InvalidParams', /"n0" failed|"n1" was cancelled/],
  ])('%s', async (_, script, more, code, words) => {
    await using place = await Place.open();
    const { runs } = await ran(place, script);
    const refused = await runs.fork({ ...request, ...more });
    expect(refused).toMatchObject({ ok: false, error: { code } });
    expect(refused.ok ? '' : `${refused.error.message} ${refused.error.hint ?? ''}`).toMatch(words);
  });

  test('one that is under way', async () => {
    await using place = await Place.open();
    const { runs, submit } = await place.boot(() => new Promise(() => undefined));
    unwrap(await submit({ text: chain }), 'a run');
    expect(await runs.fork(request)).toMatchObject({ ok: false, error: { code: 'Busy' } });
  });

  test('a setting that the agent does not take', async () => {
    await using place = await Place.open();
    const strict = {
      ...bundle,
      withSchema: { type: 'object', properties: { tone: { type: 'string' } }, additionalProperties: false },
    };
    const { runs, until } = await ran(place, fine, { bundle: strict });
    const refused = await runs.fork({ ...request, with: { tnoe: 'dry' } });
    expect(refused).toMatchObject({ error: { code: 'InvalidParams', message: expect.stringMatching(/n1.*tnoe/) } });
    unwrap(await runs.fork({ ...request, with: { tone: 'dry' } }), 'a fork');
    const rows = await until('run.finished', forkId);
    expect(metaOf(rows[0] ?? expect.fail())['opening']).toMatchObject({
      nodes: [{}, { with: { tone: 'dry' } }, {}, {}],
    });
  });
});

describe('the model of a fork', () => {
  const asks: Script = async (call, node) => {
    const answer = await call('model.complete', { messages: [{ role: 'user', content: node }], model: 'small' });
    return answer.type === 'error' ? `${answer.code} ${answer.message}` : answer.type;
  };
  test.each([
    ['is called in place of the one that is asked for', ['*'], 'large'],
    ['must be one that the agent may call', ['small'], undefined],
  ])('%s', async (_, allow, called) => {
    await using place = await Place.open();
    const models: JsonValue[] = [];
    const boot = await ran(place, asks, {
      caps: { ...bundle.caps, model: { allow } },
      performer: (real) => ({
        ...real,
        cleared: () => true,
        perform: (op, args, scope, signal) => {
          if (op !== 'model.complete') return real.perform(op, args, scope, signal);
          models.push((args as { model: string }).model);
          return Promise.resolve({ result: { ok: true, value: 'said' } });
        },
      }),
    });
    expect(new Set(models)).toEqual(new Set(['small']));
    models.length = 0;
    unwrap(await boot.runs.fork({ ...request, model: 'large' }), 'a fork');
    const rows = await boot.until('run.finished', forkId);
    expect(new Set(models)).toEqual(new Set(called === undefined ? [] : [called]));
    // The tape holds what the agent asked: replayed, it asks the same.
    const hashes = (all: typeof rows): unknown[] =>
      of(all, 'effect.result')
        .filter((row) => metaOf(row)['node'] === 'n1')
        .map((row) => metaOf(row)['args_hash']);
    expect(hashes(rows)).toEqual(hashes(await place.rows()));
  });
});
