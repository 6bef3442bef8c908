/**
 * Search: how good it is on the questions of search-data.ts, beside plain BM25 and `grep -i`, and what it costs at
 * 100,000 documents, at 1,000,000 with `SEARCH_MILLION=1`.
 *
 * Plain BM25 is an FTS5 table of the same texts, asked for any of the words (its better way: all of the words finds less).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type Sqlite from 'better-sqlite3';
import { systemClock, systemRandom, unwrap } from '../packages/core/src/index.ts';
import { type EventDraft, hashNgramId, type Kb, openKb } from '../packages/kb/src/index.ts';
import { type DataSet, type DataEvent, type Question, questionKinds, searchData } from './search-data.ts';
import { type BenchRow, percentile } from './types.ts';

const top = 10;

export type Ranking = (question: Question) => Promise<readonly string[]> | readonly string[];
export type Quality = { readonly recall: number; readonly mrr: number };

const draftOf = ({ kind, ts_ms, actor, payload }: DataEvent): EventDraft => ({
  ts_ms,
  actor,
  kind,
  scope: 'bench',
  payload,
  provenance: {},
});
export const entityOf = ({ payload }: DataEvent, i: number): string => String(payload['contact'] ?? `note:${i + 1}`);
const textOf = ({ payload }: DataEvent): string =>
  payload['contact'] === undefined
    ? String(payload['text'])
    : ['contact', 'name', 'email', 'org'].map((name) => String(payload[name])).join('\n');

/** Fills a knowledge base with the set's events. */
export async function fill(kb: Kb, events: readonly DataEvent[]): Promise<void> {
  for (let at = 0; at < events.length; at += 5_000) {
    unwrap(await kb.append(events.slice(at, at + 5_000).map(draftOf)), 'an append');
  }
}

/** recall@10 and the mean reciprocal rank of the first answer, by kind and in total. */
export async function measure(questions: readonly Question[], rank: Ranking): Promise<Map<string, Quality>> {
  const sums = new Map<string, { recall: number; mrr: number; n: number }>();
  for (const question of questions) {
    const found = (await rank(question)).slice(0, top);
    const answers = new Set(question.answers);
    const recall = found.filter((entity) => answers.has(entity)).length / Math.min(top, answers.size);
    const first = found.findIndex((entity) => answers.has(entity));
    for (const key of [question.kind, 'all']) {
      const sum = sums.get(key) ?? { recall: 0, mrr: 0, n: 0 };
      sums.set(key, { recall: sum.recall + recall, mrr: sum.mrr + (first < 0 ? 0 : 1 / (first + 1)), n: sum.n + 1 });
    }
  }
  return new Map([...sums].map(([key, { recall, mrr, n }]) => [key, { recall: recall / n, mrr: mrr / n }]));
}

export function searchBy(kb: Kb, mode: 'hybrid' | 'keyword' | 'semantic'): Ranking {
  return async ({ text, sinceMs, untilMs }) => {
    const { hits } = unwrap(await kb.search({ text, max: top, mode, raw: true, sinceMs, untilMs }), 'hits');
    return hits.map(({ entity }) => entity);
  };
}

const wordsOf = (text: string): readonly string[] => text.match(/[\p{L}\p{N}]+/gu) ?? [];

/** Plain BM25: a table of its own, any of the words, no filters. */
export function plainBm25(events: readonly DataEvent[]): Ranking & Disposable {
  const load = createRequire(join(import.meta.dirname, '..', 'packages', 'kb', 'package.json'));
  const db = new (load('better-sqlite3') as typeof Sqlite)(':memory:');
  db.exec(`CREATE VIRTUAL TABLE docs USING fts5(body, tokenize = 'unicode61 remove_diacritics 2')`);
  const add = db.prepare('INSERT INTO docs(rowid, body) VALUES (?, ?)');
  db.transaction(() => events.forEach((event, i) => add.run(i, textOf(event))))();
  const read = db
    .prepare<[string], number>(`SELECT rowid FROM docs WHERE docs MATCH ? ORDER BY rank LIMIT ${top}`)
    .pluck();
  const rank: Ranking = ({ text }) =>
    read
      .all(
        wordsOf(text)
          .map((word) => `"${word}"`)
          .join(' OR '),
      )
      .map((i) => entityOf(events[i] as DataEvent, i));
  return Object.assign(rank, { [Symbol.dispose]: () => void db.close() });
}

/** What `grep -i` finds of the whole question, and if nothing, of its longest word: in the order of the file. */
function grep(events: readonly DataEvent[]): Ranking {
  const lines = events.map((event) => textOf(event).toLowerCase());
  const find = (text: string): string[] =>
    lines.flatMap((line, i) => (line.includes(text.toLowerCase()) ? [entityOf(events[i] as DataEvent, i)] : []));
  return ({ text }) => {
    const whole = find(text);
    return whole.length > 0 ? whole : find(wordsOf(text).toSorted((a, b) => b.length - a.length)[0] ?? '');
  };
}

async function inKb<T>(set: DataSet, work: (kb: Kb, path: string) => Promise<T>): Promise<T> {
  const path = mkdtempSync(join(tmpdir(), 'bench-search-'));
  try {
    const deps = { clock: systemClock, random: systemRandom, log: { log: () => undefined } };
    await using kb = unwrap(await openKb(deps, { rootDir: path, searchIdleMs: 600_000 }), 'a knowledge base');
    await fill(kb, set.events);
    return await work(kb, path);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

async function qualityRows(): Promise<BenchRow[]> {
  const set = searchData();
  return inKb(set, async (kb) => {
    using bm25 = plainBm25(set.events);
    const ways: readonly (readonly [string, Ranking])[] = [
      ['grep -i', grep(set.events)],
      ['plain BM25', bm25],
      ['keyword', searchBy(kb, 'keyword')],
      ['vector', searchBy(kb, 'semantic')],
      ['hybrid', searchBy(kb, 'hybrid')],
    ];
    const results = new Map<string, ReadonlyMap<string, Quality>>();
    for (const [name, rank] of ways) results.set(name, await measure(set.questions, rank));
    const floors = results.get('plain BM25');
    return [...questionKinds, 'all'].flatMap((kind) =>
      ways.flatMap(([name]): BenchRow[] => {
        const { recall = 0, mrr = 0 } = results.get(name)?.get(kind) ?? {};
        const floor = floors?.get(kind)?.recall ?? 0;
        return [
          { name: `search quality, ${kind}: ${name}, recall@10`, value: recall, unit: '', floor },
          { name: `search quality, ${kind}: ${name}, MRR`, value: mrr, unit: '' },
        ];
      }),
    );
  });
}

/** All texts have vectors. */
async function caughtUp(kb: Kb): Promise<void> {
  for (;;) {
    const { missing } = unwrap(await kb.reembed(true), 'a status');
    if (missing === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What the search thread takes, measured in a process that does nothing else. */
function memoryMb(rootDir: string): number {
  const script = join(import.meta.dirname, 'search-child.ts');
  return Number(execFileSync(process.execPath, ['--no-warnings', '--conditions=source', script, rootDir]));
}

async function sizeRows(docs: number): Promise<BenchRow[]> {
  const set = searchData({ notes: docs * 0.98, contacts: docs * 0.02 });
  const size = docs.toLocaleString('en-US');
  return inKb(set, async (kb, path) => {
    unwrap(await kb.stats(), 'views');
    const began = performance.now();
    await caughtUp(kb);
    const vectorsMs = performance.now() - began;
    const rebuilt = unwrap(await kb.rebuild(), 'a rebuild');
    const loading = performance.now();
    unwrap(await kb.search({ text: 'budget', max: top }), 'the first search');
    const loadMs = performance.now() - loading;
    const memory = memoryMb(path);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const times: { readonly [mode: string]: number[] } = { hybrid: [], keyword: [], semantic: [] };
    delay.enable();
    for (const question of set.questions) {
      for (const mode of ['hybrid', 'keyword', 'semantic'] as const) {
        const at = performance.now();
        await searchBy(kb, mode)(question);
        times[mode]?.push(performance.now() - at);
      }
    }
    delay.disable();
    const recall = await recallOfExact(kb, path, set.questions);
    const of = (name: string, value: number, unit: string, goal?: string): BenchRow => ({
      name: `search, ${size} documents: ${name}`,
      value,
      unit,
      ...(goal === undefined ? {} : { goal }),
    });
    const small = docs <= 100_000;
    return [
      of('hybrid p50', percentile(times['hybrid'] ?? [], 0.5), 'ms', small ? '<= 15' : undefined),
      of('hybrid p99', percentile(times['hybrid'] ?? [], 0.99), 'ms'),
      of('keyword p50', percentile(times['keyword'] ?? [], 0.5), 'ms'),
      of('vector p50', percentile(times['semantic'] ?? [], 0.5), 'ms'),
      of('nearest 10, recall of exact', recall, '', '>= 0.95'),
      of("event loop delay of the caller's thread, p99", delay.percentile(99) / 1e6, 'ms', '<= 10'),
      of('first search after a rest', loadMs, 'ms'),
      of('memory of the search thread', memory, 'MB'),
      of('vectors made', (docs / vectorsMs) * 1_000, 'events/s'),
      of(
        'search indexes with vectors',
        docs / ((vectorsMs + rebuilt.duration_ms) / 1_000),
        'events/s',
        small ? '>= 5000' : undefined,
      ),
    ];
  });
}

/** How many of the ten nearest by exact floats stand among the ten nearest that search gives. */
async function recallOfExact(kb: Kb, path: string, questions: readonly Question[]): Promise<number> {
  const load = createRequire(join(import.meta.dirname, '..', 'packages', 'kb', 'package.json'));
  const db = new (load('better-sqlite3') as typeof Sqlite)(join(path, 'vectors.sqlite'), { readonly: true });
  const { hashNgrams } = (await import('../packages/kb/src/search/hash-ngram.ts')) as {
    hashNgrams: (text: string, out: Float32Array) => void;
  };
  const vectors = db
    .prepare<[string], Buffer>('SELECT vector FROM search_vec WHERE embedder = ? ORDER BY id')
    .pluck()
    .all(hashNgramId)
    .map((bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
  db.close();
  let [found, all] = [0, 0];
  const query = new Float32Array(384);
  for (const question of questions.filter((_, i) => i % 10 === 0)) {
    hashNgrams(question.text, query);
    const cosines = vectors.map((vector) => vector.reduce((sum, value, i) => sum + value * (query[i] ?? 0), 0));
    const tenth = cosines.toSorted((a, b) => b - a)[top - 1] ?? 0;
    const { hits } = unwrap(await kb.search({ text: question.text, max: top, mode: 'semantic', raw: true }), 'hits');
    found += hits.filter(({ score }) => score >= tenth - 1e-5).length;
    all += top;
  }
  return found / all;
}

export async function rows(): Promise<readonly BenchRow[]> {
  const quality = await qualityRows();
  const sizes = [10_000, 100_000, ...(process.env['SEARCH_MILLION'] === '1' ? [1_000_000] : [])];
  const costs: BenchRow[] = [];
  for (const size of sizes) costs.push(...(await sizeRows(size)));
  return [...quality, ...costs];
}
