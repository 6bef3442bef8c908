/** rlp where nothing can be done: it says so, and calls it no defect. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

test('A12: in a folder that was deleted meanwhile', () => {
  const main = join(import.meta.dirname, '../src/main.ts');
  const command = `rmdir "$PWD"; exec "${process.execPath}" --conditions=source "${main}" "what is new in here?"`;
  const done = spawnSync('/bin/sh', ['-c', command], { cwd: mkdtempSync(join(tmpdir(), 'rl-')), encoding: 'utf8' });
  expect(done).toMatchObject({ status: 66, stdout: '' });
  expect(done.stderr).toMatch(/rlp: the folder in which you stand is gone\n {5}go to another one: cd ~\n$/);
});
