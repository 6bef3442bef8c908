/**
 * Opens what lies at a path and nothing else: each part of the path relative to the directory that is open already.
 *
 * 1. No link is followed, on no part of the path: `/proc/self/fd/<directory>/<name>` is opened with O_NOFOLLOW, so that
 *    swapping a directory for a link, at any moment, gives a refusal and never another file.
 * 2. What is neither a regular file nor a directory is refused before it is opened: the name is first taken hold of
 *    (O_PATH, which no FIFO blocks and no device notices), looked at, and that very file is opened then.
 * 3. A file with a second name is refused. Looked at twice, with its name looked up in between and the time of its last
 *    change compared, so that a name which is taken away meanwhile does not count as never having been.
 * 4. Below a granted directory everything lies on the granted directory's own file system.
 * 5. Nothing at or below a `never` directory is opened, whatever path leads there: it is known by device and inode too.
 *
 * Every call goes to libuv's threads: a file system that does not answer keeps them, and never the caller's thread.
 */
import { constants, type BigIntStats, statSync } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { FileFailure, systemFailure } from './file-failure.ts';
import { type FsGrant, grantFor, isWithin, missingGrant, neverGranted, pathProblem } from './fs-grants.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY, O_RDWR, O_WRONLY, O_CREAT, O_EXCL } = constants;
/** How often a file that changes while it is opened is opened again. */
export const openTriesMax = 4;
/** The same on every architecture that Node runs on under Linux. */
const O_PATH = 0o10000000;

export type Never = {
  readonly paths: readonly string[];
  readonly identities: ReadonlySet<string>;
};

/** Directories that no grant covers, by name and by what they are. */
export function neverOpened(dirs: readonly string[]): Never {
  const identities = new Set<string>();
  for (const dir of dirs) {
    const found = statSync(dir, { bigint: true, throwIfNoEntry: false });
    if (found !== undefined) identities.add(identity(found));
  }
  return { paths: [...dirs, ...neverGranted], identities };
}

export type Reach = { readonly grants: readonly FsGrant[]; readonly never: Never };

/** A directory held open, and the path by which it was reached. */
export class Directory implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly path: string;
  readonly dev: bigint;
  constructor(handle: FileHandle, path: string, dev: bigint) {
    this.#handle = handle;
    this.path = path;
    this.dev = dev;
  }
  /** Names the entry for the system; an entry that is a link must not be followed by whoever uses it. */
  entry(name: string): string {
    return `/proc/self/fd/${this.#handle.fd}/${name}`;
  }
  async mtimeMs(): Promise<number> {
    return Math.trunc((await this.#handle.stat()).mtimeMs);
  }
  /** The directory itself. */
  get itself(): string {
    return `/proc/self/fd/${this.#handle.fd}`;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/** The grant that covers the path, for what is to be done to it; a refusal names the grant that is missing. */
export function coveringGrant(reach: Reach, path: string, write: boolean): FsGrant {
  const problem = pathProblem(path);
  if (problem !== undefined) throw new FileFailure('invalid', `${JSON.stringify(path.slice(0, 200))}: ${problem}`);
  const never = reach.never.paths.find((dir) => isWithin(path, dir));
  if (never !== undefined) throw new FileFailure('not-permitted', `${path} lies in ${never}, which no grant covers`);
  const grant = grantFor(reach.grants, path);
  if (grant === undefined || (write && !grant.write)) {
    throw new FileFailure('not-permitted', `${path}: missing grant: ${missingGrant(path, write)}`);
  }
  return grant;
}

/** Opens the directory at `path`; `grant` covers it. */
export async function openDirectory(reach: Reach, grant: FsGrant, path: string): Promise<Directory> {
  let at = await hold('/', '/', O_DIRECTORY);
  try {
    let dev = 0n;
    let walked = '';
    for (const name of path === '/' ? [] : path.slice(1).split('/')) {
      walked = `${walked}/${name}`;
      const next = await hold(`/proc/self/fd/${at.fd}/${name}`, walked, O_DIRECTORY);
      await at.close();
      at = next;
      const stat = await at.stat({ bigint: true });
      refuseNever(reach, stat, walked);
      if (walked.length <= grant.path.length) dev = stat.dev;
      else if (stat.dev !== dev) throw otherFileSystem(walked);
    }
    return new Directory(at, path, dev);
  } catch (error) {
    await at.close();
    throw systemFailure(error, path);
  }
}

/** Opens the directory that holds `path`; the name in it is the second answer. */
export async function openParent(
  reach: Reach,
  grant: FsGrant,
  path: string,
): Promise<{ readonly directory: Directory; readonly name: string }> {
  if (path === grant.path) throw new FileFailure('not-permitted', `${path} is the granted directory itself`);
  const cut = path.lastIndexOf('/');
  const directory = await openDirectory(reach, grant, path.slice(0, cut));
  return { directory, name: path.slice(cut + 1) };
}

/** What a name in a directory is, held so that it stays the same file; `link` and `other` are there to be refused. */
export type Held = AsyncDisposable & {
  readonly handle: FileHandle;
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly stat: BigIntStats;
};

export async function holdEntry(reach: Reach, directory: Directory, name: string): Promise<Held> {
  const path = joined(directory.path, name);
  const handle = await hold(directory.entry(name), path, 0);
  try {
    const stat = await handle.stat({ bigint: true });
    refuseNever(reach, stat, path);
    if (stat.dev !== directory.dev) throw otherFileSystem(path);
    const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : 'other';
    return { handle, kind, stat, [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw systemFailure(error, path);
  }
}

/** Refuses what is no plain file or directory with one name. */
export function refuseUnlessPlain({ kind, stat }: Held, path: string): void {
  if (kind === 'link') throw new FileFailure('loop', `${path} is a symbolic link, and links are not followed`);
  if (kind === 'other') throw new FileFailure('not-permitted', `${path} is neither a regular file nor a directory`);
  if (kind === 'file' && stat.nlink !== 1n)
    throw new FileFailure(
      'not-permitted',
      `${path} has ${stat.nlink} names (hard links); only files with one are opened`,
    );
}

/** Opens the regular file at a name, for reading or for both; nothing is truncated or created. */
export async function openFile(
  reach: Reach,
  directory: Directory,
  name: string,
  access: 'read' | 'write',
): Promise<FileHandle> {
  for (let tries = 1; ; tries += 1) {
    const file = await openFileOnce(reach, directory, name, access);
    if (file !== undefined) return file;
    if (tries === openTriesMax)
      throw new FileFailure('busy', `${joined(directory.path, name)} is changed or renamed again and again`);
  }
}

/** Undefined where the file or its name was changed while it was opened. */
async function openFileOnce(
  reach: Reach,
  directory: Directory,
  name: string,
  access: 'read' | 'write',
): Promise<FileHandle | undefined> {
  const path = joined(directory.path, name);
  await using held = await holdEntry(reach, directory, name);
  refuseUnlessPlain(held, path);
  if (held.kind === 'directory') throw new FileFailure('is-directory', `${path} is a directory`);
  let file: FileHandle | undefined;
  try {
    const flags = (access === 'read' ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY;
    file = await open(`/proc/self/fd/${held.handle.fd}`, flags);
    const named = await lstat(directory.entry(name), { bigint: true });
    const after = await file.stat({ bigint: true });
    const single = identity(named) === identity(after) && named.nlink === 1n && after.nlink === 1n;
    if (single && after.ctimeNs === held.stat.ctimeNs) return file;
    await file.close();
    return undefined;
  } catch (error) {
    await file?.close();
    throw systemFailure(error, path);
  }
}

/** Makes a new file for writing; whatever has the name, a link too, is in the way. */
export async function createFile(directory: Directory, name: string, mode: number): Promise<FileHandle> {
  try {
    return await open(directory.entry(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, mode);
  } catch (error) {
    throw systemFailure(error, joined(directory.path, name));
  }
}

export function joined(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}

async function hold(system: string, path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(system, O_PATH | O_NOFOLLOW | flags);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOTDIR') throw systemFailure(error, path);
    const found = await lstat(system).catch(() => undefined);
    if (found?.isSymbolicLink() === true)
      throw new FileFailure('loop', `${path} is a symbolic link, and links are not followed`);
    throw systemFailure(error, path);
  }
}

function identity({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}

function refuseNever({ never }: Reach, stat: BigIntStats, path: string): void {
  if (never.identities.has(identity(stat)))
    throw new FileFailure('not-permitted', `${path} is the state directory, which no grant covers`);
}

function otherFileSystem(path: string): FileFailure {
  return new FileFailure(
    'cross-device',
    `${path} lies on another file system than the granted directory; grant it by its own path`,
  );
}
