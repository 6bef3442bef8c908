/**
 * Every `sh` block of the README and of docs/guide runs, from top to bottom, as a newcomer would run them.
 *
 * Blocks that call npm are what `.ci/run` proves; blocks of two terminals are marked `console` and are not run.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Home } from './home.ts';
import { root } from './place.ts';

const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs/guide'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs/guide', name)),
];

test.each(pages)('%s', async (page) => {
  await using home = new Home();
  const blocks = [...readFileSync(join(root, page), 'utf8').matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(
    (match) => match[1] ?? '',
  );
  const script = blocks
    .map((block) =>
      block
        .split('\n')
        .filter((line) => !line.startsWith('npm '))
        .join('\n'),
    )
    .join('\n');
  expect(script).toContain('rlp');
  const env = { ...process.env, RUNLOOP_HOME: home.path, PATH: `${join(root, 'bin')}:${process.env['PATH'] ?? ''}` };
  const done = spawnSync('sh', ['-eu', '-c', script], { env, cwd: root, encoding: 'utf8' });
  expect(`${done.status} ${done.stderr}`).toMatch(/^0 /);
});
