/** kill -9 at each step of forgetting: what was committed is finished at the next opening, what was not is whole. */
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { unwrap } from '@runloop/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { by, fill, holding, jane, personal } from './forget-kit.ts';
import { isSound, open, tempDir } from './kb-kit.ts';
import { killedAt } from './killed.ts';

const filled = tempDir();
const files: string[] = [];
const letterOf = (n: number): Buffer => Buffer.from(`${n} ${`Dear ${jane.name}, `.repeat(8_000)}`);

/** Values of hers in the ledger, its log, the archive, two files, the views, the order by words and the vectors. */
beforeAll(async () => {
  await using kb = await open(filled.path);
  await fill(kb);
  unwrap(await kb.archive(5_000), 'archived');
  for (const n of [1, 2]) {
    const digest = unwrap(await kb.putBlob(letterOf(n)), 'a letter');
    files.push(join('blobs', digest.slice(0, 2), digest.slice(2)));
  }
  unwrap(await kb.search({ text: 'walks', max: 5 }), 'vectors');
});
afterAll(() => filled[Symbol.dispose]());

test.each<[string, boolean | undefined]>([
  ['here:forgetting', undefined],
  ['after:erase', true],
  ['gone:<file>', true],
  ['during:rebuild', true],
  ['during:compact', true],
])('%s', async (step, isErased) => {
  using dir = tempDir();
  cpSync(filled.path, dir.path, { recursive: true });
  const told = step.replace('<file>', files.sort()[0] ?? '');
  expect(killedAt(dir.path, 'forget', told)).toEqual({ signal: 'SIGKILL', stderr: '' });
  await using kb = await open(dir.path);
  expect(readdirSync(dir.path)).not.toContain('forgetting');
  const left = await kb.why('contact:jane');
  const knows = left.ok && left.value.steps.some(({ kind }) => kind === 'contact.upserted');
  if (isErased !== undefined) expect(knows).toBe(!isErased);
  if (knows) unwrap(await kb.forget('contact:jane', by), 'the forgetting, said again');
  expect(holding(dir.path, [...personal, 'JANE doe-miller', 'fond of the coast'])).toEqual([]);
  expect(await isSound(dir.path)).toBe(true);
  expect(unwrap(await kb.rebuild(), 'rebuilt').equal).toBe(true);
});
