/**
 * Names of the openings that lie in the search directories.
 */
import { readdir } from 'node:fs/promises';

export async function openingNames(dirs: readonly string[]): Promise<string[]> {
  const names = new Set<string>();
  for (const dir of dirs) {
    for (const entry of await readdir(dir).catch(() => []))
      if (entry.endsWith('.yaml')) names.add(entry.slice(0, -'.yaml'.length));
  }
  return [...names].sort();
}
