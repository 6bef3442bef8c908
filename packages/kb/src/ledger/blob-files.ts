/**
 * Where blobs that are files stand: `ab/cdef…` below their folder. No link is one, and nothing of another name.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDigest } from '@runloop/core';
import { isPlainFile } from '../inode.ts';

export function blobFile(blobsDir: string, digest: string): string {
  return join(blobsDir, digest.slice(0, 2), digest.slice(2));
}

export function isBlobFile(blobsDir: string, digest: string): boolean {
  return isPlainFile(blobFile(blobsDir, digest));
}

/** The digests of all of them; none where there is no folder. */
export function blobFiles(blobsDir: string): readonly string[] {
  return named(blobsDir).filter((digest) => isBlobFile(blobsDir, digest));
}

/** Digests in whose places something else stands: a link, a pipe, a folder. */
export function notBlobFiles(blobsDir: string): readonly string[] {
  return named(blobsDir).filter((digest) => !isBlobFile(blobsDir, digest));
}

function named(blobsDir: string): readonly string[] {
  if (!existsSync(blobsDir)) return [];
  return readdirSync(blobsDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^[0-9a-f]{2}$/.test(entry.name))
    .flatMap(({ name }) => readdirSync(join(blobsDir, name)).map((rest) => name + rest))
    .filter(isDigest);
}
