/**
 * Blobs that are files: which of them hold one of the values. Reads each in pieces that overlap.
 */
import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { isDigest } from '@runloop/core';
import type { Needles } from './needles.ts';

const pieceBytes = 1024 * 1024;
/** More than any needle has in any of its forms. */
const overlapBytes = 64 * 1024;

export function blobFile(blobsDir: string, digest: string): string {
  return join(blobsDir, digest.slice(0, 2), digest.slice(2));
}

/** The digests of all blobs that are files. */
export function blobFiles(blobsDir: string): readonly string[] {
  if (!existsSync(blobsDir)) return [];
  return readdirSync(blobsDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => readdirSync(join(blobsDir, name)).map((rest) => name + rest))
    .filter(isDigest);
}

/** Those of the files that hold one of the values. */
export function filesHolding(blobsDir: string, digests: readonly string[], needles: Needles): ReadonlySet<string> {
  if (needles.values.length === 0) return new Set();
  return new Set(digests.filter((digest) => fileHolds(blobFile(blobsDir, digest), needles)));
}

export function isBlobFile(blobsDir: string, digest: string): boolean {
  return existsSync(blobFile(blobsDir, digest));
}

function fileHolds(path: string, needles: Needles): boolean {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(pieceBytes + overlapBytes);
    let kept = 0;
    for (;;) {
      const read = readSync(file, buffer, kept, pieceBytes, null);
      if (read === 0) return false;
      const piece = buffer.subarray(0, kept + read);
      if (needles.has(piece.toString())) return true;
      kept = Math.min(overlapBytes, piece.length);
      buffer.copyWithin(0, piece.length - kept, piece.length);
    }
  } finally {
    closeSync(file);
  }
}
