/**
 * The refusals of grants.test.ts once more, by a component written by hand and signed by a stranger: no SDK stands between
 * it and the kernel, and it can say what no SDK would. A7, A8, A12.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '@runloop/core';
import { Arena, nothing, type Played } from './arena.ts';
import { caller, type RawCall } from './raw-callers.ts';
import {
  address,
  asksForIt,
  astray,
  capOf,
  exec,
  filled,
  furnish,
  policy,
  read,
  readOnly,
  refusals,
  writable,
} from './refusals.ts';
import { openSite, type Site } from './site.ts';
import { hasBwrap, installFromStranger } from './stranger.ts';

const name = 'caller';
const text = new TextEncoder();

/** What an SDK would not send: each is an error of that call, or the end of that instance. */
const garbage: readonly (readonly [what: string, op: string, args: string | Uint8Array])[] = [
  ['nothing', 'kb.search', ''],
  ['no JSON', 'kb.search', '{text:'],
  ['JSON that is no object', 'kb.search', '[1,2]'],
  ['a number', 'http.fetch', '17'],
  ['null', 'fs.read', 'null'],
  ['the same key twice', 'fs.read', '{"path":"/tmp","path":"/etc/passwd"}'],
  ['a key of every prototype', 'exec.run', '{"__proto__":{"command":"/bin/sh"},"constructor":1}'],
  ['bytes that are no UTF-8', 'mail.send', new Uint8Array([0x22, 0xff, 0xfe, 0xc0, 0x80, 0x22])],
  ['half a surrogate', 'mail.send', '{"subject":"\\ud800"}'],
  ['NUL', 'secrets.ref', '{"id":"runloop/x\\u0000/y"}'],
  ['a number beyond 2^53', 'clock.sleep', '{"ms":90071992547409931}'],
  ['a number that is none', 'clock.sleep', '{"ms":1e999}'],
  ['nesting without end', 'tools.call', '['.repeat(20_000)],
  ['1 MiB and more', 'mailbox.send', text.encode(`{"to":"${'x'.repeat(1_100_000)}"}`)],
];
/** What is granted, and answered: it is the grant that refuses, and not how it is asked. */
const granted: readonly (readonly [what: string, caps: JsonObject, op: string, args: JsonObject])[] = [
  ['a file', readOnly, ...read('{shelf}/solo')],
  ['a page', { net: ['{site}'] }, 'http.fetch', { url: '{site}/' }],
  ['a page without an end', { net: ['{site}'], limits: { output_kib: 4096 } }, 'http.fetch', { url: '{site}/bomb' }],
  ['the clock', { time: true }, 'clock.now', {}],
  ['its letter box', {}, 'mailbox.receive', {}],
];

/** What is granted and leaves: asked about, and not done where the answer is no. */
const asks: readonly (readonly [what: string, caps: JsonObject, op: string, args: JsonObject])[] = [
  ['a post', { net: ['{site}'] }, 'http.fetch', { url: '{site}/', method: 'POST', body: 'x' }],
  ['a mail', {}, 'mail.send', { to: ['a@example.com'], subject: 's', body: 'b' }],
  ['a command', exec('/usr/bin/echo', '{text}'), 'exec.run', { command: '/usr/bin/echo', argv: ['x'] }],
  ['a file that is executed later', writable, 'fs.write', { path: '{shelf}/.bashrc', mode: 'create', data: 'evil' }],
];

let arena: Arena;
let site: Site;
beforeAll(async () => {
  if (!hasBwrap) return;
  site = await openSite();
  arena = await Arena.open('');
  furnish(arena.shelf, arena.home.path);
  await arena.propose('contact.upserted', { ...address, confidence: 1, trust: 'trusted' });
  const calls: RawCall[] = [
    ...[...refusals, ...astray, ...granted, ...asks].map((row) => ({ op: row[2], args: JSON.stringify(fill(row[3])) })),
    ...garbage.map(([, op, args]) => ({ op, args })),
    ...asksForIt.map(([, op, args]) => ({ op, args: JSON.stringify(args) })),
  ];
  await installFromStranger(arena, name, await caller(calls), fill(policy(site.url, undefined)));
}, 120_000);
afterAll(async () => {
  site.close();
  await arena[Symbol.asyncDispose]();
});

const fill = <T>(value: T): T => filled(value, { shelf: arena.shelf, home: arena.home.path, site: site.url });
/** The rows with their numbers in the component. */
const numbered = <T extends readonly unknown[]>(
  rows: readonly T[],
  from: number,
): readonly (readonly [T[0], number, T])[] => rows.map((row, i) => [row[0], from + i, row]);
const firstAstray = refusals.length;
const firstGranted = firstAstray + astray.length;
const firstAsks = firstGranted + granted.length;
const firstGarbage = firstAsks + asks.length;
const firstAsksForIt = firstGarbage + garbage.length;

const play = (n: number, caps: JsonObject, more: JsonObject = {}): Promise<Played> =>
  arena.playAgent(name, { ...nothing, ...fill(caps) }, { n, ...more });

describe.skipIf(!hasBwrap)('refused, with the name of the grant, to the component and on the ledger', () => {
  test.each(numbered(refusals, 0))('%s', async (_, n, row) => {
    const [, caps, op, , grant] = row;
    const { end, audits } = await play(n, caps);
    const named = grant instanceof RegExp ? expect.stringMatching(grant) : expect.stringContaining(fill(grant));
    expect(end).toMatchObject({ state: 'failed', code: 'AgentFailed', reason: named });
    expect(end['reason']).toMatch(/may not use|is not granted/);
    expect(audits.at(-1)).toMatchObject({ agent: name, cap: capOf(op), op, decision: 'deny', reason: named });
  });
});

describe.skipIf(!hasBwrap)('granted, and refused where it leads elsewhere', () => {
  test.each(numbered(astray, firstAstray))('%s', async (_, n, [, caps, , , words]) => {
    expect((await play(n, caps)).end).toMatchObject({ code: 'AgentFailed', reason: expect.stringMatching(words) });
  });
});

describe.skipIf(!hasBwrap)('granted', () => {
  test.each(numbered(granted, firstGranted))('%s', async (_, n, [, caps]) => {
    expect(await play(n, caps)).toMatchObject({ end: { state: 'succeeded' }, audits: [] });
  });
});

describe.skipIf(!hasBwrap)('asked about', () => {
  test.each(numbered(asks, firstAsks))('%s', async (_, n, [, caps, op]) => {
    const before = site.seen.length;
    expect(await play(n, caps)).toMatchObject({
      end: { state: 'failed', reason: `${op} was not approved` },
      asked: [{ op }],
    });
    expect(site.seen.length).toBe(before);
    expect(existsSync(join(arena.shelf, '.bashrc'))).toBe(false);
  });
});

describe.skipIf(!hasBwrap)('what no SDK would send', () => {
  test.each(numbered(garbage, firstGarbage))('%s', async (_, n) => {
    const { end, events } = await play(n, {});
    expect(end).toMatchObject({ state: 'failed', code: expect.stringMatching(/^(AgentFailed|AgentTrapped)$/) });
    expect(String(end['reason'])).not.toMatch(/at .*\(.*:\d+:\d+\)/);
    expect(events.filter(({ kind }) => kind === 'tool.called')).toEqual([]);
    // It is that instance that has ended, and nothing else.
    expect((await arena.client.ping()).ok).toBe(true);
  });
});

describe.skipIf(!hasBwrap)('contacts_raw', () => {
  test.each(numbered(asksForIt, firstAsksForIt))('%s shows no address without it', async (_, n, [, op]) => {
    const shown = async (domains: readonly string[]): Promise<string> =>
      String((await play(n, { kb_read: domains }, { say: true })).end['reason']);
    expect(await shown(['contacts'])).toMatch(/^[{[]/);
    expect(await shown(['contacts'])).not.toContain('ann.secret');
    if (op !== 'kb.why') expect(await shown(['contacts', 'contacts_raw'])).toContain('ann.secret');
  });
});

describe.skipIf(!hasBwrap)('limits', () => {
  const receive = firstGranted + granted.findIndex(([, , op]) => op === 'mailbox.receive');
  const clock = firstGranted + granted.findIndex(([, , op]) => op === 'clock.now');

  test('hostcalls', async () => {
    const { end } = await play(receive, { limits: { hostcalls: 20 } }, { again: true });
    expect(end).toMatchObject({ state: 'failed', reason: expect.stringMatching(/20 host calls/) });
  });
  test('wall_ms', async () => {
    const { end } = await play(clock, { time: true, limits: { wall_ms: 300 } }, { again: true });
    expect(end).toMatchObject({ state: 'failed', code: 'DeadlineExceeded' });
  });
});
