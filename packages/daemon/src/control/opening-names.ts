/**
 * The openings that lie in the search directories, by name.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openingFiles, openingNameOf } from '@runloop/openings';

export async function openingNames(dirs: readonly string[]): Promise<string[]> {
  const names = new Set<string>();
  for (const dir of dirs) {
    for (const entry of await readdir(dir).catch(() => [])) {
      const name = openingNameOf(entry);
      if (name !== undefined) names.add(name);
    }
  }
  return [...names].sort();
}

export async function findOpening(
  dirs: readonly string[],
  name: string,
): Promise<{ readonly file: string; readonly text: string } | undefined> {
  for (const path of dirs.flatMap((dir) => openingFiles(name).map((file) => join(dir, file)))) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return { file: path, text };
  }
  return undefined;
}
