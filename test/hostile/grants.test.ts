/**
 * A hostile call for each line of docs/security.md on grants: the agent is refused, the error names the missing grant, and
 * so does the ledger; what has no grant to name fails as what it is. A7, A8.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { lookup } from 'node:dns/promises';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '@runloop/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Arena, refused } from './arena.ts';
import { capOf, exec, fetch, filled, policy, read, readOnly, refusals, shelf } from './refusals.ts';

const hasBwrap =
  existsSync('/usr/bin/bwrap') &&
  spawnSync('/usr/bin/bwrap', ['--unshare-all', '--ro-bind', '/', '/', 'true']).status === 0;
if (!hasBwrap) process.stderr.write('skipped: no bubblewrap here, what commands can reach was not tried\n');

/** This machine's own name, where it means an address of its own. */
const privateName = await lookup(hostname().toLowerCase()).then(
  ({ address }) =>
    /^(?:127|10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\./.test(address) ? hostname().toLowerCase() : undefined,
  () => undefined,
);

let arena: Arena;
let server: Server;
let site: string;
const seen: IncomingMessage[] = [];

function serve(): Promise<void> {
  server = createServer((request, response) => {
    seen.push(request);
    if (request.url === '/inwards') response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
    else if (request.url === '/away') response.writeHead(307, { location: 'http://localhost:1/' }).end();
    else if (request.url === '/bomb') {
      const piece = Buffer.alloc(256 * 1024, 0x61);
      const more = (): void => {
        while (!response.destroyed) if (!response.write(piece)) return void response.once('drain', more);
      };
      more();
    } else response.end('hello');
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
}

beforeAll(async () => {
  await serve();
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  arena = await Arena.open(policy(site, privateName));
  const { shelf, home } = arena;
  mkdirSync(join(shelf, 'deep'));
  writeFileSync(join(shelf, 'book'), 'read me');
  writeFileSync(join(shelf, 'script'), '#!/bin/sh\n');
  chmodSync(join(shelf, 'script'), 0o755);
  symlinkSync('/etc', join(shelf, 'etc'));
  symlinkSync(join(home.path, 'operator.token'), join(shelf, 'token'));
  linkSync(join(shelf, 'book'), join(shelf, 'hard'));
  writeFileSync(join(shelf, 'solo'), 'x');
  execFileSync('mkfifo', [join(shelf, 'fifo')]);
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await arena[Symbol.asyncDispose]();
});

/** `{shelf}`, `{home}` and `{site}` stand for what is known only when the tests run. */
const fill = <T>(value: T): T => filled(value, { shelf: arena.shelf, home: arena.home.path, site });

describe('A8, A12: refused, with the name of the grant, to the agent and on the ledger', () => {
  test.each(refusals)('%s', async (...row) => {
    const [, caps, op, args, grant] = fill(row);
    const named = row[4] instanceof RegExp ? row[4] : grant;
    const cap = capOf(op);
    refused(await arena.play(caps, { op, args }), cap, op, named);
  });
});

describe('granted, and refused where it leads elsewhere', () => {
  test.each<readonly [string, JsonObject, string, JsonObject, RegExp]>([
    ['a link out of the directory', readOnly, ...read('{shelf}/etc/passwd'), /link|loop/],
    ['a link to the token', readOnly, ...read('{shelf}/token'), /link|loop/],
    ['a file with two names', readOnly, ...read('{shelf}/hard'), /name|link/],
    ['a FIFO', readOnly, ...read('{shelf}/fifo'), /regular|fifo/i],
    [
      'a header in a header',
      { net: ['{site}'] },
      ...fetch('{site}/', { headers: { 'x-a': 'b\r\nhost: evil.test' } }),
      /header/,
    ],
    [
      'a header of the host',
      { net: ['{site}'] },
      ...fetch('{site}/', { headers: { 'transfer-encoding': 'chunked' } }),
      /header/,
    ],
    [
      'mail with a line break in its subject',
      {},
      'mail.send',
      { to: ['a@example.com'], subject: 's\r\nBcc: x@evil.test', body: 'b' },
      /./,
    ],
  ])('%s', async (...row) => {
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
    const { answers } = await arena.play({ net: [site] }, ...fetchTry('/bomb'));
    expect(answers?.[0]).toMatchObject({ ok: true, value: { truncated: true } });
  });

  test('a place that is executed later is asked about, and not written when the answer is no', async () => {
    const targets = ['script', '.bashrc', 'deep/.git/hooks/pre-commit', '.envrc'];
    mkdirSync(join(arena.shelf, 'deep/.git/hooks'), { recursive: true });
    for (const name of targets) {
      const args = { path: join(arena.shelf, name), mode: name === 'script' ? 'replace' : 'create', data: 'evil' };
      const { answers, asked } = await arena.play(fill(shelf), { op: 'fs.write', args });
      expect(answers?.[0], name).toMatchObject({ ok: false, code: 'ApprovalDenied' });
      expect(asked, name).toHaveLength(1);
    }
    expect(readFileSync(join(arena.shelf, 'script'), 'utf8')).toBe('#!/bin/sh\n');
    expect(readdirSync(arena.shelf)).not.toContain('.bashrc');
  });

  test('every send, command, tool and post is asked about', async () => {
    const asks: readonly (readonly [JsonObject, string, JsonObject])[] = [
      [{ net: [site] }, 'http.fetch', { url: `${site}/`, method: 'POST', body: 'x' }],
      [{}, 'mail.send', { to: ['a@example.com'], subject: 's', body: 'b' }],
      [fill(exec('/usr/bin/echo', '{text}')), 'exec.run', { command: '/usr/bin/echo', argv: ['x'] }],
    ];
    const before = seen.length;
    for (const [caps, op, args] of asks) {
      const { answers, asked } = await arena.play(caps, { op, args });
      expect(answers?.[0], op).toMatchObject({ ok: false, code: 'ApprovalDenied' });
      expect(asked, op).toHaveLength(1);
    }
    expect(seen.slice(before)).toEqual([]);
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
  return [{ op: 'http.fetch', args: { url: `${site}${path}` } }];
}
