/**
 * A bundle's archive into one folder that is empty: files of bounded number and size under plain names, or nothing.
 *
 * 1. Streamed: what the headers claim is never believed, what comes out is counted.
 * 2. Only regular files and folders. A name is relative, plain, and differs from every other one by more than case,
 *    Unicode form or compatibility form. No attribute of an entry is taken over: no owner, no mode, no time.
 * 3. The archive ends where its data end: nothing is cut off, nothing follows.
 *
 * Runs in the builder process alone, which may write that folder and nothing else.
 */
import { closeSync, createReadStream, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Header, extract } from 'tar-stream';
import { showLine } from '@runloop/core';
import type { BuilderAnswer, UnpackJob } from '../builder-job.ts';
import {
  archiveEntryOverheadBytes,
  archivePathBytesMax,
  archiveSegmentBytesMax,
  bundleBytesMax,
  bundleFilesMax,
} from '../limits.ts';

class Refused extends Error {}

export async function unpackArchive(job: UnpackJob): Promise<BuilderAnswer> {
  try {
    await unpack(job);
    return { ok: true };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ok: false, code: 'InvalidBundle', message: `the archive was refused: ${why}` };
  }
}

async function unpack({ archive, outDir }: UnpackJob): Promise<void> {
  const names = new Names();
  const entries = extract();
  const gunzip = createGunzip();
  let problem: Error | undefined;
  const stop = (error: Error): void => {
    problem ??= error;
    entries.destroy(problem);
  };
  let bytes = 0;
  entries.on('entry', (header, stream, next) => {
    stream.on('error', () => undefined);
    // Before anything of it is written; what follows in the stream is then never read.
    const path = attempt(stop, () => names.accept(header));
    if (path === undefined) return;
    const out = join(outDir, path);
    if (header.type === 'directory') mkdirSync(out, { recursive: true });
    else mkdirSync(dirname(out), { recursive: true });
    const file = header.type === 'file' ? openSync(out, 'wx', 0o600) : undefined;
    stream.on('data', (chunk: unknown) => {
      if (!(chunk instanceof Uint8Array)) return;
      bytes += chunk.length;
      if (bytes > bundleBytesMax) stop(new Refused(`its files have more than ${bundleBytesMax} bytes`));
      else if (file !== undefined) writeSync(file, chunk);
    });
    stream.on('end', () => {
      if (file !== undefined) closeSync(file);
      next();
    });
    stream.resume();
  });
  try {
    await pipeline(createReadStream(archive), gunzip, bounded(), entries);
  } catch (error) {
    throw problem ?? error;
  }
  if (problem !== undefined) throw problem;
  if (names.files === 0) throw new Refused('it holds no file');
  if (gunzip.bytesWritten !== statSync(archive).size) throw new Refused('something follows the end of its data');
}

function attempt<T>(stop: (error: Error) => void, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    stop(error instanceof Error ? error : new Error(String(error)));
    return undefined;
  }
}

/** Passes what comes out of gzip on, up to what files and headers may take together. */
function bounded(): Transform {
  const most = bundleBytesMax + bundleFilesMax * archiveEntryOverheadBytes;
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      if (bytes > most) done(new Refused(`it has more than ${most} bytes when unpacked`));
      else done(null, chunk);
    },
  });
}

/** Extended attributes that change nothing of what is unpacked. */
const harmlessAttributes: ReadonlySet<string> = new Set(['path', 'mtime', 'atime', 'ctime']);

/** The names that were seen, as a file system would tell them apart that knows neither case nor Unicode forms. */
class Names {
  readonly #seen = new Map<string, { readonly name: string; readonly type: 'file' | 'directory' }>();
  #entries = 0;
  files = 0;

  /** The entry's path, `.` for the folder itself; throws where it may not be. */
  accept(header: Header): string {
    this.#entries += 1;
    if (this.#entries > bundleFilesMax) throw new Refused(`it has more than ${bundleFilesMax} entries`);
    const shown = `"${showLine(header.name).slice(0, 100)}"`;
    const { type } = header;
    if (type !== 'file' && type !== 'directory') throw new Refused(`${shown} is a ${type ?? 'special file'}`);
    if (type === 'directory' && header.size !== 0) throw new Refused(`the folder ${shown} has content`);
    const odd = Object.keys(header.pax ?? {}).find((key) => !harmlessAttributes.has(key));
    if (odd !== undefined) throw new Refused(`${shown} has the attribute ${showLine(odd).slice(0, 60)}`);
    const path = plainPath(header.name, shown, type);
    if (path === '.') return path;
    const segments = path.split('/');
    for (const at of segments.keys()) {
      const last = at === segments.length - 1;
      this.#take(segments.slice(0, at + 1).join('/'), last ? type : 'directory', last, shown);
    }
    if (type === 'file') this.files += 1;
    return path;
  }

  #take(path: string, type: 'file' | 'directory', isEntry: boolean, shown: string): void {
    const key = path.normalize('NFKC').toLowerCase().normalize('NFKC');
    const seen = this.#seen.get(key);
    this.#seen.set(key, { name: path, type });
    if (seen === undefined) return;
    if (seen.name !== path) throw new Refused(`${shown} differs from another entry by spelling alone`);
    if (seen.type !== type) throw new Refused(`${shown} is a file and a folder`);
    if (isEntry && type === 'file') throw new Refused(`${shown} is there twice`);
  }
}

function plainPath(name: string, shown: string, type: 'file' | 'directory'): string {
  const path = (type === 'directory' ? name.replace(/\/$/, '') : name).replace(/^\.\//, '');
  if (path.startsWith('/')) throw new Refused(`${shown} is an absolute path`);
  // What is no UTF-8 was read as U+FFFD.
  if (/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\\\ufffd]/u.test(path))
    throw new Refused(`${shown} holds a character that no name may`);
  if (Buffer.byteLength(path) > archivePathBytesMax)
    throw new Refused(`${shown} has more than ${archivePathBytesMax} bytes`);
  if (type === 'directory' && (path === '' || path === '.')) return '.';
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.' || segment === '..')
      throw new Refused(`${shown} leaves its folder or is no plain path`);
    if (Buffer.byteLength(segment) > archiveSegmentBytesMax)
      throw new Refused(`a part of ${shown} has more than ${archiveSegmentBytesMax} bytes`);
  }
  return path;
}
