/** A model behind the broker as the knowledge base's embedder: what it is asked for, and what is booked. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failure, systemClock, systemRandom, unwrap } from '@runloop/core';
import { type Embedder, hashNgramId, type Kb, openKb } from '@runloop/kb';
import { expect, test } from 'vitest';
import { kbEmbedder } from '../src/host/kb-embedder.ts';
import { createModels } from '../src/host/models.ts';

const log = { log: (): void => undefined };
const broker = (clearance: string): object => ({
  providers: [{ id: 'home', kind: 'echo', clearance }],
  route: [{ pattern: 'tiny', provider: 'home' }],
  cache: {},
  budgets: {},
  prices: [],
});

async function withModel(clearance: string, work: (kb: Kb, embedder: Embedder) => Promise<void>): Promise<void> {
  const rootDir = mkdtempSync(join(tmpdir(), 'kb-embedder-'));
  try {
    const secrets = { resolve: () => Promise.reject(new Error('assumed that echo needs no secret')) };
    const config = { models: { default: 'tiny', broker: broker(clearance) } } as never;
    const models = unwrap(
      createModels({ clock: systemClock, random: systemRandom, log, secrets: secrets as never }, config),
      'models',
    );
    await using _closing = { [Symbol.asyncDispose]: () => models.close() };
    const embedder = kbEmbedder({ clock: systemClock, opened: () => ({ models, kb }) }, 'tiny');
    if (embedder === undefined) throw new Error('assumed an embedder');
    await using kb = unwrap(
      await openKb({ clock: systemClock, random: systemRandom, log }, { rootDir, embedder }),
      'kb',
    );
    const note = { ts_ms: 1, actor: 'operator', kind: 'note.created', scope: 'user', provenance: {} };
    unwrap(await kb.append(['a roof', 'a quiet day'].map((text) => ({ ...note, payload: { text } }))), 'notes');
    await work(kb, embedder);
  } finally {
    rmSync(rootDir, { recursive: true, force: true });
  }
}

test('its vectors find, and each request is on the bill once', () =>
  withModel('private', async (kb) => {
    unwrap(await kb.reembed(true), 'a start');
    for (let running = true; running;) ({ running } = unwrap(await kb.reembed(false), 'a status'));
    const { hits, vectors } = unwrap(await kb.search({ text: 'a roof', max: 5, mode: 'semantic', raw: true }), 'hits');
    expect(hits[0]?.entity).toBe('note:1');
    expect(vectors).toMatchObject({ embedder: 'tiny', missing: 0 });
    const costs = unwrap(await kb.costs({ by: 'agent', max: 5 }), 'costs');
    expect(costs.rows).toMatchObject([{ key: 'kb', calls: 2, unanswered: 0 }]);
    const verified = unwrap(await kb.verify(), 'a check');
    expect([verified.first_bad, verified.misfit]).toEqual([undefined, undefined]);
  }));

test('a provider that is not cleared for private data gets nothing, and words still find', () =>
  withModel('public', async (kb, embedder) => {
    const refused = await embedder.embed(['a roof'], new AbortController().signal);
    expect(refused).toMatchObject({ ok: false });
    const { hits, vectors } = unwrap(await kb.search({ text: 'roof', max: 5 }), 'hits');
    expect(hits.map(({ entity }) => entity)).toEqual(['note:1']);
    expect(vectors.problem).toBe(refused.ok ? failure('Internal', '').message : refused.error.message);
    expect(unwrap(await kb.costs({ by: 'agent', max: 5 }), 'costs').rows).toEqual([]);
  }));

test('the built-in one needs no model', () => {
  const opened = (): never => {
    throw new Error('assumed that nobody asks');
  };
  expect(kbEmbedder({ clock: systemClock, opened }, hashNgramId)).toBeUndefined();
});
