/** Runs with nested openings: one sequence of events, taken up after a crash, each opening's time, gates and text. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestText } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { nestedFilesMax } from '@runloop/openings';
import { nestedOpenings } from '../src/control/nested-openings.ts';
import { metaOf } from '../src/runs/tape.ts';
import { endOf, of, opening, Place, type Script, traceId } from './runs-fixture.ts';

const head = (name: string): string => `version: 0\nname: ${name}\n`;
const pair = `${head('pair')}nodes: [{ id: x, use: agent:scripted }, { id: y, use: agent:scripted }]\nedges: [{ from: x.out, to: y.in }]\n`;
const outer = `${head('outer')}nodes: [{ id: n0, use: agent:scripted }, { id: g, use: opening:pair }, { id: n1, use: agent:scripted }]
edges: [{ from: n0.out, to: g.in }, { from: g.out, to: n1.in }]
success: { all_of: ["exists(n1.out)"] }
artifacts: { save: [g.out] }
`;
const nestedIn = (text: string): ReadonlyMap<string, { file: string; text: string }> =>
  new Map([['pair', { file: 'pair.yaml', text }]]);
const started = (rows: Parameters<typeof of>[0]): unknown[] =>
  of(rows, 'node.started').map((row) => metaOf(row)['node']);

test('A6: a nested run is one sequence of events, goes on after a crash in the midst of it, and as it was accepted', async () => {
  await using place = await Place.open();
  const hangs: Script = (_, node) => (node === 'g/y' ? new Promise(() => undefined) : Promise.resolve(node));
  const first = await place.boot(hangs);
  expect(await first.submit({ text: outer, nested: nestedIn(pair) })).toMatchObject({ ok: true });
  for (let rows = await place.rows(); !started(rows).includes('g/y'); rows = await place.rows())
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  const { until } = await place.boot((_, node) => Promise.resolve(node));
  const rows = await until('run.finished');
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
  expect(started(rows)).toEqual(['n0', 'g/x', 'g/y', 'n1']);
  expect(of(rows, 'artifact.created').map((row) => metaOf(row)['node'])).toEqual(['g/y']);
  const streamed = rows.flatMap((row) => (row.run_seq === undefined || row.run_seq === null ? [] : [row.run_seq]));
  expect(streamed).toEqual(streamed.map((_, i) => i + 1));
  expect(metaOf(rows[0] ?? expect.fail())['opening']).toMatchObject({
    nodes: [{ id: 'n0' }, { id: 'g/x' }, { id: 'g/y' }, { id: 'n1' }],
    groups: [{ id: 'g', opening: 'pair', nodes: 2, digest: digestText(pair) }],
  });
});

test('the same trace with another inner text is another run', async () => {
  await using place = await Place.open();
  const { submit, until } = await place.boot(() => Promise.resolve(1));
  await submit({ text: outer, nested: nestedIn(pair) });
  await until('run.finished');
  expect(await submit({ text: outer, nested: nestedIn(pair) })).toMatchObject({ ok: true, value: { existing: true } });
  expect(await submit({ text: outer, nested: nestedIn(`${pair}# other\n`) })).toMatchObject({
    ok: false,
    error: { code: 'Conflict' },
  });
});

describe('time', () => {
  const timed = `${pair}policy: { timeout_ms: 150 }\n`;
  test('of a nested opening ends the run, counted from the start of its first node', async () => {
    await using place = await Place.open();
    const { submit, until } = await place.boot(async (_, node) => {
      if (node === 'g/y') await new Promise(() => undefined);
      return 1;
    });
    await submit({ text: outer, nested: nestedIn(timed) });
    expect(endOf(await until('run.finished'))).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('nested opening "g" reached its time limit'),
    });
  });

  test('of one that has ended is no limit of what comes after it', async () => {
    await using place = await Place.open();
    const { submit, until } = await place.boot(async (_, node) => {
      if (node === 'n0' || node === 'n1')
        await new Promise((resolve) => {
          setTimeout(resolve, 400);
        });
      return 1;
    });
    await submit({ text: outer, nested: nestedIn(timed) });
    expect(endOf(await until('run.finished'))).toMatchObject({ state: 'succeeded' });
  });
});

describe('the gate of a nested opening', () => {
  const sends: Script = async (call, node) => {
    if (node === 'g/x') await call('mail.send', { to: ['a@b.c'], subject: 's', body: 'b' });
    return 1;
  };
  const opens = `${pair}policy: { confirm_external: false }\n`;
  const outerOpens = `${outer}policy: { confirm_external: false }\n`;
  const shuts = `${pair}policy: { confirm_external: true }\n`;
  test.each<[string, string, string, readonly string[], boolean]>([
    ['both texts were agreed to', outer, opens, [outer, opens], true],
    ['the inner alone was agreed to', outer, opens, [opens], false],
    ['the outer alone was agreed to', outer, opens, [outer], false],
    ['the outer opens it for an inner one that was not agreed to', outerOpens, pair, [outerOpens], false],
    ['the outer opens it for an inner one that was agreed to', outerOpens, pair, [outerOpens, pair], true],
    ['the inner one keeps it shut', outerOpens, shuts, [outerOpens, shuts], false],
  ])('%s', async (_, text, inner, agreed, isOpen) => {
    await using place = await Place.open();
    const digests = new Set<string>(agreed.map((one) => digestText(one)));
    const { runs, submit, until } = await place.boot(sends, { operator: { trusts: (digest) => digests.has(digest) } });
    await submit({ text, nested: nestedIn(inner), onConfirm: 'deny' });
    const rows = await until('run.finished');
    expect(of(rows, 'action.decided').map((row) => metaOf(row)['decision'])).toEqual([isOpen ? 'approve' : 'deny']);
    const planned = await runs.plan({ file: 'outer.yaml', text }, {}, nestedIn(inner));
    expect(planned).toMatchObject({ ok: true, value: { groups: [{ id: 'g' }] } });
    if (inner !== shuts && planned.ok) expect(planned.value.not_in_force.length === 0).toBe(isOpen);
  });
});

test('an opening in itself, or not there, is refused before the run', async () => {
  await using place = await Place.open();
  const { submit } = await place.boot(() => Promise.resolve(1));
  const loop = `${head('pair')}nodes: [{ id: g, use: opening:pair }]\n`;
  expect(await submit({ text: outer, nested: nestedIn(loop) })).toMatchObject({
    ok: false,
    error: { code: 'InvalidOpening', details: { diagnostics: [{ file: 'pair.yaml', line: 3 }] } },
  });
  expect(await submit({ text: outer })).toMatchObject({ ok: false, error: { code: 'InvalidOpening' } });
  expect(await submit({ text: opening() })).toMatchObject({ ok: true, value: { trace_id: traceId } });
});

test('A10: from more files than are allowed nothing is nested, and what is sent comes before what lies in folders', async () => {
  const uses = (count: number): string =>
    `${head('many')}nodes:\n${Array.from({ length: count }, (_, i) => `  - { id: n${i}, use: "opening:o${i}" }`).join('\n')}\n`;
  const given = Object.fromEntries(
    Array.from({ length: nestedFilesMax + 1 }, (_, i) => [`o${i}`, { file: `o${i}.yaml`, text: pair }]),
  );
  const most = await nestedOpenings({ file: 'x', text: uses(nestedFilesMax) }, given, []);
  expect(most.ok && most.value.size).toBe(nestedFilesMax);
  expect(await nestedOpenings({ file: 'x', text: uses(nestedFilesMax + 1) }, given, [])).toMatchObject({
    ok: false,
    error: { code: 'InvalidOpening', message: expect.stringContaining(`more than ${nestedFilesMax}`) },
  });
  await using place = await Place.open();
  const named = join(place.path, 'o0.opening');
  writeFileSync(named, 'opening o0 { node x { use: agent:scripted } }');
  const found = await nestedOpenings({ file: 'x', text: uses(1) }, {}, [place.path]);
  expect(found.ok && found.value.get('o0')?.file).toBe(named);
  const sent = await nestedOpenings({ file: 'x', text: uses(1) }, given, [place.path]);
  expect(sent.ok && sent.value.get('o0')?.file).toBe('o0.yaml');
});
