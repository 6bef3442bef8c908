/**
 * The sandbox of commands: what bubblewrap is told, and the descriptors that it is told by.
 *
 * 1. Own namespaces, no network, no capability, no user; a read-only /usr, bounded /tmp and /dev/shm, and of the rest only
 *    the folders that are granted. It ends with its parent, and all that it started ends with it.
 * 2. A granted folder is opened first, and bound by its descriptor only when the kernel says that it is where it was
 *    granted: a link put into the way, also meanwhile, leads nowhere.
 * 3. A system call filter, and limits on core files, processes, descriptors, file sizes and each process's memory. Where
 *    the machine runs out of memory, the kernel takes a command's before anybody else's.
 *
 * The kernel cannot filter a child's hosts, so there is no network, whatever `net` grants.
 */
import { closeSync, constants, existsSync, openSync, readlinkSync } from 'node:fs';
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import {
  execFileBytesMax,
  execFilesOpenMax,
  execMappedBytesMax,
  execMemoryBytesMax,
  execProcessesMax,
  execScratchBytesMax,
} from '../limits.ts';
import { type FsGrant } from '../files/fs-grants.ts';
import { seccompFilter } from '../seccomp/profiles.ts';
import { gitEnvironment } from './git-environment.ts';

export type SandboxOptions = {
  /** Absolute path of bubblewrap. */
  readonly bwrap?: string | undefined;
  /** Host folders that the command may use. */
  readonly folders?: readonly FsGrant[];
  /** Folders that it never sees, wherever a grant may lie: the state directory. */
  readonly hidden?: readonly string[];
  /** Nothing of the folders can be written, nor a socket in them spoken to. */
  readonly reads?: boolean;
};

/** Close it when the child has been started. */
export type SandboxedCommand = Disposable & {
  readonly file: string;
  readonly args: readonly string[];
  /** Descriptors for the child from number `descriptorsAt` on; one pipe for the filter comes before them. */
  readonly folders: readonly number[];
  readonly filter: Uint8Array;
};

/** The child's descriptor on which it reads its filter; granted folders follow. */
export const filterDescriptor = 3;

const own = ['--unshare-all', '--unshare-user', '--uid', '65534', '--gid', '65534', '--cap-drop', 'ALL'];
const ends = ['--die-with-parent', '--new-session'];
const variables = { PATH: '/usr/bin:/bin', HOME: '/tmp', LANG: 'C.UTF-8' };
const setting = (given: { readonly [name: string]: string }): readonly string[] =>
  Object.entries(given).flatMap(([name, value]) => ['--setenv', name, value]);
const environment = ['--clearenv', ...setting(variables)];
const programs = ['--ro-bind', '/usr', '/usr', '--symlink', 'usr/bin', '/bin', '--symlink', 'usr/sbin', '/sbin'];
const libraries = ['--symlink', 'usr/lib', '/lib', '--symlink', 'usr/lib64', '/lib64'];
const links = ['/etc/alternatives', '/etc/ld.so.cache'].flatMap((path) => ['--ro-bind-try', path, path]);
const scratch = ['--size', String(execScratchBytesMax), '--tmpfs'];
const empty = ['--proc', '/proc', '--dev', '/dev', ...scratch, '/dev/shm', ...scratch, '/tmp', '--chdir', '/tmp'];
const limited = [
  '/usr/bin/choom',
  '-n',
  '1000',
  '--',
  '/usr/bin/prlimit',
  '--core=0:0',
  `--nproc=${execProcessesMax}:${execProcessesMax}`,
  `--nofile=${execFilesOpenMax}:${execFilesOpenMax}`,
  `--fsize=${execFileBytesMax}:${execFileBytesMax}`,
  `--data=${execMemoryBytesMax}:${execMemoryBytesMax}`,
  `--as=${execMappedBytesMax}:${execMappedBytesMax}`,
  '--',
];

export function sandboxed(
  command: string,
  argv: readonly string[],
  { bwrap = '/usr/bin/bwrap', folders = [], hidden = [], reads = false }: SandboxOptions,
): Result<SandboxedCommand, Failure> {
  const filter = seccompFilter(reads ? 'reads' : 'exec', process.arch);
  if (filter === undefined)
    return err(failure('CapabilityDenied', `exec is refused: there is no system call filter for ${process.arch}`));
  using opened = new DisposableStack();
  const descriptors: number[] = [];
  const binds: string[] = [];
  // A folder inside another is bound after it: the deepest grant that holds a path decides.
  for (const { path, write, ask } of [...folders].sort((a, b) => a.path.length - b.path.length)) {
    const folder = openFolder(path);
    if (!folder.ok) return folder;
    const fd = opened.adopt(folder.value, closeSync);
    const writable = write && ask !== true && !reads;
    binds.push(writable ? '--bind-fd' : '--ro-bind-fd', String(filterDescriptor + 1 + descriptors.length), path);
    descriptors.push(fd);
  }
  const covers = hidden.filter(
    (path) => existsSync(path) && folders.some((folder) => path === folder.path || path.startsWith(`${folder.path}/`)),
  );
  const mounts = [
    ...programs,
    ...libraries,
    ...links,
    ...empty,
    ...binds,
    ...covers.flatMap((path) => ['--tmpfs', path]),
  ];
  const sealed = ['--remount-ro', '/', ...covers.flatMap((path) => ['--remount-ro', path])];
  const more = reads ? setting(gitEnvironment) : [];
  const args = [...own, ...ends, ...environment, ...more, ...mounts, ...sealed, '--seccomp', String(filterDescriptor)];
  const held = opened.move();
  return ok({
    file: bwrap,
    args: [...args, '--', ...limited, command, ...argv],
    folders: descriptors,
    filter,
    [Symbol.dispose]: () => held.dispose(),
  });
}

function openFolder(path: string): Result<number, Failure> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return err(failure('CapabilityDenied', `the granted folder ${path} cannot be opened: ${why}`));
  }
  if (readlinkSync(`/proc/self/fd/${fd}`) === path) return ok(fd);
  closeSync(fd);
  const hint = 'grant the folder by its real path';
  return err(
    failure('CapabilityDenied', `the granted folder ${path} is reached by a link, so it is refused`, { hint }),
  );
}
