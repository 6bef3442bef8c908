/**
 * What an agent may not do, a line for each way: the same for agents in TypeScript and for components written by hand.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '@runloop/core';

/** What the agent asks for at most; each case takes away what it is about. */
export const policy = (site: string, privateName: string | undefined): string => `
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
`;

/** What lies in the directory that may be granted. */
export function furnish(shelf: string, home: string): void {
  mkdirSync(join(shelf, 'deep'));
  writeFileSync(join(shelf, 'book'), 'read me');
  writeFileSync(join(shelf, 'script'), '#!/bin/sh\n');
  chmodSync(join(shelf, 'script'), 0o755);
  symlinkSync('/etc', join(shelf, 'etc'));
  symlinkSync(join(home, 'operator.token'), join(shelf, 'token'));
  linkSync(join(shelf, 'book'), join(shelf, 'hard'));
  writeFileSync(join(shelf, 'solo'), 'x');
  execFileSync('mkfifo', [join(shelf, 'fifo')]);
}

/** `{shelf}`, `{home}` and `{site}` stand for what is known only when the tests run. */
export function filled<T>(
  value: T,
  known: { readonly shelf: string; readonly home: string; readonly site: string },
): T {
  const text = Object.entries(known).reduce(
    (so, [name, path]) => so.replaceAll(`{${name}}`, path),
    JSON.stringify(value),
  );
  return JSON.parse(text) as T;
}

/** The capability that an operation is about. */
export function capOf(op: string): string {
  const caps: { readonly [first: string]: string } = {
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
  };
  return caps[op.split('.')[0] ?? ''] ?? '';
}

export type Refusal = readonly [what: string, caps: JsonObject, op: string, args: JsonObject, grant: string | RegExp];
export const readOnly = { fs: ['{shelf}'] } as const;
export const writable = { fs: [{ path: '{shelf}', write: true }] } as const;
export const read = (path: string): readonly ['fs.read', { path: string }] => ['fs.read', { path }];
export const fetch = (url: string, more: JsonObject = {}): readonly ['http.fetch', JsonObject] => [
  'http.fetch',
  { url, ...more },
];
export const run = (command: string, ...argv: readonly string[]): readonly ['exec.run', JsonObject] => [
  'exec.run',
  { command, argv },
];
export const exec = (command: string, ...argv: readonly string[]): JsonObject => ({
  exec: [{ command, argv }],
  fs: ['{shelf}'],
});

export const refusals: readonly Refusal[] = [
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
  [
    'a rename to the outside',
    writable,
    'fs.rename',
    { from: '{shelf}/solo', to: '/tmp/solo' },
    'fs = [{ path = "/tmp"',
  ],
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

/** Granted, and refused where it leads elsewhere. */
export const astray: readonly (readonly [
  what: string,
  caps: JsonObject,
  op: string,
  args: JsonObject,
  words: RegExp,
])[] = [
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
];

/** An address that only `contacts_raw` shows, and the ways in which one may be asked for it. */
export const address = {
  contact: 'contact:ann',
  name: 'Ann',
  email: 'ann.secret@acme.example',
  notes: 'or ann.secret@acme.example',
};
export const asksForIt: readonly (readonly [what: string, op: string, args: JsonObject])[] = [
  ['a query', 'kb.query', { kind: 'contact', key: 'contact:ann' }],
  ['a query that says raw', 'kb.query', { kind: 'contact', key: 'contact:ann', raw: true }],
  ['a search', 'kb.search', { text: 'Ann', max: 5, kinds: ['contact'] }],
  ['a search that says raw', 'kb.search', { text: 'Ann', max: 5, kinds: ['contact'], raw: true }],
  ['a search for the address itself', 'kb.search', { text: 'ann.secret', max: 5, kinds: ['contact'] }],
  ['its lineage', 'kb.why', { entity: 'contact:ann' }],
];
