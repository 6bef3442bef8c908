/**
 * Blobs that are files: which of them hold one of the values. Reads each in pieces that overlap.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { blobFile } from '../ledger/blob-files.ts';
import type { Needles } from './needles.ts';

const pieceBytes = 1024 * 1024;
/** More than any needle has in any of its forms. */
const overlapBytes = 64 * 1024;

/** Those of the files that hold one of the values. */
export function filesHolding(blobsDir: string, digests: readonly string[], needles: Needles): ReadonlySet<string> {
  if (needles.values.length === 0) return new Set();
  return new Set(digests.filter((digest) => fileHolds(blobFile(blobsDir, digest), needles)));
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
