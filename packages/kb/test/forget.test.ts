/**
 * Forgetting: no byte of the values stays in any file, the chain holds, and what is about others stays.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestBytes, unwrap } from '@runloop/core';
import { expect, test } from 'vitest';
import type { Kb } from '../src/index.ts';
import { needles } from '../src/index.ts';
import { open, runEvent, tempDir } from './kb-kit.ts';

const by = { actor: 'user:test', provenance: {} };
const trace = (n: number): string => n.toString(16).padStart(32, '0');

/** Every file below that holds one of the texts, as `grep -a` would. */
function holding(dir: string, texts: readonly string[]): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const bytes = readFileSync(path);
      return texts.some((text) => bytes.includes(text));
    });
}

const jane = { name: 'Jane Doe-Miller', email: 'jane.doe@example.org', notes: 'Likes long walks at the sea.' };
const personal = Object.values(jane);

async function propose(
  kb: Kb,
  kind: string,
  payload: Record<string, string | number>,
  evidence: number[] = [],
): Promise<number> {
  const said = await kb.propose({ kind, payload, evidence }, { ...by, scope: 'operator', kb_write: true });
  return unwrap(said, kind).event_id;
}

/** A run that looked jane up, answered a letter that is too large for the ledger, and one that did not. */
async function fill(kb: Kb): Promise<{ readonly large: string; readonly derived: number }> {
  const contact = { contact: 'contact:jane', confidence: 1, trust: 'trusted', ...jane };
  const id = await propose(kb, 'contact.upserted', contact);
  await propose(kb, 'contact.upserted', {
    contact: 'contact:janet',
    confidence: 1,
    trust: 'trusted',
    name: 'Janet Roe',
    email: 'janet@example.org',
  });
  const derived = await propose(kb, 'note.created', { text: 'Somebody likes walking.' }, [id]);
  await propose(kb, 'note.created', { text: `Dinner with JANE doe-miller on Friday` });
  const letter = Buffer.from(JSON.stringify({ text: `Dear ${jane.name}, `.repeat(8_000) }));
  const large = unwrap(await kb.putBlob(letter), 'a blob file');
  const answer = JSON.stringify({ summary: 'She is fond of the coast.' });
  const digest = digestBytes(Buffer.from(answer));
  const [a, b] = [trace(1), trace(2)];
  const told = await kb.append(
    [
      runEvent('run.accepted', { name: 'write', params: { to: 'jane' }, actor: 'user:test' }, 1, a),
      runEvent(
        'effect.intent',
        { node: 'n', attempt: 1, index: 0, call: 'c', op: 'kb.query', args: { key: 'contact:jane' } },
        undefined,
        a,
      ),
      runEvent(
        'effect.result',
        { node: 'n', attempt: 1, index: 0, call: 'c', op: 'kb.query', ok: true, value: { rows: [contact] } },
        undefined,
        a,
      ),
      runEvent(
        'model.called',
        { node: 'n', attempt: 1, agent: 'w', model: 'm', provider: 'p', tokens_in: 5, tokens_out: 7, usd_nano: 9 },
        2,
        a,
      ),
      runEvent(
        'effect.result',
        { node: 'n', attempt: 1, index: 1, call: 'd', op: 'model.complete', ok: true, value: { blob: digest } },
        undefined,
        a,
      ),
      runEvent(
        'node.finished',
        { node: 'n', attempt: 1, state: 'succeeded', outputs: { out: [{ type: 't', digest: large }] } },
        3,
        a,
      ),
      runEvent('run.finished', { state: 'succeeded', duration_ms: 4, tokens: 12, usd_nano: 9 }, 4, a),
      runEvent('run.accepted', { name: 'other', params: {}, actor: 'user:test' }, 1, b),
      runEvent(
        'effect.result',
        { node: 'n', attempt: 1, index: 0, call: 'e', op: 'kb.search', ok: true, value: { hits: [] } },
        undefined,
        b,
      ),
      runEvent('run.finished', { state: 'succeeded' }, 2, b),
    ],
    [{ digest, content: answer }],
  );
  unwrap(told, 'two runs');
  return { large, derived };
}

test('no byte of the values stays, the chain holds, others and what was paid stay', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const { large, derived } = await fill(kb);
  unwrap(await kb.search({ text: 'walks sea', max: 5, raw: true }), 'something in the views');
  expect(holding(dir.path, personal)).not.toEqual([]);
  const plan = unwrap(await kb.planForget('contact:jane'), 'a plan');
  expect(plan.values.toSorted()).toEqual(personal.toSorted());
  expect(plan.files).toEqual([large]);
  expect(plan.runs.map((run) => run.trace_id)).toEqual([trace(1)]);
  expect(plan.derived).toEqual([derived]);
  const done = unwrap(await kb.forget('contact:jane', by), 'a forgetting');
  expect(done.events).toEqual(plan.events);
  expect(holding(dir.path, [...personal, 'JANE doe-miller', 'fond of the coast'])).toEqual([]);
  expect(unwrap(await kb.verify(), 'verified')).not.toHaveProperty('first_bad');
  expect(unwrap(await kb.find({ kind: 'contact', max: 9, raw: true }), 'contacts')).toMatchObject([
    { name: 'Janet Roe' },
  ]);
  expect(unwrap(await kb.search({ text: 'walking', max: 5 }), 'hits').hits).toHaveLength(1);
  expect(unwrap(await kb.runs({ max: 9 }), 'runs')).toMatchObject([
    { name: 'other', forgotten_event: null },
    { name: 'write', state: 'succeeded', usd_nano: 9, forgotten_event: done.event_id },
  ]);
  expect(unwrap(await kb.costs({ by: 'agent', max: 9 }), 'costs').total.usd_nano).toBe(9);
  expect(unwrap(await kb.why('contact:jane'), 'why').steps).toMatchObject([
    { id: done.event_id, kind: 'subject.forgotten' },
  ]);
  const rebuilt = unwrap(await kb.rebuild(), 'rebuilt');
  expect(rebuilt.equal).toBe(true);
  expect((await kb.forget('contact:jane', by)).ok).toBe(false);
});

test('a forgetting that was cut off after its commit is finished when the directory is opened', async () => {
  using dir = tempDir();
  {
    await using kb = await open(dir.path);
    const { large } = await fill(kb);
    const file = join(dir.path, 'blobs', large.slice(0, 2), large.slice(2));
    const bytes = readFileSync(file);
    unwrap(await kb.forget('contact:jane', by), 'a forgetting');
    writeFileSync(file, bytes);
    writeFileSync(join(dir.path, 'forgetting'), '');
  }
  expect(holding(dir.path, personal)).toHaveLength(1);
  await using _ = await open(dir.path);
  expect(holding(dir.path, personal)).toEqual([]);
  expect(readdirSync(dir.path)).not.toContain('forgetting');
});

test('a run that holds it and goes on stands in the way', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  await propose(kb, 'note.created', { text: jane.notes, entity: 'contact:jane' });
  unwrap(
    await kb.append([runEvent('run.accepted', { name: 'x', params: { about: jane.notes } }, 1, trace(3))]),
    'a run',
  );
  expect(await kb.forget('contact:jane', by)).toMatchObject({ ok: false, error: { code: 'Busy' } });
  expect(unwrap(await kb.find({ kind: 'note', max: 9 }), 'notes')).toHaveLength(1);
});

test('of a run, an event or an artifact alone', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const { large } = await fill(kb);
  const note = await propose(kb, 'note.created', { text: 'the code of the door is 4711' });
  unwrap(await kb.forget(`event:${note}`, by), 'an event');
  expect(holding(dir.path, ['code of the door'])).toEqual([]);
  unwrap(await kb.forget(`artifact:${large}`, by), 'an artifact');
  expect((await kb.getBlob(large)).ok).toBe(false);
  unwrap(await kb.forget(`run:${trace(2)}`, by), 'a run');
  const { events } = unwrap(await kb.runEvents({ traceId: trace(2), max: 9 }), 'its events');
  expect(events.find(({ kind }) => kind === 'effect.result')?.payload).toBeNull();
  expect((await kb.forget('contact:nobody', by)).ok).toBe(false);
});

test('values are found in every form that they take', () => {
  const { has } = needles('contact:jo', [`Jo "the fox" O’Neill`, 'jo@example.org']);
  const value = `Jo "the fox" O’Neill`;
  const check = (text: string, expected: boolean): void => expect([text, has(text)]).toEqual([text, expected]);
  check(JSON.stringify({ a: value }), true);
  check(JSON.stringify({ a: JSON.stringify({ b: value }) }), true);
  check(`https://example.org/?q=${encodeURIComponent(value)}`, true);
  for (const before of ['', 'x', 'xy', 'xyz']) {
    check(Buffer.from(`${before}${value}!`).toString('base64'), true);
    check(Buffer.from(`${before}jo@example.org`).toString('base64url'), true);
  }
  check('JO@EXAMPLE.ORG', true);
  check('see contact:jo.', true);
  check('see contact:joan and contact:jo-ann', false);
  check('j***@example.org', false);
});
