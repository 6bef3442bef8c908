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
  arena = await Arena.open(`
fs = [{ path = "{shelf}", write = true }]
net = ["${site}", "http://${privateName ?? 'localhost'}:9", "http://10.0.0.1", "api.example.com", "*.example.org"]
time = true
kb_read = true
kb_write = true
secrets = ["runloop/hostile/key"]
model = { allow = ["small-*"] }
mail = { from = "me@example.com", to = ["*@example.com"] }
mailbox = ["writer"]
tools = ["weather"]
exec = [
  { command = "/usr/bin/git", argv = ["-C", "{shelf}", "log", "{path:path}"] },
  { command = "/usr/bin/tar", argv = ["-tf", "{path:path}"] },
  { command = "/usr/bin/find", argv = ["{path:path}"] },
  { command = "/usr/bin/echo", argv = ["{text}"] },
  { command = "/usr/bin/env", argv = [] },
  { command = "/usr/bin/cat", argv = ["{any}"] },
  { command = "/usr/bin/setsid", argv = ["-f", "/usr/bin/sleep", "{n:int}"] },
]
[limits]
output_kib = 4096
`);
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

type Row = readonly [what: string, caps: JsonObject, op: string, args: JsonObject, grant: string | RegExp];
/** `{shelf}`, `{home}` and `{site}` stand for what is known only when the tests run. */
function fill<T>(value: T): T {
  const text = JSON.stringify(value).replaceAll('{shelf}', arena.shelf).replaceAll('{home}', arena.home.path);
  return JSON.parse(text.replaceAll('{site}', site)) as T;
}

const readOnly = { fs: ['{shelf}'] } as const;
const shelf = { fs: [{ path: '{shelf}', write: true }] } as const;
const read = (path: string): readonly ['fs.read', { path: string }] => ['fs.read', { path }];
const fetch = (url: string, more: JsonObject = {}): readonly ['http.fetch', JsonObject] => [
  'http.fetch',
  { url, ...more },
];
const run = (command: string, ...argv: readonly string[]): readonly ['exec.run', JsonObject] => [
  'exec.run',
  { command, argv },
];
const exec = (command: string, ...argv: readonly string[]): JsonObject => ({
  exec: [{ command, argv }],
  fs: ['{shelf}'],
});

const rows: readonly Row[] = [
  ['a file without any grant', {}, ...read('/etc/passwd'), 'fs = ["/etc"]'],
  ['a file beside the granted directory', readOnly, ...read('/etc/passwd'), 'fs = ["/etc"]'],
  ['.. in a path', readOnly, ...read('{shelf}/../x'), 'plain absolute path'],
  ['a relative path', readOnly, ...read('book'), 'plain absolute path'],
  ['NUL in a path', readOnly, ...read('{shelf}/book\0.txt'), 'plain absolute path'],
  ['another case of the directory', readOnly, ...read('{shelf}/'.toUpperCase() + 'book'), /fs/],
  ['/proc/self', readOnly, ...read('/proc/self/environ'), /fs/],
  ['a device', readOnly, ...read('/dev/mem'), /fs/],
  ['the state directory', readOnly, ...read('{home}/operator.token'), /fs/],
  [
    'a write through a read-only grant',
    readOnly,
    'fs.write',
    { path: '{shelf}/new', mode: 'create', data: 'x' },
    'write = true',
  ],
  ['a removal through a read-only grant', readOnly, 'fs.remove', { path: '{shelf}/book' }, 'write = true'],
  ['a rename to the outside', shelf, 'fs.rename', { from: '{shelf}/solo', to: '/tmp/solo' }, 'fs = [{ path = "/tmp"'],
  ['a host without any grant', {}, ...fetch('https://api.example.com/'), 'net = ["api.example.com"]'],
  ['another host', { net: ['api.example.com'] }, ...fetch('https://evil.example.com/'), 'net = ["evil.example.com"]'],
  [
    'a host that begins like it',
    { net: ['api.example.com'] },
    ...fetch('https://api.example.com.evil.test/'),
    'net = ["api.example.com.evil.test"]',
  ],
  ['the name above a wildcard', { net: ['*.example.org'] }, ...fetch('https://example.org/'), 'net = ["example.org"]'],
  [
    'another port',
    { net: ['api.example.com'] },
    ...fetch('https://api.example.com:8443/'),
    'net = ["api.example.com:8443"]',
  ],
  [
    'http where https is granted',
    { net: ['api.example.com'] },
    ...fetch('http://api.example.com/'),
    'net = ["http://api.example.com"]',
  ],
  [
    'an address as a number',
    { net: ['api.example.com'] },
    ...fetch('http://2130706433/'),
    'net = ["http://127.0.0.1"]',
  ],
  ['an address in hex', { net: ['api.example.com'] }, ...fetch('http://0x7f.1/'), 'net = ["http://127.0.0.1"]'],
  ['a mapped address', { net: ['api.example.com'] }, ...fetch('http://[::ffff:127.0.0.1]/'), /net/],
  ['user and password in a URL', { net: ['api.example.com'] }, ...fetch('https://api.example.com@evil.test/'), /net/],
  ['a file URL', { net: ['api.example.com'] }, ...fetch('file:///etc/passwd'), /net/],
  [
    'the cloud metadata service',
    { net: ['api.example.com'] },
    ...fetch('http://169.254.169.254/'),
    'net = ["http://169.254.169.254"]',
  ],
  ['a redirect inwards', { net: ['{site}'] }, ...fetch('{site}/inwards'), 'net = ["http://169.254.169.254"]'],
  ['a redirect to another port here', { net: ['{site}'] }, ...fetch('{site}/away'), 'net = ["http://localhost:1"]'],
  ['the clock', {}, 'clock.now', {}, 'time = true'],
  ['a real sleep', {}, 'clock.sleep', { ms: 1 }, 'time = true'],
  [
    'the knowledge base without a domain',
    {},
    'kb.search',
    { text: 'x', max: 1, kinds: ['contact'] },
    'kb_read = ["contacts"]',
  ],
  [
    'another domain by the list of kinds',
    { kb_read: ['notes'] },
    'kb.search',
    { text: 'x', max: 1, kinds: ['note', 'contact'] },
    'contacts',
  ],
  ['all domains by naming none', { kb_read: ['notes'] }, 'kb.search', { text: 'x', max: 1 }, 'name the kinds'],
  ['all by an empty list', { kb_read: ['notes'] }, 'kb.search', { text: 'x', max: 1, kinds: [] }, 'name the kinds'],
  [
    'all domains beside one that a search does not read',
    { kb_read: ['notes'] },
    'kb.search',
    { text: 'x', max: 1, kind: 'note' },
    'name the kinds',
  ],
  [
    'another domain behind a list that a query does not read',
    { kb_read: ['notes'] },
    'kb.query',
    { kind: 'contact', kinds: ['note'] },
    'kb_read = ["contacts"]',
  ],
  ['a domain by its lineage', { kb_read: ['notes'] }, 'kb.why', { entity: 'contact:john' }, 'kb_read = ["contacts"]'],
  [
    'a proposal without a grant',
    { kb_read: true },
    'kb.propose',
    { kind: 'note.added', payload: {} },
    'kb_write = ["notes"]',
  ],
  [
    'a proposal to another domain',
    { kb_write: ['notes'] },
    'kb.propose',
    { kind: 'contact.upserted', payload: {} },
    'kb_write = ["contacts"]',
  ],
  ['a secret', {}, 'secrets.ref', { id: 'runloop/hostile/key' }, 'secrets = ["runloop/hostile/key"]'],
  [
    'another secret',
    { secrets: ['runloop/hostile/key'] },
    'secrets.ref',
    { id: 'runloop/other/key' },
    'secrets = ["runloop/other/key"]',
  ],
  ['a model', {}, 'model.complete', { messages: [] }, 'model = true'],
  [
    'a model of another pattern',
    { model: { allow: ['small-*'] } },
    'model.complete',
    { model: 'large-1', messages: [] },
    'model = { allow = ["large-1"] }',
  ],
  ['a command', {}, ...run('/usr/bin/id'), 'exec = [{ command = "/usr/bin/id"'],
  ['one argument more', exec('/usr/bin/echo', '{text}'), ...run('/usr/bin/echo', 'a', 'b'), 'exec = '],
  [
    'an option for git',
    exec('/usr/bin/git', '-C', '{shelf}', 'log', '{path:path}'),
    ...run('/usr/bin/git', '-C', '{shelf}', 'log', '--output=/tmp/x'),
    'exec = ',
  ],
  [
    'an action for tar',
    exec('/usr/bin/tar', '-tf', '{path:path}'),
    ...run('/usr/bin/tar', '-tf', '--checkpoint-action=exec=sh'),
    'exec = ',
  ],
  ['an action for find', exec('/usr/bin/find', '{path:path}'), ...run('/usr/bin/find', '-delete'), 'exec = '],
  [
    'a remote archive for tar',
    exec('/usr/bin/tar', '-tf', '{path:path}'),
    ...run('/usr/bin/tar', '-tf', 'evil.test:x'),
    'exec = ',
  ],
  ['an empty argument', exec('/usr/bin/echo', '{text}'), ...run('/usr/bin/echo', ''), 'exec = '],
  ['a command by a relative name', exec('/usr/bin/echo', '{text}'), ...run('echo', 'x'), 'exec = '],
  ['a tool', {}, 'tools.call', { tool: 'weather', arguments: {} }, 'tools = ["weather"]'],
  ['mail to somebody else', {}, 'mail.send', { to: ['a@evil.test'], subject: 's', body: 'b' }, 'mail = '],
  [
    'mail to one who is granted and one who is not',
    {},
    'mail.send',
    { to: ['a@example.com', 'b@evil.test'], subject: 's', body: 'b' },
    'mail = ',
  ],
  [
    'mail from somebody else',
    {},
    'mail.send',
    { from: 'boss@example.com', to: ['a@example.com'], subject: 's', body: 'b' },
    'mail = { from = "boss@example.com"',
  ],
  ['a message to another agent', {}, 'mailbox.send', { to: 'writer' }, 'mailbox = ["writer"]'],
  [
    'a message to one that is not named',
    { mailbox: ['writer'] },
    'mailbox.send',
    { to: 'critic' },
    'mailbox = ["critic"]',
  ],
];

describe('A8, A12: refused, with the name of the grant, to the agent and on the ledger', () => {
  test.each(rows)('%s', async (...row) => {
    const [, caps, op, args, grant] = fill(row);
    const named = row[4] instanceof RegExp ? row[4] : grant;
    const cap = {
      fs: 'fs',
      http: 'net',
      clock: 'time',
      kb: op === 'kb.propose' ? 'kb_write' : 'kb_read',
      secrets: 'secrets',
      model: 'model',
      exec: 'exec',
      tools: 'tools',
      mail: 'mail',
      mailbox: 'mailbox',
    }[op.split('.')[0] ?? ''];
    refused(await arena.play(caps, { op, args }), cap ?? '', op, named);
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
