/** Vectors: like with like, made once, kept through kills and rebuilds, gone when their text is. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { err, failure, ok, unwrap } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import type { Embedder, Kb, SearchFound } from '../src/index.ts';
import { normalised } from '../src/embedder.ts';
import { hashNgrams } from '../src/hash-ngram.ts';
import { dimensionMax, embedRequestMax, embedUnaskedMax } from '../src/limits.ts';
import { createSearchDesk } from '../src/search-desk.ts';
import { draft, letters, open, tempDir } from './kb-kit.ts';

/** Counts what it is asked for. */
function counting(
  id: string,
  embed: (text: string) => Float32Array = letters,
): Embedder & { readonly asked: () => number } {
  let asked = 0;
  return {
    id,
    asked: () => asked,
    embed: (texts) => {
      asked += texts.length;
      return Promise.resolve(ok(texts.map(embed)));
    },
  };
}

async function reembedded(kb: Kb): Promise<void> {
  for (let status = unwrap(await kb.reembed(true), 'a start'); status.running;) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
    status = unwrap(await kb.reembed(false), 'a status');
  }
}

const notes = (count: number): ReturnType<typeof draft>[] =>
  Array.from({ length: count }, (_, i) => draft({ payload: { text: `note ${i} ${'abcdefghij'[i % 10]}` } }));
const near = async (kb: Kb, text: string): Promise<SearchFound> =>
  unwrap(await kb.search({ text, max: 10, mode: 'semantic', raw: true }), 'hits');

describe('embedders', () => {
  test('only like is compared with like, and switching back costs nothing', async () => {
    using dir = tempDir();
    const count = embedUnaskedMax + 10;
    {
      await using kb = await open(dir.path);
      unwrap(await kb.append(notes(count)), 'an append');
      expect((await near(kb, 'note 7')).hits).not.toEqual([]);
    }
    const first = counting('first');
    {
      await using kb = await open(dir.path, { embedder: first });
      // More than a search makes by itself: nothing is compared with the vectors of another embedder.
      expect(await near(kb, 'note 7')).toMatchObject({ hits: [], vectors: { embedder: 'first', missing: count } });
      expect(first.asked()).toBe(1);
      expect(unwrap(await kb.search({ text: 'note 7', max: 1 }), 'hits').hits).toHaveLength(1);
      await reembedded(kb);
      expect((await near(kb, 'note 7')).hits).toHaveLength(10);
      expect(first.asked()).toBe(count + 3);
      unwrap(await kb.append(notes(1)), 'a note like the first');
      await near(kb, 'note');
    }
    await using kb = await open(dir.path);
    expect((await near(kb, 'note 7')).vectors).toMatchObject({ embedder: 'hash-ngram-384', missing: 0 });
    await kb.close();
    const again = counting('first');
    await using back = await open(dir.path, { embedder: again });
    unwrap(await back.rebuild(), 'a rebuild keeps what was paid for');
    await reembedded(back);
    expect(again.asked()).toBe(0);
    expect((await near(back, 'note 7')).hits).toHaveLength(10);
  });

  test('a few missing vectors are made because a search was asked', async () => {
    using dir = tempDir();
    const embedder = counting('few');
    await using kb = await open(dir.path, { embedder });
    unwrap(await kb.append(notes(3)), 'an append');
    await near(kb, 'note');
    await reembedded(kb);
    expect((await near(kb, 'note')).hits).toHaveLength(3);
  });

  test.each<[string, Embedder['embed'], string]>([
    ['fails', () => Promise.resolve(err(failure('ProviderUnavailable', 'nobody is there'))), 'nobody is there'],
    ['answers too little', (texts) => Promise.resolve(ok(texts.slice(1).map(letters))), '0 vectors for 1 texts'],
    [
      'A10: answers with too many numbers',
      (texts) => Promise.resolve(ok(texts.map(() => new Float32Array(dimensionMax + 1)))),
      `${dimensionMax + 1} numbers`,
    ],
  ])('one that %s: words still find, and the answer says so', async (_, embed, why) => {
    using dir = tempDir();
    await using kb = await open(dir.path, { embedder: { id: 'bad', embed } });
    unwrap(await kb.append(notes(1)), 'an append');
    unwrap(await kb.reembed(true), 'a start');
    await reembedded(kb);
    const found = unwrap(await kb.search({ text: 'note', max: 5 }), 'hits');
    expect(found.hits).toHaveLength(1);
    expect(unwrap(await kb.reembed(false), 'a status')).toMatchObject({ missing: 1, running: false });
    expect(JSON.stringify([found.vectors, unwrap(await kb.reembed(false), 'a status')])).toContain(why);
  });
});

test('making vectors is killed and goes on: at most one request is made twice', async () => {
  using dir = tempDir();
  const count = 5 * embedRequestMax;
  {
    await using kb = await open(dir.path);
    unwrap(await kb.append(notes(count)), 'an append');
  }
  const script = join(import.meta.dirname, 'reembed-main.ts');
  const child = spawn(process.execPath, ['--conditions=source', script, dir.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  let made = 0;
  for await (const line of createInterface(child.stdout)) {
    made = Number(line);
    if (made > 2 * embedRequestMax) child.kill('SIGKILL');
  }
  await gone;
  expect(made).toBeGreaterThan(2 * embedRequestMax);
  const embedder = counting('letters');
  await using kb = await open(dir.path, { embedder });
  await reembedded(kb);
  expect(unwrap(await kb.reembed(false), 'a status').missing).toBe(0);
  expect(made + embedder.asked()).toBeGreaterThanOrEqual(count);
  expect(made + embedder.asked()).toBeLessThanOrEqual(count + embedRequestMax);
});

test('forgetting leaves no byte of a vector, of any embedder, and keeps those of other texts', async () => {
  using dir = tempDir();
  const payload = { contact: 'contact:jane', name: 'Jane Doe-Miller', confidence: 1, trust: 'trusted' };
  const text = 'contact:jane\nJane Doe-Miller';
  const vector = new Float32Array(384);
  hashNgrams(text, vector);
  const bytes = [vector, normalised(letters(text))].map((one) => Buffer.from(one.buffer));
  const holding = (): boolean[] =>
    bytes.map((needle) =>
      readdirSync(dir.path, { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .some(({ name }) => readFileSync(join(dir.path, name)).includes(needle)),
    );
  const other = counting('letters');
  {
    await using kb = await open(dir.path, { embedder: other });
    unwrap(
      await kb.append([draft({ kind: 'contact.upserted', payload }), draft({ payload: { text: 'a quiet day' } })]),
      'an append',
    );
    await reembedded(kb);
  }
  await using kb = await open(dir.path);
  expect((await near(kb, 'jane doe')).hits).toHaveLength(1);
  expect(holding()).toEqual([true, true]);
  unwrap(await kb.forget('contact:jane', { actor: 'operator', provenance: {} }), 'a forgetting');
  expect(holding()).toEqual([false, false]);
  expect((await near(kb, 'jane doe')).hits).toEqual([]);
  expect((await near(kb, 'quiet day')).hits).toHaveLength(1);
  await kb.close();
  await using back = await open(dir.path, { embedder: other });
  await reembedded(back);
  expect(other.asked()).toBe(2);
});

test('A10: documents whose vectors find no room are found by their words, and counted', async () => {
  using dir = tempDir();
  await using kb = await open(dir.path);
  unwrap(await kb.append(notes(1_500)), 'an append');
  unwrap(await kb.stats(), 'the views');
  const files = { viewDb: join(dir.path, 'pog.sqlite'), vectorDb: join(dir.path, 'vectors.sqlite') };
  using desk = createSearchDesk({ ...files, embedder: 'hash-ngram-384', vectorBytesMax: 500_000 });
  const answer = desk.answer({ type: 'search', q: { text: 'note 3', max: 5 } });
  expect(answer).toMatchObject({ ok: true, value: { vectors: { docs: 1_500, missing: 0, left_out: 1_500 - 1_024 } } });
});
