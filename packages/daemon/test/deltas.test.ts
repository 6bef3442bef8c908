/** What a model says in pieces, as it is passed on. */
import { expect, test } from 'vitest';
import { createDeltas, deltaCharsMax, wordCharsMax } from '../src/runs/deltas.ts';

const secret = 'sk-1234567890';
function passed(pieces: readonly string[]): string[] {
  const said: string[] = [];
  const deltas = createDeltas(
    (text) => text.replaceAll(secret, '[secret]'),
    (text) => said.push(text),
  );
  for (const piece of pieces) deltas.push(piece);
  deltas.end();
  return said;
}

test.each<[string, readonly string[], readonly string[]]>([
  ['whole words', ['You cha', 'nged a.', 'txt mo', 'st.'], ['You ', 'changed ', 'a.txt ', 'most.']],
  ['lines', ['a\nb', '\nc'], ['a\n', 'b\n', 'c']],
  ['nothing', ['', ''], []],
  ['a secret in two pieces', ['key: sk-12345', '67890 there'], ['key: ', '[secret] ', 'there']],
])('%s', (_what, pieces, expected) => expect(passed(pieces)).toEqual(expected));

test('A10: a word without an end is shown to nobody, and the first part of a flood is enough', () => {
  expect(passed(['x'.repeat(wordCharsMax + 1), ' on'])).toEqual(['…', ' ', 'on']);
  const flood = passed(Array.from({ length: 100 }, () => 'word '.repeat(2_000)));
  expect(flood.join('')).toHaveLength(deltaCharsMax);
});
