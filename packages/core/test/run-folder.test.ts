/** Which folders a run may be given, by their paths alone. */
import { expect, test } from 'vitest';
import { runFolder } from '../src/index.ts';

const places = { homeDir: '/home/me', never: ['/srv/state'] };

test.each([
  ['/home/me/project', undefined],
  ['/home/me/.dotfiles', undefined],
  ['/home/meg', undefined],
  ['/tmp/x', undefined],
  ['/', 'your home lies in it'],
  ['/home', 'your home lies in it'],
  ['/home/me', 'it is all of your home'],
  ['/home/me/', 'it is no plain absolute path'],
  ['/home/me/../me', 'it is no plain absolute path'],
  ['project', 'it is no plain absolute path'],
  ['/home/me/a\0b', 'it is no plain absolute path'],
  ['/home/me/a*', 'its name holds characters of a pattern'],
  ['/home/me/.ssh', '~/.ssh holds keys or settings'],
  ['/home/me/.config/x', '~/.config holds keys or settings'],
  ['/proc/self', 'it holds no files of yours'],
  ['/srv/state', 'runloop keeps its state in /srv/state'],
  ['/srv/state/x', 'runloop keeps its state in /srv/state'],
  ['/srv', 'runloop keeps its state in /srv/state'],
])('%j: %s', (path, problem) => {
  const given = runFolder(path, places);
  if (problem === undefined) expect(given).toEqual({ ok: true, value: path });
  else expect(given.ok ? '' : given.error.message).toBe(`the folder ${path} is not given to a run: ${problem}`);
});
