/** rlp where nothing can be done: it says so, and calls it no defect. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const main = join(import.meta.dirname, '../src/main.ts');
const rlp = (...words: readonly string[]) => {
  const args = ['--no-warnings', '--conditions=source', main, ...words];
  // A home that cannot be: whoever would start a daemon fails otherwise.
  const env = { ...process.env, RUNLOOP_HOME: '/dev/null/home' };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env });
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
  [['kb', 'search', 'x', '--k', 'abc'], '--k must be one number'],
  [['kb', 'search', 'x', '--k', '0'], '--k 0: how many hits is a whole number from 1'],
  [['kb', 'search', 'x', '--since', '2026-02-31'], '--since 2026-02-31: neither a span of time nor a date'],
  [
    ['kb', 'propose', '--kind', 'note.created', '--payload', '{}', '--evidence', 'nine'],
    '--evidence nine: an event is',
  ],
  [['kb', 'import', ''], 'rlp kb import needs a path'],
])('%j: what is missing or wrong is named, before a daemon is started', (words, expected) => {
  const told = rlp(...words);
  expect(told).toMatchObject({ status: 2, stdout: '' });
  expect(told.stderr).toContain(`rlp: ${expected}`);
});

test('output to a full disk is said to have failed', () => {
  const full = openSync('/dev/full', 'w');
  const args = ['--no-warnings', '--conditions=source', main, 'help'];
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
  closeSync(full);
  expect(stderr).toMatch(/^rlp: the output cannot be written: ENOSPC/);
  expect(status).toBe(75);
});

test('A12: in a folder that was deleted meanwhile', () => {
  const command = `rmdir "$PWD"; exec "${process.execPath}" --conditions=source "${main}" "what is new in here?"`;
  const done = spawnSync('/bin/sh', ['-c', command], { cwd: mkdtempSync(join(tmpdir(), 'rl-')), encoding: 'utf8' });
  expect(done).toMatchObject({ status: 66, stdout: '' });
  expect(done.stderr).toMatch(/rlp: the folder in which you stand is gone\n {5}go to another one: cd ~\n$/);
});
