/** A disk that is full in the middle of long work: what is said, and that the same again ends it once there is room. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Failure, type Result, digestBytes, err, failure, ok, unwrap } from '@runloop/core';
import { expect, test, vi } from 'vitest';
import type { Kb } from '../src/index.ts';
import { by, fill, holding, operator, personal } from './forget-kit.ts';
import { draft, isSound, letters, open, runEvent, type TempDir, tempDir, trace } from './kb-kit.ts';

const diskBytes = 12 * 1024 * 1024;
const noise = (n: number, bytes: number): string => {
  let text = '';
  for (let i = n; text.length < bytes; i += 1) text += digestBytes(Buffer.from(String(i)));
  return text;
};

/** A disk of its own, small; undefined where none can be mounted. */
function mounted(): TempDir | undefined {
  const dir = tempDir();
  const path = join(dir.path, 'disk');
  mkdirSync(path);
  const done = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', path]);
  if (done.status !== 0) {
    dir[Symbol.dispose]();
    return undefined;
  }
  return {
    path,
    [Symbol.dispose]() {
      execFileSync('umount', ['-l', path]);
      dir[Symbol.dispose]();
    },
  };
}

/** Leaves so many bytes of the disk. */
function leave(disk: string, bytes: number): void {
  const path = join(disk, 'others');
  rmSync(path, { force: true });
  const file = openSync(path, 'w');
  const piece = Buffer.alloc(64 * 1024);
  try {
    for (;;) writeSync(file, piece);
  } catch {
    closeSync(file);
  }
  truncateSync(path, Math.max(0, statSync(path).size - bytes));
}

const everything = [...personal, 'fond of the coast'];

type Work = (kb: Kb, dir: string) => Promise<Result<unknown, Failure>>;

/** Each, with what it must leave behind once it has succeeded. */
const works: { readonly [name: string]: { readonly work: Work; readonly done: (kb: Kb, dir: string) => unknown } } = {
  forget: {
    work: async (kb) => {
      const said = await kb.forget('contact:jane', by);
      return !said.ok && said.error.code === 'NotFound' ? ok(undefined) : said;
    },
    done: (_, dir) => expect(holding(dir, everything)).toEqual([]),
  },
  archive: {
    work: (kb) => kb.archive(5_000),
    done: async (kb) => expect(unwrap(await kb.stats(), 'stats').blob_files).toBe(0),
  },
  backup: {
    work: (kb, dir) => kb.backup(join(dir, 'backup'), by),
    done: (_, dir) => expect(readdirSync(join(dir, 'backup'))).toContain('backup.json'),
  },
  vacuum: { work: (kb) => kb.vacuum(), done: () => undefined },
  import: {
    work: async (kb) => {
      const delta = (n: number) => ({ kind: 'note.created', payload: { text: noise(n, 8_000) }, dedupe_key: `${n}` });
      const said = await Promise.all(Array.from({ length: 80 }, (_, n) => kb.propose(delta(n), operator)));
      return said.find((one) => !one.ok) ?? ok(undefined);
    },
    done: async (kb) => expect(unwrap(await kb.stats(), 'stats').rows['notes']).toBe(82),
  },
  reembed: {
    work: async (kb) => {
      const begun = await kb.reembed(true);
      if (!begun.ok) return begun;
      const ended = await vi.waitFor(async () => {
        const told = await kb.reembed(false);
        expect(told).not.toMatchObject({ ok: true, value: { running: true } });
        return told;
      }, 60_000);
      if (!ended.ok || ended.value.problem === undefined) return ended;
      return err(failure('StorageFull', ended.value.problem, { hint: 'Free some space' }));
    },
    done: async (kb) => expect(unwrap(await kb.reembed(false), 'a status')).toMatchObject({ missing: 0 }),
  },
};

test.each(Object.keys(works))('%s', { timeout: 120_000 }, async (name) => {
  using disk = mounted();
  if (disk === undefined) return console.log('skipped: no disk can be mounted here');
  const dir = join(disk.path, 'kb');
  const { work, done } = works[name] as (typeof works)[string];
  const embedder = { id: 'letters', embed: (texts: readonly string[]) => Promise.resolve(ok(texts.map(letters))) };
  await using kb = await open(dir, name === 'reembed' ? { embedder } : {});
  await fill(kb);
  // Of an old run: values in the ledger and in a file.
  const values = Array.from({ length: 40 }, (_, n) => Buffer.from(noise(n * 1_000, 30_000)));
  const large = unwrap(await kb.putBlob(Buffer.from(noise(-9_000, 300_000))), 'a large one');
  const blobs = values.map((content) => ({ digest: digestBytes(content), content }));
  unwrap(
    await kb.append(
      [
        runEvent('run.accepted', { name: 'r', params: {} }, 1),
        runEvent('effect.result', { node: 'n', values: [large, ...blobs.map(({ digest }) => digest)] }),
        runEvent('run.finished', { state: 'succeeded' }, 2),
      ],
      blobs,
    ),
    'a run',
  );
  unwrap(await kb.stats(), 'views that have caught up');
  let full = 0;
  for (const bytes of [0, 150_000]) {
    leave(disk.path, bytes);
    const said = await work(kb, dir);
    full += said.ok ? 0 : 1;
    if (!said.ok)
      expect(said.error).toMatchObject({
        code: 'StorageFull',
        message: expect.stringMatching(/^[^ ]*\/kb\/|^.* erased, but not yet from every file: \//),
        hint: expect.stringContaining('Free some space'),
      });
    // Whatever it said: what was acknowledged is there, and is read.
    expect(unwrap(await kb.runEvents({ traceId: trace, max: 9 }), 'a run').events).toHaveLength(3);
    for (const digest of [large, blobs[7]?.digest ?? '']) unwrap(await kb.getBlob(digest), 'a value');
  }
  expect(full).toBeGreaterThan(0);
  rmSync(join(disk.path, 'others'));
  unwrap(await work(kb, dir), 'the same again');
  await done(kb, dir);
  unwrap(await kb.append([draft()]), 'an append');
  expect(await isSound(dir)).toBe(true);
  expect(unwrap(await kb.rebuild(), 'rebuilt').equal).toBe(true);
});
