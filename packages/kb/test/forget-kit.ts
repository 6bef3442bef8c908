/** What the tests of forgetting share: somebody who is known in many places, and the search for what is left of her. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestBytes, unwrap } from '@runloop/core';
import { hashNgramId, type Kb } from '../src/index.ts';
import type { LedgerQuestion } from '../src/ledger/ledger-desk.ts';
import type { SearchQuestion } from '../src/search/search-desk.ts';
import { startThread, type Thread } from '../src/thread.ts';
import type { ViewsQuestion } from '../src/views/views-desk.ts';
import { runEvent } from './kb-kit.ts';

export const by = { actor: 'user:test', provenance: {} };
export const operator = { ...by, scope: 'operator', kb_write: true } as const;
export const traceOf = (n: number): string => n.toString(16).padStart(32, '0');

/** Every file below that holds one of the texts, as `grep -a` would. */
export function holding(dir: string, texts: readonly string[]): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const bytes = readFileSync(path);
      return texts.some((text) => bytes.includes(text));
    });
}

export const jane = { name: 'Jane Doe-Miller', email: 'jane.doe@example.org', notes: 'Likes long walks at the sea.' };
export const personal = Object.values(jane);

export async function propose(
  kb: Kb,
  kind: string,
  payload: Record<string, string | number>,
  evidence: number[] = [],
): Promise<number> {
  const said = await kb.propose({ kind, payload, evidence }, { ...by, scope: 'operator', kb_write: true });
  return unwrap(said, kind).event_id;
}

/** A run that looked jane up, answered a letter that is too large for the ledger, and one that did not. */
export async function fill(kb: Kb): Promise<{ readonly large: string; readonly derived: number }> {
  const contact = { contact: 'contact:jane', confidence: 1, trust: 'trusted', ...jane };
  const id = await propose(kb, 'contact.upserted', contact);
  await propose(kb, 'contact.upserted', {
    contact: 'contact:janet',
    confidence: 1,
    trust: 'trusted',
    name: 'Janet Roe',
    email: 'janet@example.org',
  });
  const derived = await propose(kb, 'note.created', { text: 'Somebody likes walking.' }, [id]);
  await propose(kb, 'note.created', { text: `Dinner with JANE doe-miller on Friday` });
  const letter = Buffer.from(JSON.stringify({ text: `Dear ${jane.name}, `.repeat(8_000) }));
  const large = unwrap(await kb.putBlob(letter), 'a blob file');
  const answer = JSON.stringify({ summary: 'She is fond of the coast.' });
  const digest = digestBytes(Buffer.from(answer));
  const [a, b] = [traceOf(1), traceOf(2)];
  const told = await kb.append(
    [
      runEvent('run.accepted', { name: 'write', params: { to: 'jane' }, actor: 'user:test' }, 1, a),
      runEvent(
        'effect.intent',
        { node: 'n', attempt: 1, index: 0, call: 'c', op: 'kb.query', args: { key: 'contact:jane' } },
        undefined,
        a,
      ),
      runEvent(
        'effect.result',
        { node: 'n', attempt: 1, index: 0, call: 'c', op: 'kb.query', ok: true, value: { rows: [contact] } },
        undefined,
        a,
      ),
      runEvent(
        'model.called',
        { node: 'n', attempt: 1, agent: 'w', model: 'm', provider: 'p', tokens_in: 5, tokens_out: 7, usd_nano: 9 },
        2,
        a,
      ),
      runEvent(
        'effect.result',
        { node: 'n', attempt: 1, index: 1, call: 'd', op: 'model.complete', ok: true, value: { blob: digest } },
        undefined,
        a,
      ),
      runEvent(
        'node.finished',
        { node: 'n', attempt: 1, state: 'succeeded', outputs: { out: [{ type: 't', digest: large }] } },
        3,
        a,
      ),
      runEvent('run.finished', { state: 'succeeded', duration_ms: 4, tokens: 12, usd_nano: 9 }, 4, a),
      runEvent('run.accepted', { name: 'other', params: {}, actor: 'user:test' }, 1, b),
      runEvent(
        'effect.result',
        { node: 'n', attempt: 1, index: 0, call: 'e', op: 'kb.search', ok: true, value: { hits: [] } },
        undefined,
        b,
      ),
      runEvent('run.finished', { state: 'succeeded' }, 2, b),
    ],
    [{ digest, content: answer }],
  );
  unwrap(told, 'two runs');
  return { large, derived };
}

/** The threads of a knowledge base, for who wants to stand between them and what asks them. */
export type Threads = {
  readonly ledger: Thread<LedgerQuestion>;
  readonly views: Thread<ViewsQuestion>;
  readonly search: Thread<SearchQuestion>;
  readonly data: { readonly rootDir: string; readonly eventsDb: string; readonly viewDb: string };
};

export async function startThreads(rootDir: string, owner: AsyncDisposableStack): Promise<Threads> {
  const data = { rootDir, eventsDb: join(rootDir, 'events.sqlite'), viewDb: join(rootDir, 'pog.sqlite') };
  const searchData = { ...data, vectorDb: join(rootDir, 'vectors.sqlite'), embedder: hashNgramId };
  const ledger = owner.use(startThread<LedgerQuestion>('ledger/ledger-main', { ...data, nowMs: 1 }));
  unwrap(await ledger.ask('open'), 'a ledger');
  const views = owner.use(startThread<ViewsQuestion>('views/views-main', data));
  return { data, ledger, views, search: owner.use(startThread<SearchQuestion>('search/search-main', searchData)) };
}
