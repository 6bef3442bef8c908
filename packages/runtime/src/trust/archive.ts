/**
 * A bundle as one file: `<name>-<version>.tgz`.
 *
 * 1. The same bundle gives the same bytes: files in order of their names, without owner, time or mode of their own.
 * 2. It holds what is signed, the list and the signature, and nothing else.
 *
 * Unpacking is the builder's (builder/unpack.ts): an archive comes from anybody.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { type Clock, type Failure, type Result, err, failure, ok } from '@runloop/core';
import { type Bundle, bundleFiles, fileListName, signatureName } from '../bundle.ts';
import { runBuilder } from '../builder.ts';
import { bareLauncher, bubblewrap } from '../launcher.ts';

/** The archive of a bundle that was loaded, and the name to give it. */
export async function packBundle(bundle: Bundle): Promise<Result<{ name: string; bytes: Uint8Array }, Failure>> {
  const files = await bundleFiles(bundle.dir);
  if (!files.ok) return files;
  const all = new Map(files.value);
  try {
    for (const name of [fileListName, signatureName]) all.set(name, await readFile(join(bundle.dir, name)));
    // Loaded for whoever packs: a daemon that starts has no use for it.
    const { pack } = await import('tar-stream');
    const archive = pack();
    for (const [name, bytes] of [...all].sort(([a], [b]) => (a < b ? -1 : 1)))
      archive.entry({ name, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 }, Buffer.from(bytes));
    archive.finalize();
    // Node writes gzip's header without a time; its system byte is that of the machine.
    const bytes = await buffer(archive.pipe(createGzip({ level: 9 })));
    bytes[9] = 255;
    return ok({ name: `${bundle.name}-${bundle.version}.tgz`, bytes });
  } catch (error) {
    return err(failure('StorageFailed', `bundle ${bundle.dir} cannot be packed: ${String(error)}`));
  }
}

/**
 * Unpacks `archive` into `outDir`, an empty folder, in a builder process that may write there and nowhere else: in
 * bubblewrap where it runs here, under Node's permission model everywhere.
 */
export async function unpackBundle(
  deps: { readonly clock: Clock },
  archive: string,
  outDir: string,
): Promise<Result<void, Failure>> {
  const confined = bubblewrap(deps, '/usr/bin/bwrap');
  const launcher = (await confined.refusal()) === undefined ? confined : bareLauncher;
  const done = await runBuilder(deps, { type: 'unpack', archive, outDir }, launcher);
  return done.ok ? ok(undefined) : err({ ...done.error, message: `${archive}: ${done.error.message}` });
}
