/** A session with a secret: whatever comes back and whatever breaks, its value is nowhere afterwards. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock, systemRandom, unwrap } from '@runloop/core';
import { type HostAnswer, parseTools } from '@runloop/runtime';
import { LogFile } from '../src/home/log-file.ts';
import { metaOf } from '../src/runs/tape.ts';
import { parseBinding } from '../src/secrets/binding.ts';
import { Scrubber } from '../src/secrets/scrubber.ts';
import { Vault } from '../src/secrets/vault.ts';
import { bundle, of, Place, traceId } from './runs-fixture.ts';

const value = 'sk-"Q9+/z\\ü 8x4=%v2';
const id = 'runloop/test/key';
const dir = realpathSync(mkdtempSync(join(tmpdir(), 'rl-hold-')));
const whole = [
  value,
  encodeURIComponent(value),
  JSON.stringify(value).slice(1, -1),
  Buffer.from(value).toString('hex'),
  Buffer.from(value).toString('hex').toUpperCase(),
  ...['', 'x', 'xy'].flatMap((before) => {
    const bytes = Buffer.from(`${before}${value}`);
    return [bytes.toString('base64'), bytes.toString('base64url')];
  }),
];
/** Of base64 the middle, which says the most. */
const encodings = whole.map((form, at) => (at < 5 ? form : form.slice(4, -4)));

const seen: string[] = [];
let server: Server;
let site = '';
beforeAll(async () => {
  server = createServer((request, response) => {
    const key = request.headers['x-key']?.toString() ?? '';
    seen.push(`${request.url ?? ''} ${key}`);
    if (request.url === '/401') response.writeHead(401).end(`bad key ${key}`);
    else if (request.url === '/cut') response.destroy();
    else if (request.url === '/away')
      response.writeHead(302, { location: site.replace('127.0.0.1', 'localhost') }).end();
    else {
      const bytes = Buffer.from(key);
      const body = { key, more: [bytes.toString('base64'), bytes.toString('hex'), encodeURIComponent(key)] };
      response.setHeader('x-echo', bytes.toString('base64url'));
      response.end(JSON.stringify(body) + Buffer.from(`x:${key}:y`).toString('base64'));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

function filesUnder(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((found) => found.isFile())
    .map((found) => join(found.parentPath, found.name));
}

/** Every place where one could look for it. */
function traces(root: string): string[] {
  const files = filesUnder(root).filter((path) => !path.endsWith('vault.json'));
  const lines = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `/proc/${pid}/cmdline`);
  return [...files, ...lines].filter((path) => {
    try {
      const text = readFileSync(path, 'latin1');
      return encodings.some((form) => text.includes(Buffer.from(form).toString('latin1')));
    } catch {
      return false;
    }
  });
}

test('answers, refusals, broken connections and failing programs leave no trace of a secret', async () => {
  const shown = join(dir, 'shown');
  mkdirSync(shown);
  const command = join(shown, 'complain');
  writeFileSync(command, `#!/usr/bin/sh\n/usr/bin/cat ${shown}/text >&2\nexit 3\n`, { mode: 0o700 });
  writeFileSync(join(shown, 'text'), `it said ${value}`);
  const complain = {
    id: 'complain',
    description: 'Fails.',
    transport: { kind: 'exec', command, args: ['{how}'] },
    input_schema: { type: 'object', properties: { how: { type: 'string' } }, required: ['how'] },
    result_schema: {},
  };
  const tools = unwrap(parseTools(JSON.stringify({ version: 1, tools: [complain] })), 'tools');
  await using place = await Place.open();
  const vault = new Vault({ random: systemRandom }, join(place.path, 'secrets'));
  unwrap(await vault.init({ passphrase: 'correct horse' }), 'a vault');
  unwrap(await vault.put(id, { value, binding: unwrap(parseBinding(`${site}:x-key`), 'use'), putMs: 1 }), 'put');
  const answers: HostAnswer[] = [];
  const calls: readonly (readonly [string, object])[] = [
    ['secrets.ref', { id }],
    ['http.fetch', { url: `${site}/`, headers: { 'x-key': `{{secret:${id}}}` } }],
    ['http.fetch', { url: `${site}/401`, headers: { 'x-key': `{{secret:${id}}}` } }],
    ['http.fetch', { url: `${site}/cut`, headers: { 'x-key': `{{secret:${id}}}` } }],
    ['http.fetch', { url: `${site}/away`, headers: { 'x-key': `{{secret:${id}}}` } }],
    ['http.fetch', { url: `${site}/`, headers: { 'x-other': `{{secret:${id}}}` } }],
    ['http.fetch', { url: site.replace('127.0.0.1', 'localhost'), headers: { 'x-key': `{{secret:${id}}}` } }],
    ['http.fetch', { url: `${site}/`, headers: { 'x-key': '{{secret:runloop/test/other}}' } }],
    ...(existsSync('/usr/bin/bwrap') ? [['tools.call', { tool: 'complain', arguments: { how: 'x' } }] as const] : []),
  ];
  const { submit, until } = await place.boot(
    async (call) => {
      for (const [op, args] of calls) answers.push(await call(op, args as never));
      // The agent could not give away what it was told.
      return JSON.parse(JSON.stringify(answers)) as never;
    },
    {
      secrets: vault,
      operator: { confirms: false },
      bundle: {
        ...bundle,
        tools,
        caps: {
          ...bundle.caps,
          net: [site, site.replace('127.0.0.1', 'localhost')],
          secrets: [id],
          tools: ['complain'],
          exec: [{ command, argv: ['{how}'] }],
          fs: [{ path: shown, write: false }],
        },
      },
    },
  );
  await submit();
  const rows = await until('run.finished');
  expect(of(rows, 'run.finished').map(metaOf)).toMatchObject([{ state: 'succeeded' }]);
  expect(answers).toMatchObject([
    { type: 'value', value: { ref: `{{secret:${id}}}` } },
    { type: 'value', value: { status: 200, headers: { 'x-echo': '[secret]' } } },
    { type: 'value', value: { status: 401, body: 'bad key [secret]' } },
    { type: 'error' },
    { type: 'value', value: { status: 200 } },
    { type: 'error', code: 'CapabilityDenied', message: expect.stringContaining('not for') },
    { type: 'error', code: 'CapabilityDenied', message: expect.stringContaining('not for') },
    { type: 'error', code: 'CapabilityDenied', message: expect.stringContaining('secrets = ["runloop/test/other"]') },
    ...(answers.length === 9 ? [{ type: 'error', message: expect.stringContaining('it said [secret]') }] : []),
  ]);
  // It was sent where it belongs, and not along with the redirect.
  expect(seen).toEqual([`/ ${value}`, `/401 ${value}`, `/cut ${value}`, `/away ${value}`, '/ ']);
  expect(of(rows, 'effect.result').length).toBe(calls.length);
  const told = JSON.stringify([answers, rows, unwrap(await place.kb.run(traceId), 'the views')]);
  for (const form of encodings) expect(told).not.toContain(form);
  expect(traces(place.path)).toEqual([]);
  // The search itself finds what is there.
  writeFileSync(join(place.path, 'planted'), `x${Buffer.from(`12${value}`).toString('base64')}`);
  expect(traces(place.path)).toEqual([join(place.path, 'planted')]);
});

test('no line of a log holds one', async () => {
  const scrubber = new Scrubber();
  scrubber.add(value);
  const path = join(dir, 'log');
  {
    await using log = new LogFile(path, systemClock, 'trace', scrubber);
    for (const form of whole) log.log('info', `said ${form}.`, { [form]: [form], n: 1 });
  }
  const text = readFileSync(path, 'utf8');
  for (const form of encodings) expect(text).not.toContain(form);
  for (const line of text.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ n: 1 });
});
