/** rlp where nothing can be done: it says so, and calls it no defect. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const main = join(import.meta.dirname, '../src/main.ts');
const rlp = (...words: readonly string[]) => {
  const args = ['--no-warnings', '--conditions=source', main, ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
};

test('a word that begins commands: each with its line', () => {
  const told = rlp('kb');
  expect(told).toMatchObject({ status: 2, stdout: '' });
  expect(told.stderr).toMatch(/^rlp: rlp kb needs one more word\n {2}rlp kb search +find by words/);
  expect(rlp('kb', 'verfy').stderr).toMatch(/has no command "verfy"\n {5}did you mean: rlp kb verify\?\n/);
  const asked = rlp('kb', '--help');
  expect(asked).toMatchObject({ status: 0, stderr: '' });
  expect(asked.stdout).toMatch(/^ {2}rlp kb verify +check the chain/m);
});

test.each([
  [['kb', 'search'], 'rlp kb search needs <words..>'],
  [['kb', 'blame', 'contact:x'], 'rlp kb blame needs <field>'],
])('%j: what is missing is named', (words, expected) => {
  const told = rlp(...words);
  expect(told).toMatchObject({ status: 2, stdout: '' });
  expect(told.stderr).toContain(`rlp: ${expected}\n     usage: `);
});

test('A12: in a folder that was deleted meanwhile', () => {
  const command = `rmdir "$PWD"; exec "${process.execPath}" --conditions=source "${main}" "what is new in here?"`;
  const done = spawnSync('/bin/sh', ['-c', command], { cwd: mkdtempSync(join(tmpdir(), 'rl-')), encoding: 'utf8' });
  expect(done).toMatchObject({ status: 66, stdout: '' });
  expect(done.stderr).toMatch(/rlp: the folder in which you stand is gone\n {5}go to another one: cd ~\n$/);
});
