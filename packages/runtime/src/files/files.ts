/**
 * The door to files for whoever performs host calls: operations by name, arguments as JSON, answers as call results.
 *
 * 1. Stateless: a path in, an answer out. An attempt that runs again over its tape needs no descriptor that is still open.
 * 2. Whatever goes wrong with a file is an answer; what is thrown is a defect.
 * 3. At most `fileCallsAtOnceMax` calls are under way, so that a file system that does not answer leaves threads to others.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '@runloop/core';
import type { CallResult } from '../kernel/kernel.ts';
import { fileCallsAtOnceMax, fileReadBytesMax, fileWriteBytesMax } from '../limits.ts';
import { FileFailure, refusedCall, systemFailure } from './file-failure.ts';
import { type FsGrant, grantFor } from './fs-grants.ts';
import { holdsLatent, isLatent } from './latent.ts';
import { neverOpened, openParent, type Reach } from './opener.ts';
import { listDirectory, readPart, statFile } from './read-files.ts';
import {
  type CallState,
  holdIfThere,
  makeDirectoryAt,
  removeFile,
  renameFile,
  type WriteMode,
  writeFile,
  writeModes,
} from './write-files.ts';

export type FilesOptions = {
  /** Directories that no grant covers, besides the kernel's own. */
  readonly never: readonly string[];
  /** Directories that commands are looked for in (PATH). */
  readonly commandDirs: readonly string[];
};

export type FileCall = CallState & { readonly grants: readonly FsGrant[] };

export interface Files {
  perform(op: string, args: JsonValue, call: FileCall): Promise<CallResult>;
  /** Whether the call writes where something may execute it later, or where each write is asked about. */
  leaves(op: string, args: JsonValue, grants: readonly FsGrant[]): Promise<boolean>;
}

export function createFiles(options: FilesOptions): Files {
  const never = neverOpened(options.never);
  const turn = turns(fileCallsAtOnceMax);
  return {
    async perform(op, args, call) {
      await using _turn = await turn();
      try {
        const given = isJsonObject(args) ? args : {};
        return { ok: true, value: await perform({ grants: call.grants, never }, op, given, call) };
      } catch (error) {
        const known = error instanceof FileFailure || typeof (error as { code?: unknown } | null)?.code === 'string';
        if (!known) throw error;
        return refusedCall(systemFailure(error, op));
      }
    },
    async leaves(op, args, grants) {
      if (op === 'fs.stat' || op === 'fs.list' || op === 'fs.read') return false;
      const given = isJsonObject(args) ? args : {};
      const paths = [given['path'], given['from'], given['to']].filter((path) => typeof path === 'string');
      if (paths.some((path) => isLatent(path, options) || grantFor(grants, path)?.ask === true)) return true;
      await using _turn = await turn();
      for (const path of paths) {
        const found = await look({ grants, never }, path);
        if (found === 'executable') return true;
        if (found === 'directory' && op === 'fs.rename' && paths.some((one) => holdsLatent(one, options))) return true;
      }
      return false;
    },
  };
}

function perform(reach: Reach, op: string, args: JsonObject, call: CallState): Promise<JsonValue> {
  const path = text(args, 'path');
  switch (op) {
    case 'fs.stat':
      return statFile(reach, path);
    case 'fs.list':
      return listDirectory(reach, path, text(args, 'after'));
    case 'fs.read': {
      const [offset, length] = [count(args, 'offset', 0), count(args, 'length', fileReadBytesMax)];
      return readPart(reach, { path, offset, length, encoding: encodingOf(args) });
    }
    case 'fs.write': {
      const mode = writeModes.find((one) => one === args['mode']);
      if (mode === undefined)
        throw new FileFailure('invalid', `fs.write: mode must be one of ${writeModes.join(', ')}`);
      const offset = needsOffset(mode) ? count(args, 'offset') : 0;
      return writeFile(reach, { path, mode, offset, data: dataOf(args) }, call);
    }
    case 'fs.mkdir':
      return makeDirectoryAt(reach, path, call);
    case 'fs.remove': {
      const { type } = args;
      if (type !== undefined && type !== 'file' && type !== 'directory')
        throw new FileFailure('invalid', 'fs.remove: type must be "file" or "directory"');
      return removeFile(reach, path, type, call);
    }
    case 'fs.rename':
      return renameFile(reach, text(args, 'from'), text(args, 'to'), call);
    default:
      throw new FileFailure('invalid', `there is no operation ${op}`);
  }
}

const needsOffset = (mode: WriteMode): boolean => mode === 'append' || mode === 'at' || mode === 'truncate';

async function look(reach: Reach, path: string): Promise<'executable' | 'directory' | 'plain' | undefined> {
  const grant = grantFor(reach.grants, path);
  if (grant === undefined || path === grant.path) return undefined;
  try {
    const { directory, name } = await openParent(reach, grant, path);
    await using _directory = directory;
    const held = await holdIfThere(reach, directory, name);
    await using _held = held;
    if (held?.kind === 'directory') return 'directory';
    return held?.kind === 'file' && (held.stat.mode & 0o111n) !== 0n ? 'executable' : 'plain';
  } catch {
    // Whoever performs the call meets the same, and says it.
    return undefined;
  }
}

function text(args: JsonObject, key: string): string {
  const value = args[key];
  return typeof value === 'string' ? value : '';
}

function count(args: JsonObject, key: string, otherwise?: number): number {
  const value = args[key] ?? otherwise;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new FileFailure('invalid', `${key} must be a whole number, 0 or more`);
  return value;
}

function encodingOf(args: JsonObject): 'utf8' | 'base64' {
  const encoding = args['encoding'] ?? 'utf8';
  if (encoding !== 'utf8' && encoding !== 'base64')
    throw new FileFailure('invalid', 'encoding must be "utf8" or "base64"');
  return encoding;
}

function dataOf(args: JsonObject): Buffer {
  const data = args['data'] ?? '';
  if (typeof data !== 'string') throw new FileFailure('invalid', 'data must be a text');
  const encoding = encodingOf(args);
  if (encoding === 'base64' && (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(data)))
    throw new FileFailure('invalid', 'data is no base64');
  const bytes = Buffer.from(data, encoding);
  if (bytes.length > fileWriteBytesMax)
    throw new FileFailure('overflow', `one call writes at most ${fileWriteBytesMax} bytes`);
  return bytes;
}

/** Waits its turn; the next is let in when what this gives is disposed of. */
function turns(most: number): () => Promise<AsyncDisposable> {
  let free = most;
  const waiting: (() => void)[] = [];
  return async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return {
      async [Symbol.asyncDispose]() {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
        await Promise.resolve();
      },
    };
  };
}
