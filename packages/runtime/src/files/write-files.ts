/**
 * Writes files, through the opener alone; each call may be performed again under its call id and changes nothing twice.
 *
 * 1. `replace` writes a file of its own beside the old one and renames it over the name in the directory held open: nobody
 *    reads half of it, a crash leaves the old or the new, and whatever has the name meanwhile is never written through.
 * 2. `append` names the size that the file had; where the file has another size meanwhile it is refused. Begun before
 *    (`repeated`), what stands there already must be a beginning of the data, and only the rest is written.
 *    `create`, `mkdir`, `remove` and `rename` find their own result when they are repeated, and take it for theirs.
 * 3. A file with an x bit is only touched with an approval, by what was opened and not by what was asked about.
 * 4. What was written is on the disk before the call is answered.
 */
import { mkdir, rename, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import type { JsonValue } from '@runloop/core';
import { fileBytesMax } from '../limits.ts';
import { FileFailure, systemFailure } from './file-failure.ts';
import { isWithin } from './fs-grants.ts';
import {
  coveringGrant,
  createFile,
  type Directory,
  type Held,
  holdEntry,
  openFile,
  openParent,
  type Reach,
  refuseUnlessPlain,
} from './opener.ts';

export type WriteMode = 'create' | 'replace' | 'append' | 'at' | 'truncate';
export const writeModes: readonly WriteMode[] = ['create', 'replace', 'append', 'at', 'truncate'];

export type WriteRequest = {
  readonly path: string;
  readonly mode: WriteMode;
  /** Where to write (`at`), the size before (`append`), the size after (`truncate`). */
  readonly offset: number;
  readonly data: Buffer;
};

/** How a call comes to be performed. */
export type CallState = {
  readonly id: string;
  /** Somebody has agreed to it. */
  readonly approved: boolean;
  /** It was begun before, and nobody knows how far it came. */
  readonly repeated: boolean;
};

export async function writeFile(reach: Reach, request: WriteRequest, call: CallState): Promise<JsonValue> {
  const { path, mode, offset, data } = request;
  if ((mode === 'truncate' ? offset : offset + data.length) > fileBytesMax)
    throw new FileFailure('file-too-large', `${path} would have more than ${fileBytesMax} bytes`);
  const grant = coveringGrant(reach, path, true);
  const { directory, name } = await openParent(reach, grant, path);
  await using _directory = directory;
  try {
    if (mode === 'replace') await replace(reach, directory, name, request, call);
    else {
      await using file =
        mode === 'create'
          ? await create(reach, directory, name, request, call)
          : await openFile(reach, directory, name, 'write');
      await change(file, request, call);
      await file.datasync();
    }
  } catch (error) {
    throw systemFailure(error, path);
  }
  return { bytes: data.length };
}

async function change(file: FileHandle, { path, mode, offset, data }: WriteRequest, call: CallState): Promise<void> {
  const { size, mode: bits } = await file.stat();
  refuseExecutable(bits, path, call);
  if (mode === 'truncate') return file.truncate(offset);
  if (mode === 'append') {
    const there = size - offset;
    const own = call.repeated && there > 0 && there <= data.length && (await begins(file, data, offset, there));
    if (there !== 0 && !own)
      throw new FileFailure('busy', `${path} has ${size} bytes and no longer ${offset}: look at its size again`);
    return writeAll(file, data.subarray(there), size);
  }
  return writeAll(file, data, offset);
}

async function create(
  reach: Reach,
  directory: Directory,
  name: string,
  { path, data }: WriteRequest,
  call: CallState,
): Promise<FileHandle> {
  try {
    return await createFile(directory, name, 0o666);
  } catch (error) {
    const fault = systemFailure(error, path);
    if (fault.fault !== 'exist' || !call.repeated) throw fault;
    const file = await openFile(reach, directory, name, 'write');
    const { size } = await file.stat();
    if (size <= data.length && (await begins(file, data, 0, size))) return file;
    await file.close();
    throw fault;
  }
}

async function replace(
  reach: Reach,
  directory: Directory,
  name: string,
  { path, data }: WriteRequest,
  call: CallState,
): Promise<void> {
  const bits = await replacedMode(reach, directory, name, path, call);
  const temporary = `.runloop-${call.id.replace(/[^0-9a-z]/gi, '').slice(0, 24)}.new`;
  await unlink(directory.entry(temporary)).catch(() => undefined);
  try {
    await using file = await createFile(directory, temporary, bits ?? 0o666);
    if (bits !== undefined) await file.chmod(bits);
    await writeAll(file, data, 0);
    await file.datasync();
    await rename(directory.entry(temporary), directory.entry(name));
  } catch (error) {
    await unlink(directory.entry(temporary)).catch(() => undefined);
    throw error;
  }
}

/** The permissions that a replaced file hands on; undefined for one that is new. */
async function replacedMode(
  reach: Reach,
  directory: Directory,
  name: string,
  path: string,
  call: CallState,
): Promise<number | undefined> {
  const held = await holdIfThere(reach, directory, name);
  await using _held = held;
  if (held === undefined) return undefined;
  refuseUnlessPlain(held, path);
  if (held.kind === 'directory') throw new FileFailure('is-directory', `${path} is a directory`);
  refuseExecutable(Number(held.stat.mode), path, call);
  return Number(held.stat.mode) & 0o777;
}

export async function makeDirectoryAt(reach: Reach, path: string, call: CallState): Promise<JsonValue> {
  const { directory, name } = await openParent(reach, coveringGrant(reach, path, true), path);
  await using _directory = directory;
  try {
    await mkdir(directory.entry(name), 0o777);
  } catch (error) {
    const fault = systemFailure(error, path);
    if (fault.fault !== 'exist' || !call.repeated) throw fault;
    await using held = await holdEntry(reach, directory, name);
    if (held.kind !== 'directory') throw fault;
  }
  return {};
}

export async function removeFile(
  reach: Reach,
  path: string,
  type: 'file' | 'directory' | undefined,
  call: CallState,
): Promise<JsonValue> {
  const grant = coveringGrant(reach, path, true);
  refuseHolder(reach, path);
  const { directory, name } = await openParent(reach, grant, path);
  await using _directory = directory;
  const held = await holdIfThere(reach, directory, name);
  await using _held = held;
  if (held === undefined) {
    if (call.repeated) return {};
    throw new FileFailure('no-entry', `${path} does not exist`);
  }
  refuseUnlessPlain(held, path);
  if (type === 'file' && held.kind === 'directory') throw new FileFailure('is-directory', `${path} is a directory`);
  if (type === 'directory' && held.kind === 'file') throw new FileFailure('not-directory', `${path} is no directory`);
  if (held.kind === 'file') refuseExecutable(Number(held.stat.mode), path, call);
  try {
    await (held.kind === 'directory' ? rmdir(directory.entry(name)) : unlink(directory.entry(name)));
  } catch (error) {
    throw systemFailure(error, path);
  }
  return {};
}

export async function renameFile(reach: Reach, from: string, to: string, call: CallState): Promise<JsonValue> {
  const [sourceGrant, targetGrant] = [coveringGrant(reach, from, true), coveringGrant(reach, to, true)];
  refuseHolder(reach, from);
  const source = await openParent(reach, sourceGrant, from);
  await using _source = source.directory;
  const target = await openParent(reach, targetGrant, to);
  await using _target = target.directory;
  const moved = await holdIfThere(reach, source.directory, source.name);
  await using _moved = moved;
  const replaced = await holdIfThere(reach, target.directory, target.name);
  await using _replaced = replaced;
  if (moved === undefined) {
    if (call.repeated && replaced !== undefined) return {};
    throw new FileFailure('no-entry', `${from} does not exist`);
  }
  for (const [held, path] of [
    [moved, from],
    [replaced, to],
  ] as const) {
    if (held === undefined) continue;
    refuseUnlessPlain(held, path);
    if (held.kind === 'file') refuseExecutable(Number(held.stat.mode), path, call);
  }
  try {
    await rename(source.directory.entry(source.name), target.directory.entry(target.name));
  } catch (error) {
    throw systemFailure(error, `${from} → ${to}`);
  }
  return {};
}

/** What has the name, or nothing. */
export async function holdIfThere(reach: Reach, directory: Directory, name: string): Promise<Held | undefined> {
  try {
    return await holdEntry(reach, directory, name);
  } catch (error) {
    if (error instanceof FileFailure && error.fault === 'no-entry') return undefined;
    throw error;
  }
}

/** A directory that the state directory lies in stays where it is. */
function refuseHolder({ never }: Reach, path: string): void {
  const inside = never.paths.find((dir) => isWithin(dir, path));
  if (inside !== undefined) throw new FileFailure('not-permitted', `${path} holds ${inside}, which no grant covers`);
}

function refuseExecutable(mode: number, path: string, call: CallState): void {
  if ((mode & 0o111) !== 0 && !call.approved)
    throw new FileFailure('not-permitted', `${path} is executable, and nobody has approved that it changes`);
}

async function begins(file: FileHandle, data: Buffer, offset: number, count: number): Promise<boolean> {
  const there = Buffer.alloc(count);
  const { bytesRead } = await file.read(there, 0, count, offset);
  return bytesRead === count && data.subarray(0, count).equals(there);
}

async function writeAll(file: FileHandle, data: Buffer, offset: number): Promise<void> {
  for (let at = 0; at < data.length;) {
    const { bytesWritten } = await file.write(data, at, data.length - at, offset + at);
    at += bytesWritten;
  }
}
