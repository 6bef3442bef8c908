/** How good search is on the questions of bench/search-data.ts, beside plain BM25: what README and docs/performance.md state. */
import { unwrap } from '@runloop/core';
import { expect, test } from 'vitest';
import { fill, measure, plainBm25, type Quality, searchBy } from '../../../bench/search.ts';
import { questionKinds, searchData } from '../../../bench/search-data.ts';
import { open, tempDir } from './kb-kit.ts';

test('hybrid finds at least 0.3 more of the answers than plain BM25, and loses at most one question in fifty of any kind', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const set = searchData();
  expect([set.events.length, set.questions.length]).toEqual([2_700, 300]);
  await fill(kb, set.events);
  unwrap(await kb.stats(), 'the views');
  using bm25 = plainBm25(set.events);
  const plain = await measure(set.questions, bm25);
  const hybrid = await measure(set.questions, searchBy(kb, 'hybrid'));
  const keyword = await measure(set.questions, searchBy(kb, 'keyword'));
  const recall = (of: ReadonlyMap<string, Quality>, kind: string): number => of.get(kind)?.recall ?? Number.NaN;
  expect(recall(hybrid, 'all')).toBeGreaterThan(recall(plain, 'all') + 0.3);
  // What vectors add, when words have the same filters.
  expect(recall(hybrid, 'all')).toBeGreaterThan(recall(keyword, 'all') + 0.1);
  expect(recall(hybrid, 'typo')).toBeGreaterThan(0.8);
  for (const kind of questionKinds) expect(recall(hybrid, kind)).toBeGreaterThanOrEqual(recall(keyword, kind) - 0.02);
});

test('the data set is the same each time it is made', () => {
  const [one, other] = [
    searchData({ notes: 50, contacts: 9, perKind: 4 }),
    searchData({ notes: 50, contacts: 9, perKind: 4 }),
  ];
  expect(one).toEqual(other);
  expect(searchData({ seed: 2, notes: 50, contacts: 9, perKind: 4 })).not.toEqual(one);
});
