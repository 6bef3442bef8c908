/**
 * The canonical text of JSON values: against the published `canonicalize` as oracle, and what is refused where.
 */
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '@runloop/core';
import { jsonNamesMax } from '../src/limits.ts';

const jsonValue = (): fc.Arbitrary<unknown> =>
  fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' }).map((value) => safe(value));

/** Integers that a double cannot tell from their neighbours are refused, so they are not compared. */
function safe(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value) ? 0.5 : value;
  if (Array.isArray(value)) return value.map(safe);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, safe(member)]));
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

describe('canonicalJson', () => {
  test('writes what the oracle writes', () => {
    fc.assert(
      fc.property(jsonValue(), (value) => {
        fc.pre(!JSON.stringify(value).includes('__proto__'));
        expect(canonicalJson(value)).toEqual({ ok: true, value: canonicalize(value) });
      }),
      { numRuns: 500 },
    );
  });

  const check = (value: unknown, expected: string): void =>
    expect(canonicalJson(value)).toEqual({ ok: true, value: expected });
  test.each<[unknown, string]>([
    [{ b: 1, a: [true, null, 'x'] }, '{"a":[true,null,"x"],"b":1}'],
    [{ 10: 'ten', 9: 'nine', é: 1, '€': 2, '\u{1f600}': 3 }, '{"10":"ten","9":"nine","é":1,"€":2,"😀":3}'],
    [{ left: undefined, kept: 0 }, '{"kept":0}'],
    [[-0, 1e21 / 3e21, 1e-7, 123456789.5], '[0,0.3333333333333333,1e-7,123456789.5]'],
    ['"\\\u0001\u007f ', '"\\"\\\\\\u0001\u007f "'],
    [Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`k${29 - i}`, i % 2])), expectedMany()],
  ])('%j', (value, expected) => check(value, expected));

  test.each<[unknown, string]>([
    [undefined, '$'],
    [{ a: { b: 2 ** 53 } }, '$.a.b'],
    [[1, undefined], '$[1]'],
    [{ a: Number.NaN }, '$.a'],
    [{ a: 1n }, '$.a'],
    [['\ud800'], '$[0]'],
    [{ '\ud800': 1 }, '$'],
    [JSON.parse('{"__proto__":1,"a":2}'), '$'],
    [{ when: new Date(0) }, '$.when'],
    [{ f: () => 1 }, '$.f'],
    [nested(65), `$${'[0]'.repeat(65)}`],
  ])('refuses %#', (value, path) => expect(canonicalJson(value)).toMatchObject({ ok: false, error: { path } }));

  test('64 levels have a text', () => check(nested(64), `${'['.repeat(64)}1${']'.repeat(64)}`));

  test('more keys than it remembers are written all the same (A10)', () => {
    const value = Object.fromEntries(Array.from({ length: jsonNamesMax + 10 }, (_, i) => [`key ${i}`, i]));
    const long = { ['k'.repeat(100)]: 1 };
    for (let i = 0; i < 2; i += 1) {
      check(value, canonicalize(value) ?? '');
      check(long, canonicalize(long) ?? '');
    }
  });
});

function expectedMany(): string {
  const entries = Array.from({ length: 30 }, (_, i): [string, number] => [`k${29 - i}`, i % 2]);
  return `{${entries
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `"${key}":${value}`)
    .join(',')}}`;
}
