/** Labels: what each answer brings in, where it may not go unasked, and that nothing washes them off. */
import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { type JsonValue, type Label, cleanLabel, joinLabels, labelOf, readBy, readLabel } from '@runloop/core';
import { type Caps, capsFlow, leakOf, noCaps, operationNames, taintOf } from '../src/index.ts';

const untrusted = labelOf('net:a.example', { untrusted: true });
const secret = labelOf('kb:contacts', { private: true });
const both = joinLabels(untrusted, secret);
const short = ({ trust, secrecy }: Label): string => `${trust} ${secrecy}`;

const bare = { fs: [], secrets: [] };
const rich = { fs: [{ path: '/home/me', write: false }], secrets: ['runloop/a/b'] };
test.each<[string, JsonValue, string, Pick<Caps, 'fs' | 'secrets'>?]>([
  ['http.fetch', { url: 'https://a.example/x' }, 'untrusted public'],
  ['http.fetch', null, 'untrusted public'],
  [
    'http.fetch',
    { url: 'https://a.example/x', headers: { authorization: '{{secret:runloop/a/b}}' } },
    'untrusted private',
  ],
  ['exec.run', { command: '/usr/bin/git' }, 'untrusted private', rich],
  ['tools.call', { tool: 't' }, 'untrusted private', rich],
  ['tools.call', { tool: 't' }, 'untrusted private', { ...rich, secrets: [] }],
  ['fs.read', { path: '/home/me/x' }, 'untrusted private'],
  ['fs.list', {}, 'untrusted private'],
  ['exec.run', { command: '/usr/bin/git' }, 'untrusted public'],
  ['tools.call', { tool: 't' }, 'untrusted public'],
  ['kb.query', { kind: 'contact' }, 'trusted private'],
  ['kb.query', { kind: 'artifact' }, 'trusted public'],
  ['kb.search', { text: 'x' }, 'trusted private'],
  ['kb.search', { kinds: ['artifact', 'note'] }, 'trusted private'],
  ['kb.search', { text: 'x', kind: 'artifact' }, 'trusted private'],
  ['kb.search', { text: 'x', kinds: [] }, 'trusted private'],
  ['kb.query', { kind: 'contact', kinds: ['artifact'] }, 'trusted private'],
  ['kb.why', { entity: 'contact:john' }, 'trusted private'],
  ['kb.why', { entity: 'artifact:1' }, 'trusted private'],
  ['kb.propose', { kind: 'fact.asserted' }, 'trusted public'],
  ['model.complete', {}, 'trusted public'],
])('what %s %j answers is %s', (op, args, expected, caps = bare) =>
  expect(short(taintOf(op, args, caps))).toBe(expected),
);

const get = { url: 'https://a.example/next' };
const crowd = joinLabels(
  ...Array.from({ length: 40 }, (_, i) => readBy(untrusted, `n${i}`)),
  labelOf('net:evil.example', { untrusted: true }),
);
const other = { url: 'https://b.example/?q=' };
test.each<[string, JsonValue, Label, string | undefined]>([
  ['http.fetch', get, cleanLabel, undefined],
  ['http.fetch', get, untrusted, undefined],
  ['http.fetch', get, crowd, 'net'],
  ['http.fetch', { ...get, method: 'POST' }, untrusted, 'net'],
  ['http.fetch', { url: 'https://a.example:8443/' }, untrusted, 'net'],
  ['http.fetch', other, untrusted, 'net'],
  ['http.fetch', get, secret, 'net'],
  ['http.fetch', get, both, 'net'],
  ['http.fetch', { url: 'no url' }, untrusted, 'net'],
  ['mail.send', {}, untrusted, 'mail'],
  ['mail.send', {}, cleanLabel, undefined],
  ['exec.run', {}, untrusted, 'exec'],
  ['exec.run', {}, secret, 'exec'],
  ['tools.call', {}, both, 'tools'],
  ['model.complete', {}, untrusted, undefined],
  ['model.complete', {}, secret, 'model'],
  ['model.embed', {}, both, 'model'],
  ['kb.propose', {}, both, undefined],
  ['mailbox.send', {}, both, undefined],
])('%s %j with a label leaks to its sink', (op, args, label, expected) =>
  expect(leakOf(op, args, label)).toBe(expected),
);

describe('labels', () => {
  const label = fc
    .record({
      what: fc.constantFrom('kb:a', 'net:b', 'fs:/c'),
      untrusted: fc.boolean(),
      private: fc.boolean(),
    })
    .map(({ what, ...kinds }) => labelOf(what, kinds));

  test('joining only adds, whatever the order, and is the same twice', () =>
    fc.assert(
      fc.property(fc.array(label, { maxLength: 6 }), (labels) => {
        const joined = joinLabels(...labels);
        expect(short(joinLabels(...labels.toReversed()))).toBe(short(joined));
        expect(short(joinLabels(joined, joined))).toBe(short(joined));
        expect(joined.trust === 'untrusted').toBe(labels.some(({ trust }) => trust === 'untrusted'));
        expect(joined.secrecy === 'private').toBe(labels.some(({ secrecy }) => secrecy === 'private'));
      }),
    ));
  test('A10: a label names so many sources and holds for all', () => {
    const many = joinLabels(...Array.from({ length: 500 }, (_, i) => labelOf(`net:${i}`, { untrusted: true })), secret);
    expect(many.sources).toHaveLength(32);
    expect(short(many)).toBe('untrusted private');
  });
  test('it is read back as it was written; what is none is the worst', () => {
    expect(readLabel(JSON.parse(JSON.stringify(both)) as JsonValue)).toEqual(both);
    expect(readLabel(undefined)).toEqual(cleanLabel);
    for (const wrong of [7, 'trusted', [], { trust: 'yes' }, { secrecy: 'public' }])
      expect(readLabel(wrong as JsonValue).trust).toBe('untrusted');
  });
});

test('every operation has been thought of', () =>
  expect(
    operationNames.filter((op) => !/^(model|kb|http|exec|tools|secrets|mailbox|mail|fs|clock)\./.test(op)),
  ).toEqual([]));

test('what capabilities can bring in and send out, before a run', () => {
  const flow = capsFlow({
    ...noCaps,
    kb_read: ['contacts', 'artifacts'],
    fs: [{ path: '/home/me', write: false }],
    net: ['a.example'],
    secrets: ['runloop/a/b'],
  });
  expect(flow.brings).toEqual([
    { what: 'kb:contacts', private: true },
    { what: 'fs:/home/me', untrusted: true, private: true },
    { what: 'net:a.example', untrusted: true, private: true },
  ]);
  expect(flow.sinks).toEqual(['net']);
  expect(capsFlow(noCaps)).toEqual({ brings: [], sinks: [] });
});
