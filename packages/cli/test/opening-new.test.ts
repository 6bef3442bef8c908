import { formatOpening, parseOpening } from '@runloop/openings';
import { expect, test } from 'vitest';
import { inBraces, inYaml } from '../src/commands/opening-new.ts';

test('what a new opening says is the same in both forms, and written as fmt writes it', () => {
  const [yaml, brace] = [inYaml('a_b'), inBraces('a_b')];
  expect(parseOpening('x', brace).opening).toEqual(parseOpening('x', yaml).opening);
  expect(formatOpening('x', yaml, 'yaml').text).toBe(yaml);
  expect(formatOpening('x', brace, 'brace').text).toBe(brace);
});
