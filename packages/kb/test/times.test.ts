/** What is believed of which time, and since when: facts with times, contradictions, as of. */
import { type JsonObject, unwrap } from '@runloop/core';
import { expect, test } from 'vitest';
import type { EventDraft, FindQuery, Kb } from '../src/index.ts';
import { draft, open, tempDir } from './kb-kit.ts';

const john: JsonObject = {
  contact: 'contact:john',
  name: 'John',
  email: 'john@acme.com',
  confidence: 1,
  trust: 'trusted',
};
const contact = (more: JsonObject = {}): EventDraft =>
  draft({ kind: 'contact.upserted', payload: { ...john, ...more } });
const filled = async (kb: Kb, drafts: readonly EventDraft[]): Promise<unknown> =>
  unwrap(await kb.append(drafts), 'events');

test('facts that contradict close the older one', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const fact = (object: string): EventDraft =>
    draft({ kind: 'fact.asserted', payload: { subject: 'acme', predicate: 'ceo', object } });
  await filled(kb, [fact('ann'), fact('ann'), fact('bob')]);
  expect(unwrap(await kb.find({ kind: 'fact', key: 'acme', max: 5 }), 'facts')).toMatchObject([
    { object_json: '"bob"', source_event: 3 },
  ]);
  expect(
    unwrap(await kb.query('SELECT object_json, recorded_to IS NULL AS open FROM facts ORDER BY id'), 'rows').rows,
  ).toEqual([
    ['"ann"', 0],
    ['"bob"', 1],
  ]);
  expect(unwrap(await kb.blame('acme', 'ceo'), 'blame')).toMatchObject({ value: 'bob', event: { id: 3 } });
});

test.each<
  [
    string,
    readonly (readonly [string, number?, number?])[],
    readonly (readonly [string, number | null, number | null])[],
  ]
>([
  [
    'one after another are both believed',
    [
      ['acme', 0, 10],
      ['beta', 10],
    ],
    [
      ['acme', 0, 10],
      ['beta', 10, null],
    ],
  ],
  [
    'the newer takes the end of the older',
    [
      ['acme', 0],
      ['beta', 10],
    ],
    [
      ['beta', 10, null],
      ['acme', 0, 10],
    ],
  ],
  [
    'the newer takes the middle',
    [
      ['acme', 0, 30],
      ['beta', 10, 20],
    ],
    [
      ['beta', 10, 20],
      ['acme', 0, 10],
      ['acme', 20, 30],
    ],
  ],
  ['the newer takes all', [['acme', 5, 6], ['beta']], [['beta', null, null]]],
  [
    'the same at another time',
    [
      ['acme', 0, 5],
      ['acme', 3, 9],
    ],
    [['acme', 3, 9]],
  ],
])('facts with times: %s', async (_, said, believed) => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const fact = ([object, from, to]: readonly [string, number?, number?]): EventDraft => {
    const valid = {
      ...(from === undefined ? {} : { valid_from: from }),
      ...(to === undefined ? {} : { valid_to: to }),
    };
    return draft({ kind: 'fact.asserted', payload: { subject: 'ann', predicate: 'works_at', object, ...valid } });
  };
  await filled(kb, said.map(fact));
  const rows = await kb.query(
    'SELECT object_json, valid_from, valid_to FROM facts WHERE recorded_to IS NULL ORDER BY id, part',
  );
  expect(unwrap(rows, 'rows').rows).toEqual(believed.map(([object, ...valid]) => [JSON.stringify(object), ...valid]));
  unwrap(
    await kb.append([draft({ kind: 'fact.retracted', payload: { subject: 'ann', predicate: 'works_at' } })]),
    'retracted',
  );
  expect(unwrap(await kb.find({ kind: 'fact', max: 9 }), 'facts')).toEqual([]);
});

test('two sources that differ contradict each other until one gives in; times that do not meet do not', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const says = (actor: string, object: string, valid: JsonObject = {}): EventDraft =>
    draft({ actor, kind: 'fact.asserted', payload: { subject: 'ann', predicate: 'phone', object, ...valid } });
  const disputed = async (): Promise<unknown> =>
    unwrap(await kb.contradictions(9), 'contradictions').map(({ entity, field, claims }) => [
      entity,
      field,
      ...claims.map(({ source, value }) => `${source} ${value}`),
    ]);
  await filled(kb, [says('a', '1'), says('b', '1'), { ...contact(), actor: 'a' }]);
  expect(await disputed()).toEqual([]);
  await filled(kb, [says('b', '2')]);
  expect(await disputed()).toEqual([['ann', 'phone', 'a "1"', 'b "2"']]);
  await filled(kb, [{ ...contact({ email: 'other@acme.com' }), actor: 'b' }]);
  expect(await disputed()).toHaveLength(2);
  await filled(kb, [says('a', '2'), draft({ kind: 'contact.removed', payload: { contact: 'contact:john' } })]);
  expect(await disputed()).toEqual([]);
  await filled(kb, [says('a', '3', { valid_to: 10 }), says('b', '4', { valid_from: 10 })]);
  expect(await disputed()).toEqual([]);
});

test('why as of a time tells what was believed then, whatever the clock did', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  await filled(kb, [
    { ...contact({ email: 'wrong@acme.com' }), ts_ms: 1_000 },
    { ...contact({ email: 'right@acme.com' }), ts_ms: 2_000 },
    { ...contact({ email: 'latest@acme.com' }), ts_ms: 1_500 },
  ]);
  const email = async (asOfMs?: number): Promise<unknown> => {
    const found = await kb.why('contact:john', true, asOfMs);
    return found.ok ? found.value.values['email'] : found.error.code;
  };
  expect(await email(999)).toBe('NotFound');
  expect(await email(1_200)).toEqual({ value: 'wrong@acme.com', event: 1 });
  expect(await email(1_700)).toEqual({ value: 'latest@acme.com', event: 3 });
  expect(await email()).toEqual({ value: 'latest@acme.com', event: 3 });
  expect(unwrap(await kb.why('contact:john'), 'redacted').values['email']?.value).toBe('l***@acme.com');
});

test('an edge that is said anew for another time closes the one before', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const edge = (valid: JsonObject): EventDraft =>
    draft({ kind: 'edge.asserted', payload: { subject: 'ann', relation: 'leads', object: 'team', ...valid } });
  await filled(kb, [edge({}), edge({}), edge({ valid_to: 9 })]);
  const rows = await kb.query('SELECT id, valid_to, recorded_to IS NULL FROM edges ORDER BY id');
  expect(unwrap(rows, 'rows').rows).toEqual([
    [1, null, 0],
    [3, 9, 1],
  ]);
});

test('rows are found by key, edge and time, as of a time, and no address by guessing', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const edge = (object: string, ts_ms: number): EventDraft =>
    draft({ kind: 'edge.asserted', ts_ms, payload: { subject: 'ann', relation: 'knows', object } });
  const fact = (object: string, ts_ms: number): EventDraft =>
    draft({ kind: 'fact.asserted', ts_ms, payload: { subject: 'ann@acme.com', predicate: 'mail', object } });
  await filled(kb, [
    edge('bob', 1_000),
    edge('eve@acme.com', 2_000),
    fact('ann.old@acme.com', 3_000),
    fact('ann.new@acme.com', 4_000),
    draft({ kind: 'edge.retracted', ts_ms: 5_000, payload: { subject: 'ann', relation: 'knows', object: 'bob' } }),
    draft({ ts_ms: 6_000, payload: { text: 'ask ann.new@acme.com' } }),
  ]);
  const count = async (q: Omit<FindQuery, 'max'>): Promise<number> =>
    unwrap(await kb.find({ max: 9, ...q }), 'rows').length;
  const cases: readonly (readonly [Omit<FindQuery, 'max'>, number])[] = [
    [{ kind: 'edge', key: 'ann' }, 1],
    [{ kind: 'edge', key: 'ann', asOfMs: 2_500 }, 2],
    [{ kind: 'edge', key: 'ann', asOfMs: 1_500 }, 1],
    [{ kind: 'edge', relation: 'knows', object: 'bob', asOfMs: 4_500 }, 1],
    [{ kind: 'edge', relation: 'leads' }, 0],
    [{ kind: 'edge', sinceMs: 1_500, untilMs: 2_001 }, 1],
    [{ kind: 'edge', untilMs: 2_000 }, 0],
    [{ kind: 'fact', relation: 'mail', asOfMs: 3_500 }, 1],
    [{ kind: 'note', sinceMs: 6_000 }, 1],
    [{ kind: 'contact', object: 'bob' }, 0],
    [{ kind: 'edge', object: 'eve@acme.com', raw: true }, 1],
    [{ kind: 'edge', object: 'eve@acme.com' }, 0],
    [{ kind: 'edge', object: 'e***@acme.com' }, 1],
    [{ kind: 'fact', key: 'ann@acme.com' }, 0],
    [{ kind: 'fact', text: 'ann.new' }, 0],
    [{ kind: 'fact', text: 'ann.new', raw: true }, 1],
    [{ kind: 'note', text: 'ann.new' }, 0],
  ];
  for (const [q, expected] of cases) expect([q, await count(q)]).toEqual([q, expected]);
});
