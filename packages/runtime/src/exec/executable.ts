/**
 * The digest of a program: what an approval of a command shows, and what must still be there when the command runs.
 */
import { readFile } from 'node:fs/promises';
import { digestLarge } from '@runloop/core';

/** BLAKE3 of the file that the path leads to, or what is wrong with it. */
export async function executableDigest(path: string): Promise<string> {
  try {
    return await digestLarge(await readFile(path));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}
