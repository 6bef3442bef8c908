/**
 * Hostile use of what was granted: more tokens than were allowed, a secret shown elsewhere, a tool without its transport,
 * evidence that is none, and things that change between the question and the deed.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type JsonObject, unwrap } from '@runloop/core';
import { type FakeProvider, startFakeProvider } from '@runloop/testkit';
import { Arena, refused } from './arena.ts';

const secret = 'hunter2-correct-horse';
let arena: Arena;
let model: FakeProvider;
const servers: Server[] = [];
const seen: { readonly site: string; readonly authorization: string | undefined }[] = [];
let own: string;
let other: string;

async function serve(name: string): Promise<string> {
  const server = createServer((request, response) => {
    seen.push({ site: name, authorization: request.headers.authorization });
    response.end(`you said ${request.headers.authorization ?? 'nothing'}`);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  [own, other, model] = [await serve('own'), await serve('other'), await startFakeProvider()];
  const config = {
    version: 1,
    security: { secrets: { provider: 'vault' } },
    models: { default: 'fake:m', broker: { providers: [{ id: 'fake', kind: 'http', base_url: model.url }] } },
  };
  const tool = {
    id: 'weather',
    description: 'asks for the weather',
    transport: { kind: 'http', method: 'GET', url: `${own}/weather` },
    input_schema: { type: 'object' },
    result_schema: {},
  };
  arena = await Arena.open(
    `
fs = [{ path = "{shelf}", write = true }]
net = ["${own}", "${other}"]
kb_read = true
kb_write = true
secrets = ["runloop/hostile/key"]
model = { allow = ["*"], tokens_per_run = 60 }
tools = ["weather"]
exec = [{ command = "{shelf}/tool", argv = [] }]
`,
    JSON.stringify(config),
    { version: 1, tools: [tool] },
    false,
  );
  for (const args of [
    ['secrets', 'init', '--key-file'],
    ['secrets', 'put', 'runloop/hostile/key', '--for', own],
  ]) {
    const done = await arena.home.rlpWith({ input: `${secret}\n` }, ...args);
    if (done.code !== 0) throw new Error(`rlp ${args.join(' ')}: ${done.err}`);
  }
});
afterAll(async () => {
  await arena[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  for (const server of servers) server.close();
});

test('more tokens than the agent was given: the provider never hears of it', async () => {
  const ask = { messages: [{ role: 'user', content: 'hello' }], max_tokens: 20 };
  const caps = { model: { allow: ['*'], tokens_per_run: 60 } };
  const { answers } = await arena.play(caps, ...Array.from({ length: 8 }, () => ({ op: 'model.complete', args: ask })));
  const codes = (answers ?? []).map(({ ok, code }) => (ok ? 'ok' : code));
  expect(codes.filter((code) => code === 'ok').length).toBeGreaterThan(0);
  expect(codes.at(-1)).toBe('BudgetExceeded');
  expect(model.requests.length).toBe(codes.filter((code) => code === 'ok').length);
});

const shown = { shown: 'Bearer {{secret:runloop/hostile/key}}' };

describe('a secret', () => {
  const show = (url: string): JsonObject => ({
    url,
    headers: { authorization: '{{params.shown}}' },
  });

  test('goes where it was put for, and comes back scrubbed', async () => {
    const { answers } = await arena.playWith(
      shown,
      { net: [own], secrets: ['runloop/hostile/key'] },
      { op: 'http.fetch', args: show(`${own}/`) },
    );
    expect(seen.at(-1)).toEqual({ site: 'own', authorization: `Bearer ${secret}` });
    expect(JSON.stringify(answers)).not.toContain(secret);
    expect(answers?.[0]).toMatchObject({ ok: true });
  });

  test('goes nowhere else, although the host is granted', async () => {
    const before = seen.length;
    const { answers } = await arena.playWith(
      shown,
      { net: [other], secrets: ['runloop/hostile/key'] },
      { op: 'http.fetch', args: show(`${other}/`) },
    );
    expect(answers?.[0]).toMatchObject({ ok: false });
    expect(JSON.stringify(answers)).not.toContain(secret);
    expect(seen.slice(before).filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });

  test('is not there without its grant', async () => {
    refused(
      await arena.playWith(shown, { net: [own] }, { op: 'http.fetch', args: show(`${own}/`) }),
      'net',
      'http.fetch',
      'secrets = ["runloop/hostile/key"]',
    );
  });
});

test('a tool whose transport is not granted', async () => {
  const call = { op: 'tools.call', args: { tool: 'weather', arguments: {} } };
  refused(await arena.play({ tools: ['weather'] }, call), 'tools', 'tools.call', 'net = ');
});

test('evidence that does not exist', async () => {
  const fact = { subject: 's', predicate: 'p', object: 'o' };
  const propose = { op: 'kb.propose', args: { kind: 'fact.asserted', payload: fact, evidence: [999_999] } };
  const { answers } = await arena.play({ kb_write: true }, propose);
  expect(answers?.[0]).toMatchObject({ ok: false, code: 'InvalidDelta', message: expect.stringMatching(/evidence/) });
});

test('an executable that is exchanged while its question is open is asked about again', async () => {
  const tool = join(arena.shelf, 'tool');
  copyFileSync('/usr/bin/true', tool);
  const tries = [{ op: 'exec.run', args: { command: tool, argv: [] } }];
  const node = { id: 'n', use: 'agent:hostile', with: { tries } };
  const traceId = 'e'.repeat(32) as never;
  const text = JSON.stringify({ version: 0, name: 'exchange', nodes: [node] });
  unwrap(await arena.client.call('run.submit', { text, on_confirm: 'wait' }, { traceId }), 'a run');
  const asked: JsonObject[] = [];
  for await (const event of arena.client.follow(traceId)) {
    if (event.kind !== 'action.requested') continue;
    asked.push(event.meta);
    if (asked.length === 1) {
      copyFileSync('/usr/bin/false', `${tool}.new`);
      renameSync(`${tool}.new`, tool);
      await arena.approve(event.meta);
    } else
      unwrap(
        await arena.client.call('action.decide', {
          action: event.meta['action'],
          hash: event.meta['hash'],
          decision: 'deny',
        }),
        'a no',
      );
  }
  expect(asked).toHaveLength(2);
  expect(asked[1]?.['referents']).not.toEqual(asked[0]?.['referents']);
});

describe('files that are exchanged under a daemon', () => {
  const flip = (path: string): void => {
    const bytes = readFileSync(path);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  };
  const restart = async (): Promise<void> => {
    expect((await arena.home.rlp('daemon', 'stop')).code).toBe(0);
    expect((await arena.home.rlp('daemon', 'start')).code).toBe(0);
  };
  const end = async (): Promise<string> => {
    const file = join(arena.home.path, '..', `${arena.home.path.split('/').pop() ?? ''}.yaml`);
    writeFileSync(
      file,
      JSON.stringify({ version: 0, name: 'again', nodes: [{ id: 'n', use: 'agent:hostile', with: { tries: [] } }] }),
    );
    const { events, err } = await arena.home.run([file]);
    const finished = events.find(({ kind }) => kind === 'node.finished')?.meta;
    return `${String(finished?.['state'])} ${String(finished?.['reason'] ?? '')} ${err}`;
  };

  test('a prepared component is refused', async () => {
    const prepared = join(arena.home.path, 'cache', 'cells', 'prepared');
    for (const key of readdirSync(prepared)) {
      const modules = join(prepared, key, 'modules.bin');
      if (existsSync(modules)) flip(modules);
    }
    await restart();
    expect(await end()).toMatch(/failed .*is not what was prepared/);
  });

  test('a bundle is refused', async () => {
    flip(join(arena.home.path, 'agents', 'hostile', 'bin', 'hostile.wasm'));
    expect(await end()).toMatch(/not what was signed/);
  });
});
