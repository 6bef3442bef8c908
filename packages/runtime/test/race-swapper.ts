/**
 * Swaps what lies at a name as fast as it can, until it is killed: a file, a symbolic link, a hard link; a directory and a
 * link to another. Links of files lead to a third one, so that those that the linked directory holds have one name each and
 * nothing but the link itself keeps anybody from them. Its argument is the directory that holds `granted`, `outside` and `parts`.
 */
import { linkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = process.argv[2] ?? '';
const [granted, outside, parts] = ['granted', 'outside', 'parts'].map((name) => join(root, name)) as [
  string,
  string,
  string,
];

/** Some steps meet what the other side has just made or removed. */
function attempt(step: () => void): void {
  try {
    step();
  } catch {
    // The next round goes on from whatever is there.
  }
}

const [name, dir, next] = [join(granted, 'd/f'), join(granted, 'd'), join(parts, 'next')];
const swaps: readonly (() => void)[] = [
  () => symlinkSync(join(outside, 'other'), next),
  () => writeFileSync(next, 'granted'),
  () => linkSync(join(outside, 'other'), next),
  () => writeFileSync(next, 'granted'),
];

process.stdout.write('ready\n');
for (;;) {
  for (const make of swaps) {
    attempt(() => rmSync(next, { force: true }));
    attempt(make);
    attempt(() => renameSync(next, name));
  }
  attempt(() => rmSync(join(dir, 'g'), { force: true }));
  // The file is a plain one meanwhile, and its directory is now that and now a link to the one outside.
  for (let turn = 0; turn < 8; turn += 1) {
    attempt(() => renameSync(dir, join(parts, 'dir')));
    attempt(() => renameSync(join(parts, 'link'), dir));
    attempt(() => renameSync(dir, join(parts, 'link')));
    attempt(() => renameSync(join(parts, 'dir'), dir));
  }
}
