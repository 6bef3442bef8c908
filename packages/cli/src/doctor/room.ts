/**
 * Whether the state directory's file system has room for what the daemon writes: by its numbers, and by writing.
 *
 * A quota and a file system that has become read-only are in no number; a write and its fsync find them.
 */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from './check.ts';

const mib = 2 ** 20;
/** Below the first new runs may soon find no room; below the second they will. */
const freeMibWanted = 1024;
const freeMibNeeded = 64;
const freeFilesNeeded = 1_000;
const probeBytes = 65_536;

/** What `statfs` says; a file system without a number of files says that it has none at all. */
export type Room = {
  readonly bavail: number;
  readonly bsize: number;
  readonly files: number;
  readonly ffree: number;
};

export function roomCheck({ bavail, bsize, files, ffree }: Room): Check {
  const free = Math.floor((bavail * bsize) / mib);
  const says = `${free} MiB are free`;
  const hint = 'make room, or move the state directory (RUNLOOP_HOME): without room nothing new is run';
  if (files > 0 && ffree < freeFilesNeeded)
    return { name: 'disk', state: 'error', says: `${says}, and only ${ffree} more files can be made`, hint };
  if (free < freeMibNeeded) return { name: 'disk', state: 'error', says: `full: ${says}`, hint };
  if (free < freeMibWanted) return { name: 'disk', state: 'warning', says, hint };
  return { name: 'disk', state: 'ok', says };
}

/** What stops a file from being written into `dir`, if something does. */
export function writeCheck(dir: string): Check | undefined {
  const path = join(dir, `.doctor.${process.pid}`);
  try {
    const file = openSync(path, 'wx', 0o600);
    try {
      writeSync(file, Buffer.alloc(probeBytes, 1));
      fsyncSync(file);
    } finally {
      closeSync(file);
      rmSync(path, { force: true });
    }
    return undefined;
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    const hint = full ? 'make room: nothing new is run until there is' : 'nothing can be run until it can be written';
    return { name: 'disk', state: 'error', says: `a file in ${dir} could not be written: ${code}`, hint };
  }
}
