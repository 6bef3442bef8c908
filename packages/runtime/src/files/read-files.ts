/** Looks at files, lists directories and reads, through the opener alone. */
import { opendir } from 'node:fs/promises';
import type { JsonValue } from '@runloop/core';
import { directoryEntriesMax, filePageMax, fileReadBytesMax } from '../limits.ts';
import { FileFailure, systemFailure } from './file-failure.ts';
import {
  coveringGrant,
  holdEntry,
  openDirectory,
  openFile,
  openParent,
  type Reach,
  refuseUnlessPlain,
} from './opener.ts';

export async function statFile(reach: Reach, path: string): Promise<JsonValue> {
  const grant = coveringGrant(reach, path, false);
  if (path === grant.path) {
    await using directory = await openDirectory(reach, grant, path);
    return { type: 'directory', bytes: 0, mtime_ms: await directory.mtimeMs() };
  }
  const { directory, name } = await openParent(reach, grant, path);
  await using _directory = directory;
  await using held = await holdEntry(reach, directory, name);
  refuseUnlessPlain(held, path);
  const { kind, stat } = held;
  return { type: kind, bytes: kind === 'file' ? Number(stat.size) : 0, mtime_ms: Number(stat.mtimeMs) };
}

/** A page of names in the order of their code units; names that are no UTF-8 are counted and left out. */
export async function listDirectory(reach: Reach, path: string, after: string): Promise<JsonValue> {
  const grant = coveringGrant(reach, path, false);
  await using directory = await openDirectory(reach, grant, path);
  const entries: { name: string; type: string }[] = [];
  let seen = 0;
  let unnameable = 0;
  try {
    // Buffers: a name that is no UTF-8 would otherwise come back as the name of another file.
    const options = { encoding: 'buffer', bufferSize: 256 } as unknown as { encoding: BufferEncoding };
    for await (const entry of await opendir(directory.itself, options)) {
      seen += 1;
      if (seen > directoryEntriesMax)
        throw new FileFailure('overflow', `${path} holds more than ${directoryEntriesMax} entries`);
      const bytes = entry.name as unknown as Buffer;
      const name = bytes.toString('utf8');
      if (!Buffer.from(name, 'utf8').equals(bytes)) unnameable += 1;
      else if (name > after) entries.push({ name, type: typeOf(entry) });
    }
  } catch (error) {
    throw systemFailure(error, path);
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { entries: entries.slice(0, filePageMax), more: entries.length > filePageMax, unnameable };
}

function typeOf(entry: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): string {
  return entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'link' : 'other';
}

export type ReadRequest = {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  readonly encoding: 'utf8' | 'base64';
};

export async function readPart(reach: Reach, { path, offset, length, encoding }: ReadRequest): Promise<JsonValue> {
  const grant = coveringGrant(reach, path, false);
  const { directory, name } = await openParent(reach, grant, path);
  await using _directory = directory;
  await using file = await openFile(reach, directory, name, 'read');
  const buffer = Buffer.allocUnsafe(Math.min(length, fileReadBytesMax));
  let count = 0;
  try {
    while (count < buffer.length) {
      const { bytesRead } = await file.read(buffer, count, buffer.length - count, offset + count);
      if (bytesRead === 0) break;
      count += bytesRead;
    }
    const { size } = await file.stat();
    const bytes = encoding === 'utf8' ? wholeCharacters(buffer.subarray(0, count)) : buffer.subarray(0, count);
    const data = encoding === 'utf8' ? decode(bytes, path) : bytes.toString('base64');
    return { data, bytes: bytes.length, size, end: offset + bytes.length >= size };
  } catch (error) {
    throw systemFailure(error, path);
  }
}

/** Without the first bytes of a character that goes on after the end. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes;
    if (byte >= 0xc0) {
      const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needs > back && bytes.length > back ? bytes.subarray(0, bytes.length - back) : bytes;
    }
  }
  return bytes;
}

function decode(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FileFailure('illegal-byte-sequence', `${path} is no UTF-8 text there: read it with encoding "base64"`);
  }
}
