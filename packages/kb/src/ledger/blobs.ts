/**
 * Blobs that are too large for the ledger, one file each, named by its BLAKE3: `blobs/ab/cdef…`.
 *
 * 1. A blob is on disk, with its directory entry, before its digest is answered; a crash leaves no half file under its name,
 *    and what it leaves of a draft goes at the next opening.
 * 2. What is read is checked against its name. 3. Large ones are hashed off the main thread, by the function given.
 * 4. Who removes a file in this process watches what is put meanwhile: who puts bytes that are there keeps the file.
 */
import { constants, mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Digest, type Failure, type Random, type Result, err, failure, isDigest, ok, toHex } from '@runloop/core';
import { archivedSize, readArchived } from '../archive/archive.ts';
import { blobMismatch } from './ledger-blobs.ts';
import { blobBytesMax } from '../limits.ts';
import { isPlainFile } from '../inode.ts';
import { storageFailure } from '../storage-failure.ts';

export interface Blobs {
  put(bytes: Uint8Array): Promise<Result<Digest, Failure>>;
  get(digest: string): Promise<Result<Uint8Array, Failure>>;
  /** How many bytes a blob has; undefined where there is none. */
  size(digest: string): Promise<number | undefined>;
  /** What is put from now on, for who removes files: it may have been answered that one of them is there. */
  watchPuts(): Disposable & { readonly has: (digest: string) => boolean };
}

export type DigestOf = (bytes: Uint8Array) => Promise<Result<Digest, Failure>>;

const draftPrefix = 'draft-';

/** Without `durable` nothing waits for the disk: for simulations. */
export function createBlobs(
  deps: { readonly random: Random; readonly digestOf: DigestOf },
  rootDir: string,
  durable = true,
): Blobs {
  const folder = join(rootDir, 'blobs');
  const watching = new Set<Set<string>>();
  const place = (digest: string): { dir: string; path: string } => {
    const dir = join(folder, digest.slice(0, 2));
    return { dir, path: join(dir, digest.slice(2)) };
  };
  const checked = async (digest: Digest, bytes: Uint8Array): Promise<Result<Uint8Array, Failure>> => {
    const found = await deps.digestOf(bytes);
    if (!found.ok) return found;
    return found.value === digest ? ok(bytes) : err(blobMismatch(digest));
  };
  return {
    async put(bytes) {
      if (bytes.length > blobBytesMax) {
        return err(
          failure('LimitExceeded', `a blob of ${bytes.length} bytes is over the ${blobBytesMax} that one may have`),
        );
      }
      const digest = await deps.digestOf(bytes);
      if (!digest.ok) return digest;
      for (const puts of watching) puts.add(digest.value);
      const { dir, path } = place(digest.value);
      try {
        if (durable) await writeOnce(join(folder, `${draftPrefix}${toHex(deps.random.bytes(8))}`), dir, path, bytes);
        else {
          mkdirSync(dir, { recursive: true });
          writeFileSync(path, bytes);
        }
        return digest;
      } catch (error) {
        return err(storageFailure(error, path));
      }
    },
    async get(digest) {
      if (!isDigest(digest)) return err(failure('NotFound', `"${digest}" is not a digest (64 hex digits)`));
      const { path } = place(digest);
      try {
        const bytes = (await readPlain(path)) ?? readArchived(rootDir, digest);
        return bytes === undefined ? err(failure('NotFound', `there is no blob ${digest}`)) : checked(digest, bytes);
      } catch (error) {
        return err(storageFailure(error, path));
      }
    },
    async size(digest) {
      if (!isDigest(digest)) return undefined;
      const { path } = place(digest);
      try {
        return isPlainFile(path) ? (await stat(path)).size : archivedSize(rootDir, digest);
      } catch {
        // Why, is told to who reads it.
        return undefined;
      }
    },
    watchPuts() {
      const puts = new Set<string>();
      watching.add(puts);
      return { has: (digest) => puts.has(digest), [Symbol.dispose]: () => void watching.delete(puts) };
    },
  };
}

/** Removes what a crash has left of blobs that were being written. Needs the lock: nobody writes. */
export async function dropDrafts(rootDir: string): Promise<void> {
  const folder = join(rootDir, 'blobs');
  for (const name of await readdir(folder))
    if (name.startsWith(draftPrefix)) await rm(join(folder, name), { force: true });
}

/** Nothing where there is no plain file: no link is followed, and no pipe waited for. */
async function readPlain(path: string): Promise<Uint8Array | undefined> {
  if (!isPlainFile(path)) return undefined;
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return file.readFile();
}

/** Writes a draft and gives it its name, unless the file is there already, with these bytes. */
async function writeOnce(draft: string, dir: string, path: string, bytes: Uint8Array): Promise<void> {
  const there = await readPlain(path);
  if (there !== undefined && Buffer.compare(there, bytes) === 0) return;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  try {
    await writeDurably(draft, bytes);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dir);
  await syncFolder(dirname(dir));
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(bytes);
  await file.sync();
}

async function syncFolder(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}
