/** Search: what is found by whom and as of when, what stays out, and what happens to its thread. */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type JsonObject, unwrap } from '@runloop/core';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EventDraft, type Kb, type SearchHit, searchModes, type SearchQuery } from '../src/index.ts';
import { searchTermsMax, sourceEventsMax } from '../src/limits.ts';
import { draft, open, tempDir } from './kb-kit.ts';

const note = (text: string, more: Partial<EventDraft> = {}): EventDraft => draft({ payload: { text }, ...more });
const contact = (payload: JsonObject, more: Partial<EventDraft> = {}): EventDraft =>
  draft({ kind: 'contact.upserted', payload: { contact: 'contact:jane', name: 'Jane Doe', ...payload }, ...more });
const hits = async (kb: Kb, q: Partial<SearchQuery>): Promise<readonly SearchHit[]> =>
  unwrap(await kb.search({ text: '', max: 10, raw: true, ...q }), 'hits').hits;
const found = async (kb: Kb, q: Partial<SearchQuery>): Promise<string[]> =>
  (await hits(kb, q)).map(({ entity }) => entity);

describe('filters come before the cut', () => {
  const said: readonly EventDraft[] = [
    note('The budget was cut', { ts_ms: 100, actor: 'agent:scribe' }),
    note('The budget is safe', { ts_ms: 200, actor: 'operator:1000' }),
    contact({ org: 'Initech', notes: 'asks about the budget' }, { ts_ms: 300, actor: 'operator' }),
    contact({ org: 'Globex' }, { ts_ms: 400, actor: 'agent:scribe' }),
    draft({ kind: 'fact.asserted', ts_ms: 500, payload: { subject: 'acme', predicate: 'budget', object: 'small' } }),
    draft({ kind: 'fact.asserted', ts_ms: 600, payload: { subject: 'acme', predicate: 'budget', object: 'large' } }),
    draft({ kind: 'contact.removed', ts_ms: 700, payload: { contact: 'contact:jane' } }),
  ];
  const now = ['fact:6', 'note:1', 'note:2'];
  test.each<[string, Partial<SearchQuery>, readonly string[]]>([
    ['what is believed now', {}, now],
    ['one, of a kind', { kinds: ['note'], max: 1, text: 'the budget is safe' }, ['note:2']],
    ['two kinds', { kinds: ['fact', 'contact'] }, ['fact:6']],
    [
      'as of a time: closed versions are there, later ones are not',
      { asOfMs: 350 },
      ['contact:jane', 'note:1', 'note:2'],
    ],
    ['as of a time, the older fact', { asOfMs: 599, kinds: ['fact'] }, ['fact:5']],
    ['as of the beginning', { asOfMs: 99 }, []],
    ['what a person has written', { confirmedOnly: true }, ['note:2']],
    ['what a person had written then', { confirmedOnly: true, asOfMs: 399 }, ['contact:jane', 'note:2']],
    ['not what an agent has changed since', { confirmedOnly: true, asOfMs: 400 }, ['note:2']],
    ['since', { sinceMs: 200 }, ['fact:6', 'note:2']],
    ['until, which is not in it', { sinceMs: 100, untilMs: 200 }, ['note:1']],
    ['by an agent', { by: 'scribe' }, ['note:1']],
    ['by its whole name', { by: 'agent:scribe' }, ['note:1']],
    ['by the operator, whoever it is', { by: 'operator' }, ['note:2']],
    ['by a part of a name', { by: 'scrib' }, []],
  ])('%s', async (_, q, expected) => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    unwrap(await kb.append(said), 'an append');
    for (const mode of searchModes) {
      const entities = await found(kb, { text: 'budget', mode, ...q });
      expect([mode, entities.toSorted()]).toEqual([mode, expected]);
    }
  });

  test('a hit says when, who, whether a person, and from which events', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    unwrap(await kb.append(said.slice(0, 4)), 'an append');
    expect(await hits(kb, { text: 'Globex' })).toMatchObject([
      { entity: 'contact:jane', ts_ms: 400, actor: 'agent:scribe', confirmed: false, source_events: [3, 4] },
    ]);
    expect(await hits(kb, { text: 'Initech', asOfMs: 300 })).toMatchObject([
      { entity: 'contact:jane', ts_ms: 300, actor: 'operator', confirmed: true, source_events: [3] },
    ]);
  });
});

describe('who may not see addresses', () => {
  test('gets the same answers whatever stands before the @, in every mode', async () => {
    const local = fc.stringMatching(/^s[a-z]{2,9}$/);
    await fc.assert(
      fc.asyncProperty(local, local, async (one, other) => {
        const answers = [one, other].map(async (name) => {
          using dir = tempDir();
          await using kb = await open(dir.path);
          const address = `${name}@acme.com`;
          unwrap(
            await kb.append([
              contact({ email: address, notes: `also ${address}` }),
              note(`write to ${address} on Friday`),
              note('nothing of this kind'),
            ]),
            'an append',
          );
          const asked = [one, other, `${one}@acme.com`, 'write jane', one.slice(0, 4)];
          return await Promise.all(
            searchModes.flatMap((mode) => asked.map((text) => hits(kb, { text, mode, raw: false, max: 5 }))),
          );
        });
        const [first, second] = await Promise.all(answers);
        expect(first).toEqual(second);
        expect(JSON.stringify(first)).not.toContain(`${one}@`);
      }),
      { numRuns: 8 },
    );
  });

  test('not even where the entity is named by an address', async () => {
    using dir = tempDir();
    await using kb = await open(dir.path);
    const payload = { subject: 'jane.doe@acme.com', predicate: 'likes', object: 'trains' };
    unwrap(
      await kb.append([contact({ contact: 'contact:jane.doe@acme.com' }), draft({ kind: 'fact.asserted', payload })]),
      'an append',
    );
    const told = JSON.stringify(await hits(kb, { text: 'trains jane acme', raw: false }));
    expect(told).not.toContain('jane.doe@');
    expect(told).toContain('j***@acme.com');
  });
});

test('any text may be asked for', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  unwrap(
    await kb.append([note('NEAR the end'), note('body OR nothing'), note('"quoted" -minus col:umn *')]),
    'an append',
  );
  expect(await found(kb, { text: 'body : OR', mode: 'keyword' })).toEqual(['note:2']);
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.stringMatching(/^[A-Z"'()*:^+-]{0,20}( (AND|OR|NOT|NEAR) )?[a-z"*{}]{0,9}$/),
      ),
      async (text) => {
        for (const mode of searchModes) expect((await kb.search({ text, max: 3, mode })).ok).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

test('an empty knowledge base finds nothing, and has nothing to embed', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  for (const mode of searchModes) expect(await hits(kb, { text: 'anything', mode })).toEqual([]);
  expect(unwrap(await kb.reembed(true), 'vectors')).toMatchObject({ docs: 0, missing: 0, running: false });
  expect(unwrap(await kb.purgeVectors(), 'a purge')).toEqual({ purged: 0 });
});

test('a name that is spelled wrongly is found', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const names = ['Katharina Wojciechowski', 'Bartholomew Featherstone', 'Siobhan McAllister', 'Zoë Müller'];
  unwrap(await kb.append(names.map((name, i) => contact({ contact: `contact:${i}`, name }))), 'an append');
  for (const [i, text] of [
    'Katarina Wojchechowski',
    'Bartolomew Fetherstone',
    'Siobahn MacAllister',
    'Zoe Muller',
  ].entries()) {
    expect((await found(kb, { text }))[0]).toBe(`contact:${i}`);
  }
});

test('A10: words and source events of one search are bounded', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const many = Array.from({ length: sourceEventsMax + 10 }, (_, i) => contact({ notes: `version ${i}` }));
  unwrap(await kb.append([...many, note('needle')]), 'an append');
  expect((await hits(kb, { text: 'jane' }))[0]?.source_events).toHaveLength(sourceEventsMax);
  const words = Array.from({ length: searchTermsMax }, (_, i) => `w${i}`).join(' ');
  expect(await found(kb, { text: `${words} needle`, mode: 'keyword' })).toEqual([]);
  expect(await found(kb, { text: `needle ${words} more`, mode: 'keyword' })).toHaveLength(1);
});

describe('A5: documents and vectors are made again', () => {
  const vectors = (dir: string): unknown[] => {
    const db = new Database(join(dir, 'vectors.sqlite'), { readonly: true });
    const rows = db.prepare('SELECT embedder, text, vector FROM search_vec ORDER BY embedder, text').raw().all();
    db.close();
    return rows;
  };
  test.each([
    ['the views', ['pog.sqlite']],
    ['the vectors', ['vectors.sqlite']],
    ['both', ['pog.sqlite', 'vectors.sqlite']],
  ])('after %s are gone', async (_, gone) => {
    using dir = tempDir();
    const drafts = [
      note('the roof leaks'),
      contact({ email: 'a.b@c.org' }),
      contact({ org: 'Acme' }),
      note('a quiet day'),
    ];
    let before: readonly SearchHit[];
    let stored: unknown[];
    {
      await using kb = await open(dir.path);
      unwrap(await kb.append(drafts), 'an append');
      before = await hits(kb, { text: 'leaking roof at acme' });
      stored = vectors(dir.path);
      expect(unwrap(await kb.rebuild(), 'a rebuild').equal).toBe(true);
      expect(await hits(kb, { text: 'leaking roof at acme' })).toEqual(before);
    }
    for (const name of gone)
      for (const suffix of ['', '-wal', '-shm']) rmSync(join(dir.path, name + suffix), { force: true });
    await using kb = await open(dir.path);
    expect(await hits(kb, { text: 'leaking roof at acme' })).toEqual(before);
    expect(vectors(dir.path)).toEqual(stored);
    expect(stored.length).toBeGreaterThan(4);
  });
});

test('compacting takes back what vectors that went have left', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  unwrap(await kb.append(Array.from({ length: 300 }, (_, i) => note(`note ${i}`))), 'notes');
  expect(await found(kb, { text: 'note', max: 1 })).toHaveLength(1);
  const path = join(dir.path, 'vectors.sqlite');
  const db = new Database(path);
  db.exec('DELETE FROM search_vec WHERE id > 10');
  db.close();
  unwrap(await kb.vacuum(), 'compacted');
  expect(statSync(path).size).toBeLessThan(100_000);
  expect(await found(kb, { text: 'note', max: 1 })).toHaveLength(1);
});

test('the search thread rests, and knows what was appended, closed and rebuilt meanwhile', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path, { searchIdleMs: 1 });
  for (let i = 0; i < 4; i += 1) {
    unwrap(await kb.append([note(`round ${i}`), contact({ org: `Org${i}` })]), 'an append');
    await new Promise((resolve) => {
      setTimeout(resolve, 30);
    });
    expect(await found(kb, { text: 'round', kinds: ['note'] })).toHaveLength(i + 1);
    expect(await found(kb, { text: `Org${i}`, mode: 'keyword' })).toEqual(['contact:jane']);
    expect(await found(kb, { text: `Org${i - 1}`, mode: 'keyword' })).toEqual([]);
    if (i === 2) unwrap(await kb.rebuild(), 'a rebuild');
  }
});
