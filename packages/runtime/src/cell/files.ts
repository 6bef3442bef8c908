/**
 * wasi:filesystem for one instance, over host calls: a descriptor is a path and what it was opened for, nothing is held open.
 *
 * 1. A path is resolved as text below its descriptor's directory and never above it; who holds the directories resolves it
 *    again, follows no link, and decides. What the grants refuse is asked of it all the same: it is what writes refusals down.
 * 2. Each granted directory is a preopened one under its own absolute path; below a read-only one nothing opens for writing.
 * 3. At most `files_open` descriptors are open. Errors are WASI's own codes.
 * 4. Appending names the size that it found, so that the same append made again after a crash writes once.
 *
 * There are no links, no times to set and no locks: those calls answer `unsupported` or `not-permitted`.
 */
import { posix } from 'node:path';
import { type FsGrant, grantFor } from '../files/fs-grants.ts';
import { InputStream, IoError, OutputStream, type VirtualTime, writeBytesMax } from './streams.ts';

export type HostCall = (op: string, args: { readonly [key: string]: unknown }) => Promise<unknown>;
export type FilesContext = {
  readonly fs: readonly FsGrant[];
  readonly filesOpenMax: number;
  readonly ask: HostCall;
};

type DescriptorFlags = { readonly read?: boolean; readonly write?: boolean; readonly mutateDirectory?: boolean };
type OpenFlags = {
  readonly create?: boolean;
  readonly directory?: boolean;
  readonly exclusive?: boolean;
  readonly truncate?: boolean;
};
type Stat = { readonly type: 'file' | 'directory'; readonly bytes: number; readonly mtime_ms: number };
type Page = { readonly entries: readonly { readonly name: string; readonly type: string }[]; readonly more: boolean };

const readBytesMax = 256 * 1024;
const types: { readonly [type: string]: string } = {
  file: 'regular-file',
  directory: 'directory',
  link: 'symbolic-link',
};

/** The error case of a file call, as the binding expects it to be thrown. */
function failed(fault: string): Error {
  return Object.assign(new Error(fault), { payload: fault });
}

/** The WASI code at the end of the message of a failed file call; a refusal of the kernel's own names what is missing. */
function faultOf(error: unknown): string {
  const payload = (error as { payload?: { readonly message?: unknown } } | null)?.payload;
  if (payload === undefined) return 'io';
  const message = String(payload.message);
  return /\(([a-z-]+)\)$/.exec(message)?.[1] ?? (message.endsWith('write = true }]') ? 'read-only' : 'not-permitted');
}

async function asking<T>(context: FilesContext, op: string, args: { readonly [key: string]: unknown }): Promise<T> {
  try {
    return (await context.ask(op, args)) as T;
  } catch (error) {
    throw failed(faultOf(error));
  }
}

/** `path` below `directory`, as text: links are never followed, so that `..` is what it seems. */
export function resolveBelow(directory: string, path: string): string {
  if (path === '') throw failed('no-entry');
  if (path.startsWith('/') || path.includes('\0')) throw failed('not-permitted');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw failed('not-permitted');
  }
  return parts.length === 0 ? directory : `${directory}/${parts.join('/')}`;
}

/** The resources of one instance; `context` is asked for at each call. */
export class FileSystem {
  readonly context: () => FilesContext;
  readonly time: VirtualTime;
  #open = 0;

  constructor(context: () => FilesContext, time: VirtualTime) {
    this.context = context;
    this.time = time;
  }

  preopened(): [Descriptor, string][] {
    return this.context().fs.map(({ path, write }) => [
      new Descriptor(this, path, 'directory', { read: true, write: false, mutateDirectory: write }, () => undefined),
      path,
    ]);
  }

  opened(path: string, type: Stat['type'], flags: DescriptorFlags): Descriptor {
    let isOpen = true;
    return new Descriptor(this, path, type, flags, () => {
      if (isOpen) this.#open -= 1;
      isOpen = false;
    });
  }

  /** Before anything is done for a descriptor that could not be given. */
  count(): void {
    if (this.#open >= this.context().filesOpenMax) throw failed('quota');
    this.#open += 1;
  }

  uncount(): void {
    this.#open -= 1;
  }

  ask<T>(op: string, args: { readonly [key: string]: unknown }): Promise<T> {
    return asking<T>(this.context(), op, args);
  }

  /** Fails where `path` may not be written, by the word of who refuses it. */
  async mustWrite(path: string): Promise<void> {
    if (grantFor(this.context().fs, path)?.write === true) return;
    await this.ask('fs.write', { path, mode: 'create', data: '' });
    throw failed('read-only');
  }
}

export class Descriptor {
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #type: Stat['type'];
  readonly #flags: DescriptorFlags;
  readonly #close: () => void;

  constructor(files: FileSystem, path: string, type: Stat['type'], flags: DescriptorFlags, close: () => void) {
    this.#files = files;
    this.#path = path;
    this.#type = type;
    this.#flags = flags;
    this.#close = close;
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  getType(): string {
    return types[this.#type] ?? 'unknown';
  }
  getFlags(): DescriptorFlags {
    return this.#flags;
  }
  isSameObject(other: Descriptor): boolean {
    return this.#path === other.#path;
  }
  metadataHash(): { readonly upper: bigint; readonly lower: bigint } {
    return hashOf(this.#path);
  }
  metadataHashAt(_flags: unknown, path: string): { readonly upper: bigint; readonly lower: bigint } {
    return hashOf(this.#at(path));
  }
  /** What is written is on the disk already when the write is answered. */
  sync(): void {}
  syncData(): void {}
  advise(): void {}

  stat(): Promise<object> {
    return this.#stat(this.#path);
  }
  async statAt(_flags: unknown, path: string): Promise<object> {
    return this.#stat(await this.#below(path));
  }

  async openAt(_pathFlags: unknown, name: string, open: OpenFlags, flags: DescriptorFlags): Promise<Descriptor> {
    const path = await this.#below(name);
    const writes = flags.write === true || flags.mutateDirectory === true;
    if (writes || open.create === true || open.truncate === true) await this.#files.mustWrite(path);
    this.#files.count();
    try {
      const type = await this.#openFile(path, open, flags);
      // A directory hands on what its own directory may do.
      const mutateDirectory = type === 'directory' && this.#flags.mutateDirectory === true;
      return this.#files.opened(path, type, {
        read: flags.read === true,
        write: flags.write === true,
        mutateDirectory,
      });
    } catch (error) {
      this.#files.uncount();
      throw error;
    }
  }

  async #openFile(path: string, open: OpenFlags, flags: DescriptorFlags): Promise<Stat['type']> {
    if (open.create === true && open.directory !== true) {
      try {
        await this.#files.ask('fs.write', { path, mode: 'create', data: '' });
        return 'file';
      } catch (error) {
        const fault = (error as { payload?: unknown }).payload;
        if (open.exclusive === true || fault !== 'exist') throw error;
      }
    }
    const { type } = await this.#files.ask<Stat>('fs.stat', { path });
    if (open.directory === true && type !== 'directory') throw failed('not-directory');
    if (type === 'directory' && (flags.write === true || open.truncate === true)) throw failed('is-directory');
    if (open.truncate === true) await this.#files.ask('fs.write', { path, mode: 'truncate', offset: 0 });
    return type;
  }

  async read(length: bigint, offset: bigint): Promise<[Uint8Array, boolean]> {
    this.#needs('read');
    const { bytes, end } = await readAt(this.#files, this.#path, length, offset);
    return [bytes, end];
  }
  async write(data: Uint8Array, offset: bigint): Promise<bigint> {
    this.#needs('write');
    const part = data.subarray(0, Number(writeBytesMax));
    await writeAt(this.#files, this.#path, part, Number(offset));
    return BigInt(part.length);
  }
  async setSize(size: bigint): Promise<void> {
    this.#needs('write');
    await this.#files.ask('fs.write', { path: this.#path, mode: 'truncate', offset: Number(size) });
  }
  readViaStream(offset: bigint): InputStream {
    this.#needs('read');
    return new FileInput(this.#files, this.#path, offset);
  }
  writeViaStream(offset: bigint): OutputStream {
    this.#needs('write');
    return new FileOutput(this.#files, this.#path, Number(offset));
  }
  appendViaStream(): OutputStream {
    this.#needs('write');
    return new FileOutput(this.#files, this.#path, undefined);
  }
  readDirectory(): DirectoryEntryStream {
    if (this.#type !== 'directory') throw failed('not-directory');
    return new DirectoryEntryStream(this.#files, this.#path);
  }

  async createDirectoryAt(path: string): Promise<void> {
    await this.#files.ask('fs.mkdir', { path: await this.#below(path) });
  }
  async removeDirectoryAt(path: string): Promise<void> {
    await this.#files.ask('fs.remove', { path: await this.#below(path), type: 'directory' });
  }
  async unlinkFileAt(path: string): Promise<void> {
    await this.#files.ask('fs.remove', { path: await this.#below(path), type: 'file' });
  }
  async renameAt(path: string, other: Descriptor, newPath: string): Promise<void> {
    await this.#files.ask('fs.rename', { from: await this.#below(path), to: await other.#below(newPath) });
  }
  setTimes(): never {
    throw failed('unsupported');
  }
  setTimesAt(): never {
    throw failed('unsupported');
  }
  linkAt(): never {
    throw failed('not-permitted');
  }
  symlinkAt(): never {
    throw failed('not-permitted');
  }
  readlinkAt(): never {
    throw failed('invalid');
  }

  #at(path: string): string {
    if (this.#type !== 'directory') throw failed('not-directory');
    return resolveBelow(this.#path, path);
  }
  /** The same; where it leads out, whoever refuses that is asked, and told it or not, the answer is no. */
  async #below(path: string): Promise<string> {
    try {
      return this.#at(path);
    } catch (error) {
      if ((error as { payload?: unknown }).payload === 'not-permitted')
        await this.#files.ask('fs.stat', { path: posix.resolve(this.#path, path) });
      throw error;
    }
  }
  #needs(access: 'read' | 'write'): void {
    if (this.#type === 'directory') throw failed('is-directory');
    if (this.#flags[access] !== true) throw failed('bad-descriptor');
  }
  async #stat(path: string): Promise<object> {
    const { type, bytes, mtime_ms: ms } = await this.#files.ask<Stat>('fs.stat', { path });
    const time = { seconds: BigInt(Math.floor(ms / 1000)), nanoseconds: (ms % 1000) * 1_000_000 };
    return {
      type: types[type],
      linkCount: 1n,
      size: BigInt(bytes),
      dataAccessTimestamp: time,
      dataModificationTimestamp: time,
      statusChangeTimestamp: time,
    };
  }
}

export class DirectoryEntryStream {
  readonly #files: FileSystem;
  readonly #path: string;
  #page: Page = { entries: [], more: true };
  #at = 0;
  constructor(files: FileSystem, path: string) {
    this.#files = files;
    this.#path = path;
  }
  async readDirectoryEntry(): Promise<{ readonly type: string; readonly name: string } | undefined> {
    if (this.#at === this.#page.entries.length && this.#page.more) {
      const after = this.#page.entries.at(-1)?.name ?? '';
      this.#page = await this.#files.ask<Page>('fs.list', { path: this.#path, after });
      this.#at = 0;
    }
    const entry = this.#page.entries[this.#at];
    if (entry === undefined) return undefined;
    this.#at += 1;
    return { type: types[entry.type] ?? 'unknown', name: entry.name };
  }
}

class FileInput extends InputStream {
  readonly #files: FileSystem;
  readonly #path: string;
  #offset: bigint;
  constructor(files: FileSystem, path: string, offset: bigint) {
    super(files.time);
    this.#files = files;
    this.#path = path;
    this.#offset = offset;
  }
  override async read(length: bigint): Promise<Uint8Array> {
    const { bytes } = await streaming(() => readAt(this.#files, this.#path, length, this.#offset));
    if (bytes.length === 0 && length > 0n) return super.read(length);
    this.#offset += BigInt(bytes.length);
    return bytes;
  }
  override blockingRead(length: bigint): Promise<Uint8Array> {
    return this.read(length);
  }
  override async skip(length: bigint): Promise<bigint> {
    return BigInt((await this.read(length)).length);
  }
  override blockingSkip(length: bigint): Promise<bigint> {
    return this.skip(length);
  }
}

class FileOutput extends OutputStream {
  readonly #files: FileSystem;
  readonly #path: string;
  /** Undefined: at the end, wherever that is by then. */
  #offset: number | undefined;
  constructor(files: FileSystem, path: string, offset: number | undefined) {
    super(files.time, () => undefined);
    this.#files = files;
    this.#path = path;
    this.#offset = offset;
  }
  override write(data: Uint8Array): Promise<void> {
    return streaming(async () => {
      if (this.#offset !== undefined) {
        await writeAt(this.#files, this.#path, data, this.#offset);
        this.#offset += data.length;
        return;
      }
      const { bytes: offset } = await this.#files.ask<Stat>('fs.stat', { path: this.#path });
      await writeAt(this.#files, this.#path, data, offset, 'append');
    });
  }
  override blockingWriteAndFlush(data: Uint8Array): Promise<void> {
    return this.write(data);
  }
  override writeZeroes(length: bigint): Promise<void> {
    return this.write(new Uint8Array(Number(length < writeBytesMax ? length : writeBytesMax)));
  }
  override blockingWriteZeroesAndFlush(length: bigint): Promise<void> {
    return this.writeZeroes(length);
  }
}

/** A failed file call inside a stream: the stream's error, which the program may ask for the file's code. */
async function streaming<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const val = new IoError(String((error as { payload?: unknown }).payload));
    throw Object.assign(new Error('last-operation-failed'), { payload: { tag: 'last-operation-failed', val } });
  }
}

async function readAt(
  files: FileSystem,
  path: string,
  length: bigint,
  offset: bigint,
): Promise<{ readonly bytes: Uint8Array; readonly end: boolean }> {
  const wanted = Number(length > BigInt(readBytesMax) ? readBytesMax : length);
  const args = { path, offset: Number(offset), length: wanted, encoding: 'base64' };
  const { data, end } = await files.ask<{ readonly data: string; readonly end: boolean }>('fs.read', args);
  return { bytes: Buffer.from(data, 'base64'), end };
}

async function writeAt(
  files: FileSystem,
  path: string,
  data: Uint8Array,
  offset: number,
  mode: 'at' | 'append' = 'at',
): Promise<void> {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
  await files.ask('fs.write', { path, mode, offset, data: text, encoding: 'base64' });
}

/** Stands for a file's identity: FNV-1a of its path, which is the same in every run. */
function hashOf(path: string): { readonly upper: bigint; readonly lower: bigint } {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(path)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return { upper: 0n, lower: hash };
}
