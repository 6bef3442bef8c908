/**
 * What outlives a loss of power: files, folders and names that were made durable, in this order, before anybody relies on
 * them. A rename alone is atomic for whoever looks, and may still be forgotten, or come before what it names.
 */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Every file and folder of `dir`, itself the last. */
export async function syncTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncTree(join(dir, entry.name));
    else await sync(join(dir, entry.name));
  }
  await sync(dir);
}

/** A file's bytes, or a folder's names. */
export async function sync(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}
