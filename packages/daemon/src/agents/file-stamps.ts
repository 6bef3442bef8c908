/**
 * Whether files are still those that were read: their paths, inodes, sizes and times, as one text.
 *
 * 1. A change of any file under the folder changes the text: the kernel sets `ctime`, and no owner of a file can set it back.
 * 2. Files that changed within `settleMs` have no stamp, for another change might fall into the same tick of the clock.
 */
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Coarser than any file system's clock that an agent would be kept on. */
export const settleMs = 2000;
const filesMax = 4096;

/** The stamp of everything under `folder` but installed packages; undefined where there is none. */
export async function stampOf(folder: string, nowMs: number): Promise<string | undefined> {
  const files: Promise<readonly [path: string, status: Stats]>[] = [];
  const visit = async (folder: string): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true });
    const inner: Promise<void>[] = [];
    for (const entry of entries) {
      if (entry.name === 'node_modules') continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) inner.push(visit(path));
      else if (files.length < filesMax) files.push(lstat(path).then((status) => [path, status]));
      else throw new Error('more files than an agent has');
    }
    await Promise.all(inner);
  };
  try {
    await visit(folder);
    const seen = await Promise.all(files);
    let youngest = 0;
    const lines = seen.map(([path, { ino, size, mode, mtimeMs, ctimeMs }]) => {
      youngest = Math.max(youngest, ctimeMs);
      return `${path} ${ino} ${size} ${mode} ${mtimeMs} ${ctimeMs}`;
    });
    return youngest + settleMs > nowMs ? undefined : lines.sort().join('\n');
  } catch {
    // Gone or unreadable: whoever loads it says so.
    await Promise.allSettled(files);
    return undefined;
  }
}
