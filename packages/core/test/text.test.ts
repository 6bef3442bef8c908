/** Text from outside, made safe to show. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { showJson, showLine, showText } from '../src/index.ts';

// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const unsafe = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;

test.each([
  ['\u001b[31m', '\\u{1b}[31m'],
  ['\u009b2J', '\\u{9b}2J'],
  ['a\u202eb', 'a\\u{202e}b'],
  ['a\nb\tc', 'a\\nb\\tc'],
])('%j on one line is %s', (input, expected) => {
  expect(showLine(input)).toBe(expected);
});

test('JSON for a terminal holds nothing that a terminal obeys, and means the same', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\u009b31m', '\u202e', '\u{e0001}', '\u007f'));
  fc.assert(
    fc.property(fc.dictionary(text, text), (value) => {
      const shown = showJson(JSON.stringify(value));
      expect(shown).not.toMatch(unsafe);
      expect(JSON.parse(shown)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(showText(JSON.stringify(value))).not.toMatch(unsafe);
    }),
  );
});
