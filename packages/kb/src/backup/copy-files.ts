/**
 * Copying the files of a backup, there and back: each is on disk, and its owner's alone, when it is copied.
 *
 * Of `blobs/` only what has a blob's place and name is copied, and no link is followed.
 */
import { chmodSync, closeSync, copyFileSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { blobFile, blobFiles } from '../ledger/blob-files.ts';

export function copyDurably(from: string, into: string): void {
  copyFileSync(from, into);
  chmodSync(into, 0o600);
  sync(into);
}

export function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes the folder and those above it. Node's own way never ends below a folder that takes none, such as /proc. */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

export function copyBlobFiles(
  from: string,
  into: string,
  each: (copied: number, all: number) => void = () => undefined,
): readonly string[] {
  const digests = blobFiles(from);
  makeFolder(into);
  for (const [i, digest] of digests.entries()) {
    makeFolder(join(into, digest.slice(0, 2)));
    copyDurably(blobFile(from, digest), blobFile(into, digest));
    each(i + 1, digests.length);
  }
  return digests;
}
