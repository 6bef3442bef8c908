/** What the SDK supplies in place of the web platform, compared with Node's own. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defineAgent, runAgent } from '../src/index.ts';
import { TextDecoderUtf8, TextEncoderUtf8 } from '../src/encoding.ts';
import { cloneValue } from '../src/polyfills.ts';
import { seededFractions } from '../src/random.ts';
import { AgentUrl, AgentUrlSearchParams } from '../src/url.ts';

describe('UTF-8 is the platform’s', () => {
  test('encoding any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect([...new TextEncoderUtf8().encode(text)]).toEqual([...new TextEncoder().encode(text)]);
      }),
    );
  });
  test('decoding any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(new TextDecoderUtf8().decode(bytes)).toBe(new TextDecoder().decode(bytes));
      }),
    );
  });
});

describe('URL', () => {
  test.each([
    ['https://a.example/x/../y?q=1#h', undefined],
    ['HTTPS://A.example:443', undefined],
    ['http://u:p@h:8080/a//b', undefined],
    ['/x?y=1', 'https://h/a/b'],
    ['c', 'https://h/a/b'],
    ['../c', 'https://h/a/b/d'],
    ['//other/x', 'https://h/a'],
    ['?z=2', 'https://h/a/b?y=1'],
    ['#f', 'https://h/a?y=1'],
  ])('%s against %s', (text, base) => {
    const theirs = new URL(text, base);
    const ours = new AgentUrl(text, base);
    for (const part of ['href', 'origin', 'host', 'port', 'pathname', 'search', 'hash'] as const)
      expect(ours[part]).toBe(theirs[part]);
  });
  test.each(['', 'no', 'http://', 'x://'])('%j is no URL', (text) =>
    expect(() => new AgentUrl(text)).toThrow(TypeError),
  );
  test('a changed query shows in the address', () => {
    const url = new AgentUrl('https://h/?a=1');
    url.searchParams.set('b', 'c d&e');
    expect(url.href).toBe('https://h/?a=1&b=c+d%26e');
  });
  test('queries', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.string())), (pairs) => {
        const theirs = new URLSearchParams(pairs);
        expect([...new AgentUrlSearchParams(theirs.toString())]).toEqual([...new URLSearchParams(theirs.toString())]);
      }),
    );
  });
});

test('cloneValue copies deeply and keeps cycles', () => {
  const value: { [key: string]: unknown } = {
    a: [1, new Date(3)],
    m: new Map([[1, { b: 2 }]]),
    s: new Set([1]),
    u: new Uint8Array([1, 2]),
  };
  value['self'] = value;
  const copy = cloneValue(value);
  expect(copy).toEqual(structuredClone(value));
  expect(copy['self']).toBe(copy);
  expect(() => cloneValue(() => 1)).toThrow(TypeError);
});

test('the same seed gives the same fractions, in [0, 1)', () => {
  fc.assert(
    fc.property(fc.string(), (seed) => {
      const [a, b] = [seededFractions(seed), seededFractions(seed)];
      for (let i = 0; i < 20; i += 1) {
        const value = a();
        expect(value).toBe(b());
        expect(value >= 0 && value < 1).toBe(true);
      }
    }),
  );
});

describe('the harness', () => {
  test('gives Math.random back', () => {
    const before = Math.random;
    runAgent(defineAgent({ handle: () => ({ out: [{ type: 'a.b.v1', value: Math.random() }] }) }));
    expect(Math.random).toBe(before);
  });
  test('an ungranted call is refused as the kernel would', () => {
    const { outcome } = runAgent(defineAgent({ handle: (_request, host) => void host.http.fetch({}) as never }));
    expect(outcome).toMatchObject({ ok: false, reason: expect.stringMatching(/^CapabilityDenied: http.fetch/) });
  });
  test.each([[[]], ['text'], [{ out: 1 }], [{ out: [{ value: 1 }] }], [null]])('%j is no answer', (answer) => {
    const { outcome } = runAgent(defineAgent({ handle: () => answer as never }));
    expect(outcome.ok).toBe(Array.isArray(answer));
  });
});
