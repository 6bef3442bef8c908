/**
 * What stands at a path: whether it is still the file that was opened, and whether it is a file at all.
 */
import { lstatSync, statSync } from 'node:fs';

/** What stands at a path: another number once somebody has removed or replaced the file; nothing where there is none. */
export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Neither a link nor a pipe, a device or a folder: who reads those may wait for ever, or read without end. */
export function isPlainFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
