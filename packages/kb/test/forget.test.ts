/**
 * Forgetting: no byte of the values stays in any file, the chain holds, and what is about others stays.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { digestBytes, ok, unwrap } from '@runloop/core';
import * as fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { forget } from '../src/forget/forget.ts';
import { holdsAny } from '../src/forget/patterns.ts';
import type { Embedder, EventDraft } from '../src/index.ts';
import { needles } from '../src/index.ts';
import { createBlobs } from '../src/ledger/blobs.ts';
import { by, fill, holding, jane, operator, personal, propose, startThreads, traceOf as trace } from './forget-kit.ts';
import { deps, draft, letters, open, runEvent, tempDir } from './kb-kit.ts';

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

test('so does one that waits for a yes; it is named', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  await propose(kb, 'note.created', { text: jane.notes, entity: 'contact:jane' });
  const asked = { action: 'act_1', node: 'n', op: 'mail.send', hash: 'h', what: 'a mail', args: { body: jane.notes } };
  const waits = [
    runEvent('run.accepted', { name: 'x', params: {} }, 1, trace(3)),
    runEvent('action.requested', asked, 2, trace(3)),
    runEvent('node.waiting', { node: 'n', attempt: 1, for: 'approval', action: 'act_1' }, 3, trace(3)),
    runEvent('run.waiting', { reason: 'approval' }, 4, trace(3)),
  ];
  unwrap(await kb.append(waits), 'a run');
  expect(await kb.forget('contact:jane', by)).toMatchObject({
    ok: false,
    error: { code: 'Busy', message: expect.stringContaining(trace(3)), hint: expect.stringContaining('rlp cancel') },
  });
});

test('a fork that took what the run had made of it goes too; one that took what came before stays', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const contact = { contact: 'contact:jane', confidence: 1, trust: 'trusted', ...jane };
  await propose(kb, 'contact.upserted', contact);
  const kept = (text: string) => ({ digest: digestBytes(Buffer.from(text)), content: text });
  const [topic, answer, own] = [kept('"the topic"'), kept('"She is fond of the coast."'), kept('"Fond of the sea."')];
  const accepted = (of?: number) =>
    ({
      name: 'r',
      params: {},
      ...(of === undefined ? {} : { forked_from: { trace_id: trace(of), at: 'c' } }),
    }) as const;
  const end = (node: string, { digest }: { digest: string }, from_tape = false) =>
    ({ node, attempt: 1, state: 'succeeded', outputs: { out: [{ type: 't', digest }] }, from_tape }) as const;
  const called = { node: 'b', attempt: 1, index: 0, call: 'c', op: 'kb.query', ok: true, value: { rows: [contact] } };
  const result = (text: string) => ({ ...called, node: 'c', value: { text } });
  const run = (n: number, of: number | undefined, ...ends: readonly EventDraft[]): readonly EventDraft[] => [
    runEvent('run.accepted', accepted(of), 1, trace(n)),
    ...ends,
    runEvent('run.finished', { state: 'succeeded' }, 2, trace(n)),
  ];
  const [first, second, third, fourth] = [trace(1), trace(2), trace(3), trace(4)];
  const events = [
    ...run(
      1,
      undefined,
      runEvent('node.finished', end('a', topic), undefined, first),
      runEvent('effect.result', called, undefined, first),
      runEvent('node.finished', end('b', answer), undefined, first),
    ),
    ...run(
      2,
      1,
      runEvent('node.finished', end('b', answer, true), undefined, second),
      runEvent('effect.result', result('to the seaside with her'), undefined, second),
      runEvent('node.finished', end('c', own), undefined, second),
    ),
    ...run(3, 2, runEvent('node.finished', end('c', own, true), undefined, third)),
    ...run(
      4,
      1,
      runEvent('node.finished', end('a', topic, true), undefined, fourth),
      runEvent('effect.result', result('the topic is old'), undefined, fourth),
    ),
  ];
  unwrap(await kb.append(events, [topic, answer, own]), 'a run and its forks');
  const done = unwrap(await kb.forget('contact:jane', by), 'a forgetting');
  expect(done.runs.map((one) => one.trace_id)).toEqual([first, second, third]);
  expect(holding(dir.path, [...personal, 'fond of the coast', 'Fond of the sea', 'to the seaside'])).toEqual([]);
  expect(Buffer.from(unwrap(await kb.getBlob(topic.digest), 'the topic')).toString()).toBe(topic.content);
  const told = unwrap(await kb.runEvents({ traceId: fourth, max: 9 }), 'the other fork').events;
  expect(told.filter(({ payload }) => payload === null)).toEqual([]);
  for (const one of [second, third]) {
    const rows = unwrap(await kb.runEvents({ traceId: one, max: 9 }), 'a fork').events;
    expect(rows.some(({ payload }) => payload === null)).toBe(true);
  }
});

test('a large blob that comes between the plan and the commit is looked into', async () => {
  using dir = tempDir();
  {
    await using kb = await open(dir.path);
    await fill(kb);
  }
  const letter = Buffer.from(`A second one. ${`Dear ${jane.name}, `.repeat(8_000)}`);
  {
    await using owner = new AsyncDisposableStack();
    const threads = await startThreads(dir.path, owner);
    const blobs = createBlobs({ ...deps, digestOf: (bytes) => Promise.resolve(ok(digestBytes(bytes))) }, dir.path);
    let erasures = 0;
    const ledger: typeof threads.ledger = {
      ...threads.ledger,
      async ask(question) {
        const isErasure = typeof question === 'object' && 'type' in question && question.type === 'erase';
        if (isErasure && (erasures += 1) === 1) unwrap(await blobs.put(letter), 'a blob file');
        return threads.ledger.ask(question);
      },
    };
    const done = await forget({ ...deps, ...threads, ledger, blobs }, 'contact:jane', { ...by, ts_ms: 1 });
    expect(unwrap(done, 'a forgetting').files).toContain(digestBytes(letter));
    expect(erasures).toBe(2);
  }
  expect(holding(dir.path, personal)).toEqual([]);
});

test('who puts the same large bytes while their file goes has them', async () => {
  using dir = tempDir();
  const letter = Buffer.from(`Dear ${jane.name}, `.repeat(8_000));
  {
    await using kb = await open(dir.path);
    await fill(kb);
  }
  {
    await using owner = new AsyncDisposableStack();
    const threads = await startThreads(dir.path, owner);
    const blobs = createBlobs({ ...deps, digestOf: (bytes) => Promise.resolve(ok(digestBytes(bytes))) }, dir.path);
    unwrap(await blobs.put(letter), 'a letter that nobody has named yet');
    const views: typeof threads.views = {
      ...threads.views,
      async ask(question) {
        // Asked between the commit and the removal.
        if (question.type === 'forgottenFiles') unwrap(await blobs.put(letter), 'the same letter');
        return threads.views.ask(question);
      },
    };
    const done = await forget({ ...deps, ...threads, views, blobs }, 'contact:jane', { ...by, ts_ms: 1 });
    expect(unwrap(done, 'a forgetting').files).toContain(digestBytes(letter));
    expect(unwrap(await blobs.get(digestBytes(letter)), 'it')).toEqual(letter);
  }
});

test('what was forgotten once and is written again by others stays, whatever is cut off later', async () => {
  using dir = tempDir();
  const page = Buffer.from('a page about nobody, '.repeat(8_000));
  const digest = digestBytes(page);
  const names = (n: number) => [
    runEvent('run.accepted', { name: 'r', params: {} }, 1, trace(n)),
    runEvent('effect.result', { node: 'n', value: { blob: digest } }, undefined, trace(n)),
    runEvent('run.finished', { state: 'succeeded' }, 2, trace(n)),
  ];
  {
    await using kb = await open(dir.path);
    unwrap(await kb.putBlob(page), 'a page');
    unwrap(await kb.append(names(1)), 'a run');
    expect(unwrap(await kb.forget(`run:${trace(1)}`, by), 'a forgetting').files).toEqual([digest]);
    unwrap(await kb.putBlob(page), 'the page again');
    unwrap(await kb.append(names(2)), 'another run');
    writeFileSync(join(dir.path, 'forgetting'), '');
  }
  await using kb = await open(dir.path);
  expect(readdirSync(dir.path)).not.toContain('forgetting');
  expect(unwrap(await kb.getBlob(digest), 'the page').length).toBe(page.length);
});

test('while somebody reads the ledger its log cannot be emptied: that is said, and made up for', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  await fill(kb);
  const reader = new Database(join(dir.path, 'events.sqlite'), { readonly: true });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM events').get();
  expect(await kb.forget('contact:jane', by)).toMatchObject({
    ok: false,
    error: { code: 'Busy', message: expect.stringContaining('contact:jane is erased, but not yet from every file') },
  });
  reader.close();
  expect(await kb.forget('contact:jane', by)).toMatchObject({ ok: false, error: { code: 'NotFound' } });
  expect(holding(dir.path, personal)).toEqual([]);
});

test('what a crash has left of a blob that was being written goes when the directory is opened', async () => {
  using dir = tempDir();
  await (await open(dir.path)).close();
  writeFileSync(join(dir.path, 'blobs', 'draft-0123456789abcdef'), jane.notes);
  await (await open(dir.path)).close();
  expect(holding(dir.path, personal)).toEqual([]);
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

test('values are found in what mails and web pages carry', () => {
  const value = 'Jürgen Müller-Groß';
  const { has } = needles('contact:jm', [value, 'j.mueller+news@example.org']);
  const check = (text: string, expected: boolean): void => {
    for (const form of [text, JSON.stringify(text), JSON.stringify(JSON.stringify(text))])
      expect([form, has(form)]).toEqual([form, expected]);
  };
  const qp = (text: string, encoding: BufferEncoding = 'utf8'): string =>
    text.replace(/[^ -~]/g, (char) => Buffer.from(char, encoding).toString('hex').toUpperCase().replace(/../g, '=$&'));
  check(`Dear ${qp(value)},`, true);
  check(`Dear ${qp(value, 'latin1')},`, true);
  check(`Dear J=C3=\r\n=BCrgen M=C3=BCller-Gro=\n=C3=9F`, true);
  check('to: j.mueller=2Bnews=40example.=\r\norg', true);
  check('<p>J&uuml;rgen&nbsp;M&#252;ller-Gro&szlig;</p>', true);
  check('J&Uuml;RGEN M&#xFC;ller-Gro&#xdf;', true);
  const [b, q] = [Buffer.from(value), qp(value).replaceAll(' ', '_')];
  check(`Subject: =?utf-8?Q?${q}?=`, true);
  check(`Subject: =?ISO-8859-1*de?q?${qp(value, 'latin1').replaceAll(' ', '_')}?=`, true);
  // The second byte of the ü stands in the second word, on the next line.
  check(`=?UTF-8?B?${b.subarray(0, 2).toString('base64')}?=\r\n =?UTF-8?b?${b.subarray(2).toString('base64')}?=`, true);
  check(`=?windows-1252?B?${Buffer.from(value, 'latin1').toString('base64')}?=`, true);
  for (const before of [50, 51, 52]) {
    const body = Buffer.from(`${'x'.repeat(before)}${value}${'y'.repeat(99)}`).toString('base64');
    check(body.replace(/.{76}/g, '$&\r\n'), true);
  }
  check('J=C3=BCrgen M&uuml;llerin, a=12&b=3 &nosuch; &#99999999; =?x?=', false);
});

test('normal forms, ASCII JSON, broken lines, member names, numbers and names in two members are found', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const name = 'José Núñez-Ágüero';
  const said = {
    contact: 'contact:jose',
    confidence: 1,
    trust: 'trusted',
    name,
    links: { 'jose@example.org': 'home' },
  };
  unwrap(await kb.propose({ kind: 'contact.upserted', payload: said, evidence: [] }, operator), 'a contact');
  await propose(kb, 'contact.upserted', {
    contact: 'contact:jose',
    confidence: 1,
    trust: 'trusted',
    first_name: 'Zeb',
    last_name: 'Quirk',
  });
  await propose(kb, 'fact.asserted', { subject: 'contact:jose', predicate: 'number', object: 15551234567 });
  const ascii = name.replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const notes = [
    `met ${name.normalize('NFD')}`,
    `{"name":"${ascii}"}`,
    `Dear ${name.replace(' ', '\r\n')}`,
    `wrote to jose@example.org`,
    `called 15551234567`,
    `Quirk, Zeb`,
    `ZEB\tQUIRK`,
  ];
  for (const text of notes) await propose(kb, 'note.created', { text });
  await propose(kb, 'note.created', { text: 'order 155512345678' });
  unwrap(await kb.forget('contact:jose', by), 'a forgetting');
  expect(unwrap(await kb.find({ kind: 'note', max: 20 }), 'notes')).toMatchObject([{ text: 'order 155512345678' }]);
});

test('a name without a kind before it is a value itself', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  await propose(kb, 'note.created', { text: 'likes tea', entity: 'Zanzibar Quux' });
  await propose(kb, 'note.created', { text: 'told by zanzibar quux' });
  unwrap(await kb.forget('Zanzibar Quux', by), 'a forgetting');
  expect(holding(dir.path, ['Zanzibar', 'zanzibar'])).toEqual([]);
});

test('what others are said to be stays, and so do those whom it names', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const same = { confidence: 1, trust: 'trusted', org: 'Acme', title: 'Vice President', notes: 'a good customer' };
  await propose(kb, 'contact.upserted', { contact: 'contact:jo', name: 'Jo', ...same });
  const stays = [
    await propose(kb, 'contact.upserted', { contact: 'contact:ann', name: 'Ann', ...same }),
    await propose(kb, 'fact.asserted', { subject: 'contact:ann', predicate: 'lives_in', object: 'San Francisco' }),
    await propose(kb, 'note.created', { text: 'The Vice President was in San Francisco on 2026-11-20.' }),
    await propose(kb, 'note.created', { text: 'contact:jo.smith and contact:jo-ann and contact:joan' }),
    await propose(kb, 'contact.upserted', { contact: 'contact:ann-marie-miller', confidence: 1, trust: 'trusted' }),
  ];
  await propose(kb, 'fact.asserted', { subject: 'contact:jo', predicate: 'lives_in', object: 'San Francisco' });
  await propose(kb, 'fact.asserted', { subject: 'contact:jo', predicate: 'met', object: '2026-11-20' });
  await propose(kb, 'edge.asserted', {
    subject: 'contact:jo',
    relation: 'knows',
    object: 'contact:ann-marie-miller',
  });
  const plan = unwrap(await kb.planForget('contact:jo'), 'a plan');
  expect(plan.values).toEqual([]);
  expect(plan.events.filter((id) => stays.includes(id))).toEqual([]);
  // Of somebody with the same address it is the same person: the name is looked for.
  await propose(kb, 'contact.upserted', { contact: 'contact:jane', ...jane, confidence: 1, trust: 'trusted' });
  await propose(kb, 'contact.upserted', { contact: 'contact:jd', ...jane, confidence: 1, trust: 'low' });
  expect(unwrap(await kb.planForget('contact:jane'), 'a plan').values).toContain(jane.name);
  // Nothing of a name but its kind names everybody.
  await propose(kb, 'note.created', { text: 'of nobody', entity: 'contact:' });
  expect(unwrap(await kb.planForget('contact:'), 'a plan').events).toHaveLength(1);
});

test('thousands of values are looked for in one pass', () => {
  const values = Array.from({ length: 20_000 }, (_, i) => `the note ${i} of a diary`);
  const { has } = needles('contact:jo', [...values, '5550001234']);
  const check = (text: string, expected: boolean): void => expect([text, has(text)]).toEqual([text, expected]);
  const others = 'a text about the note of others, '.repeat(20_000);
  expect(has(others)).toBe(false);
  expect(has(`${others}the NOTE 19999 of a diary`)).toBe(true);
  check('the note 20000 of a diary', false);
  for (const hostile of ['\\', '=', '&', '=?a?b?', '=\\', '&a', ' ', 'a'.repeat(60)])
    check(hostile.repeat(200_000 / hostile.length), false);
  check('tel. 5550001234.', true);
  check('order 15550001234', false);
});

test('patterns are found where includes finds them', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' '), minLength: 5, maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(text, { maxLength: 20 }),
      fc.array(text).map((all) => all.join('')),
      (patterns, within) => {
        expect(holdsAny(patterns)(within)).toBe(patterns.some((pattern) => within.includes(pattern)));
      },
    ),
  );
});

test('one that could not be finished is finished by the next', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  await fill(kb);
  // A folder in the place of the vectors cannot be opened: the disk says no, after the commit.
  mkdirSync(join(dir.path, 'vectors.sqlite'));
  expect(await kb.forget('contact:jane', by)).toMatchObject({
    ok: false,
    error: { message: expect.stringContaining('contact:jane is erased, but not yet from every file') },
  });
  rmSync(join(dir.path, 'vectors.sqlite'), { recursive: true });
  expect(await kb.forget('contact:jane', by)).toMatchObject({ ok: false, error: { code: 'NotFound' } });
  expect(holding(dir.path, personal)).toEqual([]);
  expect(readdirSync(dir.path)).not.toContain('forgetting');
});

test('vectors that are on their way when their text is forgotten are not kept', async () => {
  using dir = tempDir();
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const embedder: Embedder = {
    id: 'slow',
    async embed(texts) {
      asked.resolve();
      await gate.promise;
      return ok(texts.map(letters));
    },
  };
  {
    await using kb = await open(dir.path, { embedder });
    await propose(kb, 'note.created', { text: jane.notes, entity: 'contact:jane' });
    await propose(kb, 'note.created', { text: 'about somebody else' });
    unwrap(await kb.reembed(true), 'begun');
    await asked.promise;
    unwrap(await kb.forget('contact:jane', by), 'a forgetting');
    gate.resolve();
    await vi.waitFor(async () => expect(unwrap(await kb.reembed(false), 'status')).toMatchObject({ running: false }));
  }
  const db = new Database(join(dir.path, 'vectors.sqlite'));
  using stack = new DisposableStack();
  stack.defer(() => db.close());
  expect(db.prepare('SELECT count(*) AS n FROM search_vec').get()).toEqual({ n: 1 });
});

test('what is about others but holds a value, as a part of another name too, goes and is told beforehand', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const named = (contact: string, name: string): EventDraft =>
    draft({ kind: 'contact.upserted', payload: { contact, name, confidence: 1, trust: 'trusted' } });
  unwrap(
    await kb.append([
      named('contact:jon', 'Jon Smith'),
      named('contact:jonna', 'Jon Smithson'),
      named('contact:ann', 'Ann Smith'),
    ]),
    'three',
  );
  expect(unwrap(await kb.planForget('contact:jon'), 'a plan')).toMatchObject({ events: [1, 2], others: [2] });
  expect(unwrap(await kb.forget('contact:jon', { actor: 'operator', provenance: {} }), 'forgotten')).toMatchObject({
    events: [1, 2],
    others: [2],
  });
});
