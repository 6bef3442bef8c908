/** The assistant's policy.caps: the git that a model asks for is granted to read, and nothing else of git is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { unwrap } from '@runloop/core';
import { isReadingCommand, judge, parseCaps } from '../src/index.ts';

const file = join(import.meta.dirname, '../../../agents/assistant/policy.caps');
const caps = unwrap(parseCaps(readFileSync(file, 'utf8')), 'policy.caps');

function check(command: string, argv: readonly string[], expected: boolean): void {
  const call = { command, argv };
  expect(judge(caps, 'exec', 'exec.run', call).allowed).toBe(expected);
  expect(isReadingCommand(caps, 'exec.run', call)).toBe(expected);
}

const plain = ['--no-ext-diff', '--no-textconv'];
test.each([
  ['log', ...plain, '--oneline', '-n', '20'],
  ['log', ...plain, '-10', '--stat', '--', 'src/parser.ts'],
  ['log', ...plain, '--since=1 month ago', '--author=Me', '--name-only', '--pretty=format:'],
  ['log', ...plain, '-p', '--follow', '-S', 'needle', 'main..HEAD'],
  ['show', ...plain, 'HEAD~2:README.md'],
  ['diff', ...plain, '--ignore-submodules=all', '--stat', 'HEAD~3', 'HEAD'],
  ['status', '--ignore-submodules=all', '--short', '--branch'],
  ['shortlog', '-sn', '--since=2026-01-01', 'HEAD'],
  ['blame', '--no-textconv', '-L10,20', 'a.ts'],
  ['ls-files', '*.ts'],
  ['grep', '--no-textconv', '-n', 'needle', '--', 'src'],
  ['rev-list', '--count', 'HEAD'],
  ['branch', '--list', '--no-color', '-a'],
  ['tag', '--list', '--sort=-creatordate'].slice(0, 2),
  ['config', '--get', 'user.name'],
])('git %s %s %s', (...argv) => check('/usr/bin/git', ['-C', '/p', ...argv], true));

test.each([
  ['-c', 'core.sshCommand=id', 'log', ...plain],
  ['--exec-path=/tmp', 'log', ...plain],
  ['log', ...plain, '--output=/tmp/x'],
  ['log', ...plain, '--ext-diff'],
  ['log', ...plain, '--textconv'],
  ['log', ...plain, '--show-signature'],
  ['log', '--oneline'],
  ['status'],
  ['diff', '--no-index', '/etc/passwd', '/dev/null'],
  ['diff', ...plain, '-O/tmp/order'],
  ['grep', '--no-textconv', '-Oid', 'x'],
  ['grep', '--no-textconv', '--open-files-in-pager=id', 'x'],
  ['push', 'origin', 'HEAD'],
  ['fetch', '--upload-pack=id'],
  ['clone', 'ext::sh -c id'],
  ['config', '--global', 'core.pager', 'id'],
  ['config', 'core.fsmonitor', 'id'],
  ['commit', '-m', 'x'],
  ['branch', 'new'],
  ['tag', 'new'],
  ['gc'],
  ['daemon'],
  ['archive', '--remote=host', 'HEAD'],
  ['evil'],
])('not git %s %s %s', (...argv) => check('/usr/bin/git', ['-C', '/p', ...argv], false));

test.each<[string, readonly string[], boolean]>([
  ['/usr/bin/grep', ['-rnI', '--exclude-dir=.git', '-i', '-e', 'needle', '--', '/p/src'], true],
  ['/usr/bin/grep', ['-rnI', '--exclude-dir=.git', '-f', '/etc/shadow', '--', '/p'], false],
  ['/usr/bin/grep', ['-R', 'x', '/'], false],
  ['/usr/bin/curl', ['https://example.com'], false],
  ['/bin/sh', ['-c', 'id'], false],
  ['git', ['-C', '/p', 'status'], false],
])('%s %j: %s', check);

test('it asks for nothing that leaves or changes unasked', () => {
  expect(caps.exec.every(({ reads }) => reads === true)).toBe(true);
  expect(caps.fs).toEqual([{ path: '.', write: true, ask: true }]);
  expect(caps).toMatchObject({ kb_write: [], secrets: [], tools: [], mailbox: [], time: false });
  expect(caps.mail).toBeUndefined();
});
