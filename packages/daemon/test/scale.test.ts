/** Wide and long runs: parallelism by counting, values that stand where the events say, pages that miss nothing, recovery half-way. */
import { type JsonValue, systemClock, unwrap } from '@runloop/core';
import { ledgerBlobBytesMax, openTapeReader, type StoredEvent } from '@runloop/kb';
import { testRandom } from '@runloop/testkit';
import { expect, test } from 'vitest';
import { EventFeed } from '../src/runs/feed.ts';
import { openingBytesMax } from '../src/runs/opening-id.ts';
import { metaOf } from '../src/runs/tape.ts';
import { endOf, of, Place, traceId } from './runs-fixture.ts';

const width = 200;
const ids = Array.from({ length: width }, (_, i) => `n${i}`);
const fanOut = (policy = ''): string =>
  [
    `version: 0\nname: wide\n${policy}nodes:`,
    ...['a', ...ids, 'z'].map((id) => `  - { id: ${id}, use: "agent:scripted" }`),
    'edges:',
    ...ids.map((id) => `  - { from: a.out, to: ${id}.in }\n  - { from: ${id}.out, to: z.in }`),
  ].join('\n');

test.each([
  ['policy: { max_parallel: 3 }\n', 3],
  ['', 4],
  ['policy: { max_parallel: 64 }\n', 4],
])('a fan-out of 200 nodes with %j runs %i at once, which is what opening and machine allow', async (policy, most) => {
  await using place = await Place.open();
  let running = 0;
  let seen = 0;
  const boot = await place.boot(async () => {
    running += 1;
    seen = Math.max(seen, running);
    await new Promise<void>((resolve) => void setImmediate(resolve));
    running -= 1;
    return 'done';
  });
  unwrap(await boot.submit({ text: fanOut(policy) }), 'a run');
  expect(endOf(await boot.until('run.finished'))).toMatchObject({ state: 'succeeded' });
  expect(seen).toBe(most);
});

const digestsIn = (rows: readonly StoredEvent[]): string[] =>
  of(rows, 'node.finished').flatMap((row) => {
    const outputs = metaOf(row)['outputs'] as { readonly out?: readonly { readonly digest: string }[] } | undefined;
    return (outputs?.out ?? []).map(({ digest }) => digest);
  });

test('A6: whatever an event names can be read from the disk when the event is told, small and large', async () => {
  await using place = await Place.open();
  const values: { [node: string]: JsonValue } = { a: 'small', n0: 'x'.repeat(ledgerBlobBytesMax + 1) };
  const boot = await place.boot((_, node) => Promise.resolve(values[node] ?? { of: node }));
  const text = `version: 0\nname: values\nnodes:\n  - { id: a, use: "agent:scripted" }\n  - { id: n0, use: "agent:scripted" }\n  - { id: n1, use: "agent:scripted" }\nartifacts: { save: [n0.out, n1.out] }`;
  unwrap(await boot.submit({ text }), 'a run');
  const rows = await boot.until('run.finished');
  using reader = unwrap(openTapeReader({ random: testRandom() }, { rootDir: place.path }), 'a reader');
  const named = [...digestsIn(rows), ...of(rows, 'artifact.created').map((row) => String(metaOf(row)['digest']))];
  expect(named).toHaveLength(5);
  for (const digest of named) expect((await reader.getBlob(digest)).ok).toBe(true);
});

test('a reader who follows in small pages is told of each event once, in order', async () => {
  await using place = await Place.open();
  const boot = await place.boot(() => Promise.resolve('done'));
  unwrap(await boot.submit({ text: fanOut() }), 'a run');
  const feed = new EventFeed(systemClock, place.kb);
  const never = new AbortController().signal;
  const seqs: (number | undefined)[] = [];
  for (let done = false; !done;) {
    const q = { traceId, afterSeq: seqs.at(-1) ?? 0, max: 7, waitMs: 5 };
    const page = unwrap(await feed.read(q, never), 'a page');
    seqs.push(...page.events.map(({ seq }) => seq));
    ({ done } = page);
  }
  expect(seqs).toEqual(Array.from({ length: 3 * (width + 2) + 3 }, (_, i) => i + 1));
});

test('A10: an opening that its parameters make too large is refused, and says what to do', async () => {
  await using place = await Place.open();
  const boot = await place.boot(() => Promise.resolve('done'));
  const nodes = ids.map((id) => `  - { id: ${id}, use: "agent:plain", with: { text: "{{params.text}}" } }`).join('\n');
  const text = `version: 0\nname: large\nparams: { text: "" }\nnodes:\n${nodes}\n`;
  const submit = (bytes: number): ReturnType<typeof boot.submit> =>
    boot.submit({ text, params: { text: 'x'.repeat(bytes / width) } });
  expect(await submit(openingBytesMax)).toMatchObject({
    ok: false,
    error: { code: 'LimitExceeded', hint: 'Give long texts to agents as files, or make several runs of it.' },
  });
  expect(await submit(openingBytesMax - 128 * 1024)).toMatchObject({ ok: true });
  expect(endOf(await boot.until('run.finished'))).toMatchObject({ state: 'succeeded' });
});

test('a run of 202 nodes that is put away half-way goes on, and no node that succeeded runs again', async () => {
  await using place = await Place.open();
  const ran: string[] = [];
  let stopAt: (() => void) | undefined;
  const half = new Promise<void>((resolve) => (stopAt = resolve));
  const boot = await place.boot((_, node) => {
    ran.push(node);
    if (ran.length > width / 2) stopAt?.();
    return ran.length > width / 2 ? new Promise(() => undefined) : Promise.resolve(node);
  });
  unwrap(await boot.submit({ text: fanOut() }), 'a run');
  await half;
  await place.stop();
  const before = new Set(of(await place.rows(), 'node.finished').map((row) => String(metaOf(row)['node'])));
  const again: string[] = [];
  const next = await place.boot((_, node) => {
    again.push(node);
    return Promise.resolve(node);
  });
  expect(endOf(await next.until('run.finished'))).toMatchObject({ state: 'succeeded' });
  expect(again.filter((node) => before.has(node))).toEqual([]);
  expect(digestsIn(await place.rows())).toHaveLength(width + 2);
});
