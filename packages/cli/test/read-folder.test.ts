/** Which folder goes along with a question, and where git would have to be asked. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryAbove } from '../src/read-folder.ts';

test('the top of a repository is told where one stands below it, and nowhere else', () => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'above-')));
  try {
    mkdirSync(join(dir, 'repo', '.git'), { recursive: true });
    mkdirSync(join(dir, 'repo', 'a', 'b'), { recursive: true });
    mkdirSync(join(dir, 'plain'));
    const check = (folder: string, top: string | undefined): void =>
      expect([folder, repositoryAbove(join(dir, folder))]).toEqual([folder, top]);
    check('repo/a/b', join(dir, 'repo'));
    check('repo/a', join(dir, 'repo'));
    check('repo', undefined);
    check('plain', undefined);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
