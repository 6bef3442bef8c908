/**
 * Puts the files of a new agent in their place: written aside, then renamed, so that all of them are there or none.
 */
import { lstat, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { err, type Failure, failure, ok, type Result } from '@runloop/core';
import type { Files } from './files.ts';

/** `replace`: what lies there is moved to `<dir>.old`. */
export async function placeFiles(
  dir: string,
  files: Files,
  replace: boolean,
): Promise<Result<{ readonly moved?: string }, Failure>> {
  const there = await exists(dir);
  const moved = `${dir}.old`;
  if (there && !replace)
    return err(failure('Conflict', `${dir} is there already`, { hint: `--force moves it to ${moved}` }));
  if (there && (await exists(moved)))
    return err(failure('Conflict', `${moved} is there already`, { hint: 'move it away first' }));
  let aside: string | undefined;
  try {
    await mkdir(dirname(dir), { recursive: true });
    aside = await mkdtemp(join(dirname(dir), '.scaffold-'));
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(aside, 'new', path)), { recursive: true });
      await writeFile(join(aside, 'new', path), text);
    }
    if (there) await rename(dir, moved);
    await rename(join(aside, 'new'), dir);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return err(failure('StorageFailed', `${dir} cannot be made: ${why}`));
  } finally {
    if (aside !== undefined) await rm(aside, { recursive: true, force: true });
  }
  return ok(there ? { moved } : {});
}

function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
