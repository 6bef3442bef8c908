/** Layers of capabilities and the trust policy: what narrows, what is ignored, what is refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type JsonValue, unwrap } from '@runloop/core';
import {
  type Caps,
  type CapabilityKey,
  type TrustPolicy,
  applyLayer,
  asksMore,
  formatTrustPolicy,
  grantsNothing,
  narrow,
  noCaps,
  parseCaps,
  parseLayer,
  parseTrustPolicy,
  tighten,
} from '../src/index.ts';
import { isReadingCommand, judge } from '../src/kernel/grants.ts';
import { anchorsMax, revocationsMax, trustPolicyBytesMax } from '../src/limits.ts';
import { allowedBy } from '../src/trust/policy.ts';

const some = <T>(...items: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...items]);
const globs = some('*', 'a*', 'ab*', '*c', '*bc', 'abc', 'ac');
const capsOf: fc.Arbitrary<Caps> = fc
  .record({
    net: some('*.b.org', '*.a.b.org', 'x.a.b.org', 'b.org', 'http://x.a.b.org', 'x.a.b.org:8443', '*.b.org:8443'),
    kb_read: fc.oneof(fc.constant(true as const), some('contacts', 'notes')),
    kb_write: fc.oneof(fc.constant(true as const), some('contacts', 'notes')),
    secrets: some('runloop/a', 'runloop/b'),
    model: fc.oneof(fc.constant(false as const), fc.record({ allow: globs })),
    exec: some(
      { command: '/bin/g', argv: ['log', '{path}'] },
      { command: '/bin/g', argv: ['{verb}', '{x}'] },
      { command: '/bin/g', argv: ['log', 'src'] },
      { command: '/bin/g', argv: ['log', '-x'] },
      { command: '/bin/g', argv: ['log', ''] },
      { command: '/bin/g', argv: ['log', '{Odd}'] },
      { command: '/bin/h', argv: [] },
    ),
    tools: some('t', 'u'),
    mail: fc.record({ from: fc.constantFrom('me', 'you'), to: globs }),
    mailbox: some('w', 'x'),
  })
  .map((some) => ({ ...noCaps, ...some }));

const calls: readonly (readonly [CapabilityKey, string, readonly JsonValue[]])[] = [
  [
    'net',
    'http.fetch',
    ['https://x.a.b.org/', 'https://b.org', 'https://y.b.org', 'http://x.a.b.org', 'https://x.a.b.org:8443'].map(
      (url) => ({ url }),
    ),
  ],
  ['kb_read', 'kb.search', [{}, { kinds: ['contact'] }, { kinds: ['contact', 'note'] }]],
  ['kb_write', 'kb.propose', [{ kind: 'note.created' }, { kind: 'contact.upserted' }]],
  ['secrets', 'secrets.ref', [{ id: 'runloop/a' }, { id: 'runloop/b' }]],
  ['model', 'model.complete', ['', 'a', 'abc', 'ac', 'abbc', 'ab', 'c', 'bc', 'z'].map((model) => ({ model }))],
  [
    'exec',
    'exec.run',
    [
      ['log', 'src'],
      ['log', '-x'],
      ['log', ''],
      ['log', '{Odd}'],
      ['tag', 'src'],
      ['-v', 'src'],
    ].map((argv) => ({ command: '/bin/g', argv })),
  ],
  ['tools', 'tools.call', [{ tool: 't' }, { tool: 'u' }]],
  ['mailbox', 'mailbox.send', [{ to: 'w' }, { to: 'x' }]],
  [
    'mail',
    'mail.send',
    ['a', 'abc', 'ac', 'abbc', 'c'].flatMap((to) => [{ to }, { to, from: 'me' }, { to: [to, 'ac'] }]),
  ],
];

describe('narrow', () => {
  test('grants what both grant, and no call that one of the two alone would refuse', () => {
    fc.assert(
      fc.property(capsOf, capsOf, (a, b) => {
        const both = narrow(a, b);
        for (const [key, op, list] of calls) {
          for (const args of list) {
            const [mine, other] = [judge(a, key, op, args).allowed, judge(b, key, op, args).allowed];
            const seen = { op, args, allowed: judge(both, key, op, args).allowed };
            // Mail of two senders has nothing in common; a call that names no sender would pass each alone.
            const sameSender = key !== 'mail' || a.mail?.from === b.mail?.from;
            // Models that have nothing in common leave no default model either.
            const someModel = key !== 'model' || both.model !== false;
            if (!(mine && other)) expect(seen).toEqual({ op, args, allowed: false });
            else if (sameSender && someModel) expect(seen).toEqual({ op, args, allowed: true });
          }
        }
      }),
      { numRuns: 400 },
    );
  });
  test('of commands that read, and of further arguments, what both grant in the same way', () => {
    const parts = some('-a', '-b', '--since={x}', '{word}');
    const grant = fc.record({ command: fc.constant('/bin/g'), argv: some('log', '-x'), more: parts });
    const list = fc.array(fc.tuple(grant, fc.boolean()), { maxLength: 3 });
    const capsOfList = list.map((all) => ({
      ...noCaps,
      exec: all.map(([one, reads]) => (reads ? { ...one, reads: true as const } : one)),
    }));
    const argv = fc.array(fc.constantFrom('log', '-x', '-a', '-b', '--since=1', 'word', '--evil'), { maxLength: 4 });
    fc.assert(
      fc.property(capsOfList, capsOfList, argv, (a, b, args) => {
        const call = { command: '/bin/g', argv: args };
        const both = narrow(a, b);
        const allowed = (caps: Caps): boolean => judge(caps, 'exec', 'exec.run', call).allowed;
        const unasked = (caps: Caps): boolean => isReadingCommand(caps, 'exec.run', call);
        if (allowed(both)) expect([allowed(a), allowed(b)]).toEqual([true, true]);
        if (unasked(both)) expect([unasked(a), unasked(b)]).toEqual([true, true]);
        expect(allowed(narrow(a, a))).toBe(allowed(a));
      }),
      { numRuns: 2000 },
    );
  });
  test('globs with inner stars are never widened', () => {
    const glob = fc
      .array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 5 })
      .map((parts) => parts.join(''));
    const text = fc.array(fc.constantFrom('a', 'b'), { maxLength: 6 }).map((parts) => parts.join(''));
    const caps = (allow: string): Caps => ({ ...noCaps, mail: { from: 'me', to: [allow] } });
    fc.assert(
      fc.property(glob, glob, text, (x, y, to) => {
        const allowed = (given: Caps): boolean => judge(given, 'mail', 'mail.send', { to }).allowed;
        if (allowed(narrow(caps(x), caps(y)))) expect([allowed(caps(x)), allowed(caps(y))]).toEqual([true, true]);
      }),
      { numRuns: 3000 },
    );
  });
  test('limits are the lower ones', () => {
    const a = { ...noCaps, limits: { ...noCaps.limits, cpu_ms: 1, wall_ms: 9 } };
    const b = { ...noCaps, limits: { ...noCaps.limits, cpu_ms: 5, wall_ms: 2 } };
    expect(narrow(a, b).limits).toEqual({ ...noCaps.limits, cpu_ms: 1, wall_ms: 2 });
  });
});

describe('a layer above the bundle', () => {
  const asked = unwrap(
    parseCaps('net = ["*.example.org"]\nkb_read = ["notes"]\nmail = { from = "me", to = ["*"] }\n'),
    'caps',
  );
  test.each([
    ['', asked, []],
    ['net = []', { ...asked, net: [] }, []],
    ['net = ["api.example.org"]', { ...asked, net: ['api.example.org'] }, []],
    ['net = ["evil.test", "api.example.org"]', { ...asked, net: ['api.example.org'] }, [/o: net would grant more/]],
    ['kb_read = true', asked, [/o: kb_read would grant more/]],
    ['secrets = ["s"]', asked, [/o: secrets would grant more/]],
    ['limits = { wall_ms = 10 }', { ...asked, limits: { ...asked.limits, wall_ms: 10 } }, []],
    ['limits = { wall_ms = 999999 }', asked, [/o: limits.wall_ms would grant more/]],
  ])('%s', (text, expected, warnings) => {
    const narrowed = applyLayer(asked, unwrap(parseLayer('o', text), 'a layer'), 'o');
    expect(narrowed.caps).toEqual(expected);
    expect(narrowed.warnings).toEqual(warnings.map((one) => expect.stringMatching(one)));
  });
  test('mail can be taken away whole', () => {
    const { caps } = applyLayer(asked, unwrap(parseLayer('o', 'mail = { from = "you", to = ["*"] }'), 'a layer'), 'o');
    expect(caps.mail).toBeUndefined();
  });
  test('nothing left is found out; limits grant nothing', () => {
    expect([grantsNothing(asked), grantsNothing(noCaps)]).toEqual([false, true]);
  });
  test('what an upgrade asks for beyond the version before', () => {
    const next = unwrap(parseCaps('net = ["*.example.org", "x.test"]\nlimits = { cpu_ms = 9000 }\n'), 'caps');
    expect(asksMore(asked, next)).toEqual([expect.stringMatching(/^net: /), 'limits.cpu_ms: 9000 (was 5000)']);
    expect(asksMore(next, next)).toEqual([]);
  });
});

const key = (n: number): string => `${n.toString(16).padStart(2, '0')}${'1'.repeat(62)}`;
const anchor = (name: string, more = ''): string => `[[anchor]]\nname = "${name}"\nkey = "${key(1)}"\n${more}\n`;

describe('the trust policy', () => {
  test.each([
    ['anchors = 1', /no key "anchors"; did you mean "anchor"/],
    [anchor('a', 'trsted = true'), /no key "trsted"; did you mean "trusted"/],
    [anchor('Big'), /must match/],
    [anchor('host'), /choose another name/],
    [`[[anchor]]\nname = "a"\n`, /has no "key"/],
    [`[[anchor]]\nname = "a"\nkey = "12"\n`, /not an Ed25519 public key/],
    [anchor('a', 'trusted = 1'), /"trusted" must be/],
    [anchor('a', '[anchor.caps]\nmodle = true'), /anchor "a": caps: .*did you mean "model"/],
    [anchor('a') + anchor('a'), /two anchors are called/],
    [anchor('a') + anchor('b'), /two anchors have the key/],
    ['revoked_keys = ["x"]', /64 hex digits/],
    ['allow_weak = 1', /true or false/],
    ['anchor = 3', /\[\[anchor\]\]/],
    ['= 3', /trust-policy.toml/],
  ])('A12: %s is refused, with the place', (text, expected) => {
    const parsed = parseTrustPolicy('trust-policy.toml', text);
    expect(parsed.ok ? 'it was read' : `${parsed.error.code} ${parsed.error.message}`).toMatch(expected);
  });
  test('A10: its limits', () => {
    const wrong = (text: string): string => {
      const parsed = parseTrustPolicy('p', text);
      return parsed.ok ? '' : parsed.error.message;
    };
    expect(wrong(`# ${'x'.repeat(trustPolicyBytesMax)}`)).toMatch(/more than 1048576 bytes/);
    const anchors = Array.from({ length: anchorsMax + 1 }, (_, i) => `{ name = "a${i}", key = "00" }`);
    expect(wrong(`anchor = [${anchors.join(', ')}]`)).toMatch(/at most 256/);
    expect(wrong(`revoked_keys = [${'1,'.repeat(revocationsMax + 1)}]`)).toMatch(/at most 10000/);
  });
  test('is written as it is read', () => {
    const text = `revoked_keys = ["${key(2)}"]\nrevoked_bundles = ["${key(3)}"]\nallow_weak = false\n${anchor('a', 'trusted = true\n[anchor.caps]\nnet = ["x.test"]')}`;
    const policy = unwrap(parseTrustPolicy('p', text), 'a policy');
    expect(unwrap(parseTrustPolicy('p', formatTrustPolicy(policy)), 'again')).toEqual(policy);
  });

  const asked = unwrap(parseCaps('net = ["x.test", "y.test"]\nlimits = { cpu_ms = 9000 }\n'), 'caps');
  const nothing = { ...noCaps, limits: asked.limits };
  test.each([
    ['trusted, no table', 'trusted = true', asked],
    ['not trusted, no table', '', nothing],
    ['trusted, a table', 'trusted = true\n[anchor.caps]\nnet = ["x.test"]', { ...asked, net: ['x.test'] }],
    ['not trusted, a table', '[anchor.caps]\nnet = ["x.test", "z.test"]', { ...asked, net: ['x.test'] }],
    ['an empty table', 'trusted = true\n[anchor.caps]', nothing],
    ['limits', '[anchor.caps.limits]\ncpu_ms = 10', { ...nothing, limits: { ...asked.limits, cpu_ms: 10 } }],
  ])('an anchor allows: %s', (_, more, expected) => {
    const [first] = unwrap(parseTrustPolicy('p', anchor('a', more)), 'a policy').anchors;
    expect(first === undefined ? undefined : allowedBy(first, asked)).toEqual(expected);
  });
  test('a lower layer only tightens', () => {
    const read = (text: string): TrustPolicy => unwrap(parseTrustPolicy('p', text), 'a policy');
    const system = read(anchor('a', 'trusted = true\n[anchor.caps]\nnet = ["x.test", "y.test"]'));
    const other = `[[anchor]]\nname = "b"\nkey = "${key(9)}"\n`;
    const user = read(
      `allow_weak = true\nrevoked_keys = ["${key(2)}"]\n${anchor('mine', '[anchor.caps]\nnet = ["x.test", "z.test"]')}${other}`,
    );
    const { policy, warnings } = tighten(system, user);
    expect(policy).toMatchObject({ anchors: [{ name: 'a', trusted: false }], revokedKeys: [key(2)] });
    expect(policy.allowWeak).toBeUndefined();
    expect(policy.anchors.map((one) => allowedBy(one, asked).net)).toEqual([['x.test']]);
    expect(warnings).toEqual([expect.stringMatching(/"b" is ignored/), expect.stringMatching(/allow_weak/)]);
  });
});
