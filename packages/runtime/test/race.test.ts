/** Fewer tries than `npm run race -- --tries 1000000`, so that it can run with every change. */
import { expect, test } from 'vitest';
import { race } from './race.ts';

test('what is swapped while it is opened never leads outside', { timeout: 120_000 }, async () => {
  const { escapes, outcomes } = await race(10_000);
  expect(escapes).toEqual([]);
  // Both sides met: some calls were done, some found a link, some a second name.
  for (const what of ['fs.read done', 'fs.read loop', 'fs.read not-permitted', 'fs.write done'])
    expect(Object.keys(outcomes), JSON.stringify(outcomes)).toContain(what);
});
