/** What must be seen whole is folded at a terminal's edge, nothing of it lost; into a pipe it goes as it is. */
import { expect, test } from 'vitest';
import type { Environment } from '../src/environment.ts';
import { Screen } from '../src/screen.ts';

function folded(text: string, width: number, isTTY: boolean): string[] {
  let shown = '';
  const err = { isTTY, write: (piece: string) => (shown += piece) };
  const environment = { width, streams: { err } } as unknown as Environment;
  new Screen(environment).noteFolded(text, 6);
  return shown.split('\n').slice(0, -1);
}

test.each([
  ['one that fits', `    to: ${'x'.repeat(30)}`, 80, 1],
  ['one as wide as the screen', 'x'.repeat(80), 80, 1],
  ['one a column wider', 'x'.repeat(81), 80, 2],
  ['a long one', `    body: ${'words and more '.repeat(20)}`, 80, 5],
  ['pairs of surrogates', '😀'.repeat(100), 80, 2],
  ['where there is no room to fold', 'x'.repeat(100), 20, 1],
])('%s', (_, text, width, lines) => {
  const shown = folded(text, width, true);
  expect(shown).toHaveLength(lines);
  if (lines > 1) expect(shown.every((line) => Array.from(line).length <= width)).toBe(true);
  expect([shown[0], ...shown.slice(1).map((line) => line.slice(6))].join('')).toBe(text);
  expect(folded(text, width, false)).toEqual([text]);
});
