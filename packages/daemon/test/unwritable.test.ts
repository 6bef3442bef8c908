/** What an agent says, so that no event of its run could be written: the run goes on, or ends. It never begins again and again. */
import type { JsonValue } from '@runloop/core';
import { expect, test } from 'vitest';
import { metaOf } from '../src/runs/tape.ts';
import { endOf, of, Place, type Script } from './runs-fixture.ts';

const deep = (levels: number): JsonValue => {
  let value: JsonValue = 'x';
  for (let i = 0; i < levels; i += 1) value = [value];
  return value;
};
const face = '\u{1f600}';
const fact = { subject: 's', predicate: 'p', object: 'o' };

test.each<[string, string, JsonValue]>([
  [
    'a text that is cut in the middle of a character',
    'exec.run',
    { command: '/usr/bin/git', argv: [face.repeat(200)] },
  ],
  ['the same, one further', 'exec.run', { command: '/usr/bin/git', argv: [`x${face.repeat(200)}`] }],
  ['the same, of a host', 'http.fetch', { url: `no url x${face.repeat(200)}` }],
  ['the same, of mail', 'mail.send', { to: [`x${face.repeat(200)}`], subject: 's', body: 'b' }],
  ['the same, of a path', 'fs.read', { path: `/x${face.repeat(200)}` }],
  ['the same, of a path that is none', 'fs.read', { path: `x${face.repeat(200)}` }],
  ['an operation', `${'x'.repeat(63)}${face}`, {}],
  ['a refused command of a megabyte', 'exec.run', { command: '/x', argv: ['x'.repeat(500_000), 'y'.repeat(500_000)] }],
  ['a tool of a megabyte', 'tools.call', { tool: 'x'.repeat(1_000_000) }],
  ['what a refused call nests', 'exec.run', { command: '/x', argv: [], more: deep(62) }],
  ['what an allowed call nests', 'kb.query', { kind: 'fact', max: 1, more: deep(62) }],
  ['what a call nests that is asked about', 'mail.send', { to: ['a@b.c'], subject: 's', body: 'b', more: deep(62) }],
  ['what a proposal nests', 'kb.propose', { kind: 'fact.asserted', payload: { ...fact, object: deep(60) } }],
])('%s', async (_, op, args) => {
  await using place = await Place.open();
  let attempts = 0;
  const script: Script = async (call) => {
    attempts += 1;
    const answer = await call(op, args);
    return answer.type;
  };
  const boot = await place.boot(script);
  await boot.submit({ onConfirm: 'deny' });
  const rows = await boot.until('run.finished');
  expect(attempts).toBe(1);
  expect(of(rows, 'run.recovered')).toEqual([]);
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
  for (const row of of(rows, 'cap.audit')) expect(JSON.stringify(metaOf(row)).length).toBeLessThan(2_000);
});

test.each([55, 56, 57, 63])('what it answers and what it is answered nests %i levels', async (levels) => {
  await using place = await Place.open();
  const boot = await place.boot(
    async (call) => {
      const answer = await call('kb.query', { kind: 'fact', max: 1 });
      return answer.type === 'value' ? answer.value : answer.type;
    },
    {
      performer: (real) => ({ ...real, perform: () => Promise.resolve({ result: { ok: true, value: deep(levels) } }) }),
    },
  );
  await boot.submit();
  const rows = await boot.until('run.finished');
  expect(of(rows, 'run.recovered')).toEqual([]);
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
});

test('what it is answered holds half a character, as a name, a text or the reason of a failure', async () => {
  await using place = await Place.open();
  const answers = [
    { ok: true as const, value: { 'a\ud83d': ['\udc00'] } },
    { ok: false as const, code: 'UpstreamFailed', message: 'no \ud83d', retryable: false },
  ];
  const boot = await place.boot(
    async (call) => [
      await call('kb.query', { kind: 'fact', max: 1 }),
      await call('kb.query', { kind: 'fact', max: 2 }),
    ],
    {
      performer: (real) => ({
        ...real,
        perform: () => Promise.resolve({ result: answers.shift() ?? expect.fail('too many calls') }),
      }),
    },
  );
  await boot.submit();
  const rows = await boot.until('run.finished');
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
  expect(of(rows, 'effect.result').map(metaOf)).toMatchObject([
    { ok: true, value: { json: { 'a\ufffd': ['\ufffd'] } } },
    { ok: false, error: { message: 'no \ufffd' } },
  ]);
});
