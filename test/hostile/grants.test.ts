/**
 * A hostile call for each line of docs/security.md on grants: the agent is refused, the error names the missing grant, and
 * so does the ledger; what has no grant to name fails as what it is. A7, A8.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '@runloop/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Arena, refused } from './arena.ts';
import { address, asksForIt, astray, capOf, exec, filled, furnish, policy, refusals, writable } from './refusals.ts';
import { openSite, type Site } from './site.ts';

/** This machine's own name, where it means an address of its own. */
const privateName = await lookup(hostname().toLowerCase()).then(
  ({ address }) =>
    /^(?:127|10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\./.test(address) ? hostname().toLowerCase() : undefined,
  () => undefined,
);

let arena: Arena;
let site: Site;

beforeAll(async () => {
  site = await openSite();
  arena = await Arena.open(policy(site.url, privateName));
  furnish(arena.shelf, arena.home.path);
});
afterAll(async () => {
  site.close();
  await arena[Symbol.asyncDispose]();
});

/** `{shelf}`, `{home}` and `{site}` stand for what is known only when the tests run. */
const fill = <T>(value: T): T => filled(value, { shelf: arena.shelf, home: arena.home.path, site: site.url });

describe('A8, A12: refused, with the name of the grant, to the agent and on the ledger', () => {
  test.each(refusals)('%s', async (...row) => {
    const [, caps, op, args, grant] = fill(row);
    const named = row[4] instanceof RegExp ? row[4] : grant;
    const cap = capOf(op);
    refused(await arena.play(caps, { op, args }), cap, op, named);
  });
});

describe('contacts_raw', () => {
  test.each(asksForIt)('%s shows no address without it', async (_, op, args) => {
    await arena.propose('contact.upserted', { ...address, confidence: 1, trust: 'trusted' });
    const { answers } = await arena.play({ kb_read: ['contacts'] }, { op, args });
    expect(JSON.stringify(answers)).not.toContain('ann.secret');
    const { answers: open } = await arena.play({ kb_read: ['contacts', 'contacts_raw'] }, { op, args });
    if (op !== 'kb.why') expect(JSON.stringify(open)).toContain('ann.secret');
  });
});

describe('granted, and refused where it leads elsewhere', () => {
  test.each(astray)('%s', async (...row) => {
    const [, caps, op, args] = fill(row);
    const { answers } = await arena.play(caps, { op, args });
    expect(answers?.[0]).toMatchObject({ ok: false, message: expect.stringMatching(row[4]) });
  });

  test.skipIf(privateName === undefined)('a name that resolves inwards', async () => {
    const url = `http://${privateName ?? ''}:9/`;
    const { answers, audits } = await arena.play(
      { net: [`http://${privateName ?? ''}:9`] },
      { op: 'http.fetch', args: { url } },
    );
    expect(answers?.[0]).toMatchObject({
      ok: false,
      code: 'CapabilityDenied',
      message: expect.stringMatching(/not on the internet.*missing grant: net/),
    });
    expect(audits).toMatchObject([{ cap: 'net', op: 'http.fetch', decision: 'deny' }]);
  });

  test('a body without an end is cut', async () => {
    const { answers } = await arena.play({ net: [site.url] }, ...fetchTry('/bomb'));
    expect(answers?.[0]).toMatchObject({ ok: true, value: { truncated: true } });
  });

  test('a place that is executed later is asked about, and not written when the answer is no', async () => {
    const targets = ['script', '.bashrc', 'deep/.git/hooks/pre-commit', '.envrc'];
    mkdirSync(join(arena.shelf, 'deep/.git/hooks'), { recursive: true });
    for (const name of targets) {
      const args = { path: join(arena.shelf, name), mode: name === 'script' ? 'replace' : 'create', data: 'evil' };
      const { answers, asked } = await arena.play(fill(writable), { op: 'fs.write', args });
      expect(answers?.[0], name).toMatchObject({ ok: false, code: 'ApprovalDenied' });
      expect(asked, name).toHaveLength(1);
    }
    expect(readFileSync(join(arena.shelf, 'script'), 'utf8')).toBe('#!/bin/sh\n');
    expect(readdirSync(arena.shelf)).not.toContain('.bashrc');
  });

  test('every send, command, tool and post is asked about', async () => {
    const asks: readonly (readonly [JsonObject, string, JsonObject])[] = [
      [{ net: [site.url] }, 'http.fetch', { url: `${site.url}/`, method: 'POST', body: 'x' }],
      [{}, 'mail.send', { to: ['a@example.com'], subject: 's', body: 'b' }],
      [fill(exec('/usr/bin/echo', '{text}')), 'exec.run', { command: '/usr/bin/echo', argv: ['x'] }],
    ];
    const before = site.seen.length;
    for (const [caps, op, args] of asks) {
      const { answers, asked } = await arena.play(caps, { op, args });
      expect(answers?.[0], op).toMatchObject({ ok: false, code: 'ApprovalDenied' });
      expect(asked, op).toHaveLength(1);
    }
    expect(site.seen.slice(before)).toEqual([]);
  });

  test('a clock that is not granted stands still, and nothing of the machine can be seen', async () => {
    const { answers } = await arena.play({}, { try: 'ambient' });
    const {
      seen: names,
      constructed,
      now,
    } = (answers?.[0] ?? {}) as unknown as { seen: string[]; constructed: string; now: number[] };
    expect(names).toEqual([]);
    expect(constructed).toMatch(/^undefined$|Error/);
    expect(now[0]).toBe(now[1]);
  });
});

function fetchTry(path: string): readonly { readonly op: string; readonly args: JsonObject }[] {
  return [{ op: 'http.fetch', args: { url: `${site.url}${path}` } }];
}
