/**
 * Whether a file is still the one that was opened.
 */
import { statSync } from 'node:fs';

/** What stands at a path: another number once somebody has removed or replaced the file; nothing where there is none. */
export function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
