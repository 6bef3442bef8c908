/**
 * A thread that writes one backup: the ledger as it stands at one moment, whoever is writing to it, and its blob files.
 *
 * 1. Blobs are on disk before the events that name them: whatever the copied ledger names is there to be copied.
 * 2. `backup.json` comes last, and everything before it is on disk: a backup that has it is whole. One that fails is removed.
 */
import { chmodSync, copyFileSync, existsSync, readdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { copyLedger } from '../ledger/copy-ledger.ts';
import { ledgerVersion } from '../ledger/ledger-schema.ts';
import { tell } from '../progress.ts';
import { blobFile } from '../ledger/blob-files.ts';
import { storageFailure } from '../storage-failure.ts';
import type { Answer, Question } from '../thread.ts';
import { type BackingUp, type BackupData, markBackup, unmarkBackup } from './backup.ts';
import { copyBlobFiles, makeFolder, sync } from './copy-files.ts';
import { type BackupManifest, manifestFile, removeBackup } from './manifest.ts';

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');
const { rootDir, eventsDb, counts } = workerData as BackupData;

function backup(making: BackingUp): Result<BackupManifest, Failure> {
  const { into } = making;
  try {
    if (existsSync(into) && readdirSync(into).length > 0)
      return err(failure('Conflict', `${into} is there already and not empty`, { hint: 'name another folder' }));
    const [owned = ''] = relative(realpathSync(rootDir), placeOf(into)).split(sep);
    if (/^(?:blobs|restoring|before-.*)$/.test(owned))
      return err(
        failure('InvalidParams', `${into} is where the ledger keeps its own files`, { hint: 'name another folder' }),
      );
    makeFolder(into);
    markBackup(rootDir, making);
    const made = write(making);
    // One that is not whole holds what may be forgotten later, and stands in the way of the next.
    if (!made.ok) {
      removeBackup(into);
      unmarkBackup(rootDir);
    }
    return made;
  } catch (error) {
    return err(storageFailure(error, into));
  }
}

function write({ into, made_ms }: BackingUp): Result<BackupManifest, Failure> {
  try {
    // Heads first: the copied ledger then has each of them.
    if (existsSync(join(rootDir, 'heads.ndjson')))
      copyFileSync(join(rootDir, 'heads.ndjson'), join(into, 'heads.ndjson'));
    const ledger = join(into, 'events.sqlite');
    for (const [source, copy] of [
      [eventsDb, ledger],
      [join(rootDir, 'archive.sqlite'), join(into, 'archive.sqlite')],
    ] as const) {
      const copied = copyLedger(source, copy);
      if (!copied.ok) return copied;
      if (existsSync(copy)) chmodSync(copy, 0o600);
    }
    const files = copyBlobFiles(join(rootDir, 'blobs'), join(into, 'blobs'), (copied, all) =>
      tell(counts, copied, all),
    );
    const bytes = files.reduce((sum, digest) => sum + statSync(blobFile(join(into, 'blobs'), digest)).size, 0);
    const manifest: BackupManifest = {
      version: 1,
      made_ms,
      ledger_version: ledgerVersion,
      ...headOf(ledger),
      blobs: files.length,
      bytes: bytes + statSync(ledger).size,
    };
    for (const path of [ledger, join(into, 'blobs')]) sync(path);
    writeFileSync(join(into, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true });
    for (const path of [into, dirname(into)]) sync(path);
    return ok(manifest);
  } catch (error) {
    return err(storageFailure(error, into));
  }
}

/** Where the folder is, or will be, without links. */
function placeOf(path: string): string {
  return existsSync(path) || dirname(path) === path ? realpathSync(path) : join(placeOf(dirname(path)), basename(path));
}

function headOf(path: string): Pick<BackupManifest, 'events' | 'chain'> {
  const db = new Database(path, { readonly: true });
  try {
    const row = db
      .prepare<[], { id: number; chain: string }>(
        'SELECT id, lower(hex(chain_blake3)) AS chain FROM events ORDER BY id DESC LIMIT 1',
      )
      .get();
    return { events: row?.id ?? 0, chain: row?.chain ?? '0'.repeat(64) };
  } finally {
    db.close();
  }
}

port.on('message', (message: 'close' | Question<BackingUp>) => {
  if (message === 'close') return port.close();
  port.postMessage({ n: message.n, answer: backup(message.question) } satisfies Answer);
});
