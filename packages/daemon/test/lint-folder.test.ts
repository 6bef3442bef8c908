/** What rlp caps lint is pointed at may be anything: it answers, and does not wait for ever. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { lintFolder } from '../src/index.ts';

const root = mkdtempSync(join(tmpdir(), 'rl-lint-'));
afterAll(() => rmSync(root, { recursive: true }));

test.each<[string, (path: string) => void, object]>([
  ['a policy', (path) => writeFileSync(path, 'time = true\n'), { ok: true }],
  ['nothing', () => undefined, { ok: false, error: { code: 'NotFound' } }],
  ['a FIFO', (path) => void execFileSync('mkfifo', [path]), { ok: false, error: { code: 'InvalidBundle' } }],
  ['a link', (path) => symlinkSync('/dev/zero', path), { ok: false, error: { code: 'InvalidBundle' } }],
  [
    '3 GiB',
    (path) => {
      writeFileSync(path, '');
      truncateSync(path, 3 * 1024 ** 3);
    },
    { ok: false, error: { code: 'InvalidBundle' } },
  ],
])('%s', async (name, lay, expected) => {
  const dir = join(root, name.replaceAll(' ', '-'));
  mkdirSync(dir);
  lay(join(dir, 'policy.caps'));
  expect(await lintFolder(dir)).toMatchObject(expected);
});
