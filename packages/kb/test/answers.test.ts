/** What is answered can be carried to whoever asked: it fits a frame, and holds nothing that no frame can hold. */
import { bodyBytesMax, unwrap } from '@runloop/core';
import { expect, test } from 'vitest';
import { queryBytesMax, readBytesMax } from '../src/limits.ts';
import { draft, open, tempDir } from './kb-kit.ts';

test('nobody’s field is that of every object; what is cut carries no half of a character', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  // One of the two is cut within a character.
  for (const shift of ['', 'x'])
    unwrap(await kb.append([draft({ payload: { entity: 'acme', text: shift + '😀'.repeat(300) } })]), 'a note');
  for (const field of ['toString', 'constructor', '__proto__'])
    expect(await kb.blame('acme', field)).toMatchObject({ ok: false, error: { code: 'NotFound' } });
  const { steps } = unwrap(await kb.why('acme'), 'why');
  expect(steps.map(({ summary }) => summary.isWellFormed())).toEqual([true, true]);
  const { hits } = unwrap(await kb.search({ text: 'acme', max: 5, mode: 'keyword' }), 'hits');
  expect(hits.map(({ excerpt }) => excerpt.isWellFormed())).toEqual([true, true]);
});

test('A10: what is answered fits a frame: a row that is larger is refused, rows that are too many are cut', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  expect(await kb.query(`SELECT printf('%.*c', ${queryBytesMax}, 'x')`)).toMatchObject({
    ok: false,
    error: { code: 'Usage', message: expect.stringContaining(String(queryBytesMax)) },
  });
  const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT printf('%.*c', 1000, 'é') FROM n`;
  const { rows, truncated } = unwrap(await kb.query(many), 'rows');
  expect(truncated).toBe(true);
  expect(Buffer.byteLength(JSON.stringify(rows))).toBeLessThan(bodyBytesMax);
});

test('A10: a page of events fits a frame, whatever the letters, and the pages are all of them', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  const drafts = Array.from({ length: 900 }, () => draft({ payload: { text: '語'.repeat(5_000) } }));
  unwrap(await kb.append(drafts), 'notes');
  let count = 0;
  for (let afterId: number | null = 0; afterId !== null;) {
    const page: { events: readonly { payload: unknown }[]; next: number | null } = unwrap(
      await kb.knowledge({ afterId, max: 1_000, kinds: [] }),
      'a page',
    );
    expect(Buffer.byteLength(JSON.stringify(page.events.map(({ payload }) => payload)))).toBeLessThan(readBytesMax);
    count += page.events.length;
    afterId = page.next;
  }
  expect(count).toBe(900);
});
