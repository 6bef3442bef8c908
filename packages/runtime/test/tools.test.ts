/** Tools of a bundle: their file, their schemas, what a call comes to, and an MCP server for real. */
import { existsSync } from 'node:fs';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type JsonObject, type JsonValue, systemClock, unwrap } from '@runloop/core';
import {
  type Caps,
  type Tool,
  callMcp,
  callMcpOverHttp,
  createFetcher,
  createSchemaChecks,
  missingGrant,
  noCaps,
  parseTools,
  performExec,
  planTool,
} from '../src/index.ts';
import { schemaFault } from '../src/tools/schema-guard.ts';

const exec = { kind: 'exec', command: '/usr/bin/git', args: ['log', '{path:path}'] };
const http = {
  kind: 'http',
  method: 'POST',
  url: 'https://api.example.com/v1/{city}?u={unit}',
  headers: { Authorization: 'Bearer {{secret:runloop/x/key}}' },
};
const declare = (transport: object, more: object = {}): JsonObject =>
  ({ id: 't', description: 'd', transport, input_schema: {}, result_schema: {}, ...more }) as JsonObject;
const file = (...tools: readonly JsonObject[]): string => JSON.stringify({ version: 1, tools });
const tool = (transport: object): Tool => {
  const [found] = unwrap(parseTools(file(declare(transport))), 'tools');
  return found ?? expect.fail('no tool');
};

describe('tools.json', () => {
  test('is read', () => {
    const read = unwrap(parseTools(file(declare(http, { secrets: ['runloop/x/other'], retry: 'pure' }))), 'tools');
    expect(read).toMatchObject([
      { id: 't', transport: { type: 'http', method: 'POST' }, secrets: ['runloop/x/key', 'runloop/x/other'] },
    ]);
  });
  test.each([
    ['', /no JSON/],
    ['{"version":2,"tools":[]}', /version must be 1/],
    ['{"version":1,"tools":[],"x":1}', /"x" is no key/],
    [file(declare(exec), declare(exec)), /twice/],
    [file(declare(exec, { id: '../x' })), /no id/],
    [file(declare(exec, { retrys: 'pure' })), /"retrys" is no key/],
    [file(declare(exec, { retry: 'twice' })), /retry must be/],
    [file(declare(exec, { requires_confirmation: 'no' })), /true or false/],
    [file(declare({ ...exec, command: 'git' })), /absolute/],
    [file(declare({ ...exec, shell: true })), /"shell" is no key/],
    [file(declare({ ...exec, args: ['--x={path}'] })), /one whole argument/],
    [file(declare({ ...exec, args: ['{{secret:runloop/x/key}}'] })), /holds no secret/],
    [file(declare({ ...http, url: 'https://{host}/x' })), /after its host only/],
    [file(declare({ ...http, url: 'https://api.{host}/x' })), /after its host only/],
    [file(declare({ ...http, url: 'https://a@b.test/x' })), /http URL/],
    [file(declare({ ...http, url: 'file:///etc/passwd' })), /http URL/],
    [file(declare({ ...http, url: 'https://a.test/{{secret:x}}' })), /http URL/],
    [file(declare({ kind: 'shell' })), /exec, http or mcp/],
    [file(declare(exec, { input_schema: { pattern: '(a+)+$' } })), /"pattern" is not taken/],
    [file(declare(exec, { input_schema: true })), /must be a map/],
    [file(...Array.from({ length: 65 }, (_, i) => declare(exec, { id: `t${i}` }))), /more than 64 tools/],
    [`{"version":1,"tools":[],"x":"${'y'.repeat(270_000)}"}`, /larger than/],
  ])('A10, A12: file %# is refused', (text, expected) => {
    const read = parseTools(text);
    expect(read.ok ? '' : read.error.message).toMatch(expected);
  });
});

describe('schemas of a bundle', () => {
  const deep = (n: number): JsonObject => (n === 0 ? {} : { items: deep(n - 1) });
  test.each<[JsonValue, RegExp | undefined]>([
    [{ type: 'object', properties: { pattern: { type: 'string' }, format: {} }, required: ['pattern'] }, undefined],
    [{ $defs: { a: {} }, $ref: '#/$defs/a' }, undefined],
    [{ enum: [{ pattern: 'x' }], const: { format: 'x' } }, undefined],
    [{ properties: { a: { pattern: 'x' } } }, /pattern/],
    [{ allOf: [{ not: { patternProperties: {} } }] }, /patternProperties/],
    [{ properties: { properties: { properties: { a: { format: 'email' } } } } }, /format/],
    [{ $ref: 'https://evil.test/schema' }, /stay in its schema/],
    [{ items: { $ref: 'other.json' } }, /stay in its schema/],
    [{ $id: 'https://evil.test/' }, /\$id/],
    [{ $schema: 'http://json-schema.org/draft-07/schema#' }, /2020-12/],
    [deep(40), /deeper than 32/],
    [{ anyOf: Array.from({ length: 2001 }, () => ({})) }, /more than 2000/],
    [7, /map/],
  ])('A10: schema %#', (schema, expected) => {
    if (expected === undefined) expect(schemaFault(schema)).toBeUndefined();
    else expect(schemaFault(schema)).toMatch(expected);
  });

  test('values are checked off the main thread; A10: one that takes too long is given up, and the next is served', async () => {
    await using schemas = createSchemaChecks({ clock: systemClock });
    const schema = {
      type: 'object',
      properties: { n: { type: 'integer' } },
      required: ['n'],
      additionalProperties: false,
    };
    expect(await schemas.check(schema, { n: 1 })).toEqual({ ok: true, value: undefined });
    expect(await schemas.check(schema, { n: 'x' })).toMatchObject({ error: { message: 'value/n must be integer' } });
    expect(await schemas.check({ type: 'nonsense' }, 1)).toMatchObject({ error: { code: 'InvalidParams' } });
    const many = Array.from({ length: 30_000 }, (_, i) => ({ i }));
    const slow = schemas.check({ uniqueItems: true }, many);
    expect(await Promise.all([slow, schemas.check(schema, { n: 2 })])).toMatchObject([
      { error: { message: expect.stringMatching(/took longer than 1000 ms/) } },
      { ok: true },
    ]);
    // A reference to itself that never ends.
    expect(await schemas.check({ $ref: '#' }, 1)).toMatchObject({ ok: false });
  });
});

describe('what a call comes to', () => {
  test.each<[object, JsonObject, JsonValue | RegExp]>([
    [exec, { path: 'src' }, { type: 'exec', command: '/usr/bin/git', argv: ['log', 'src'] }],
    [exec, { path: '-x' }, /does not fit/],
    [exec, { path: '../x' }, /does not fit/],
    [exec, { path: ['a'] }, /does not fit/],
    [exec, {}, /does not fit/],
    [{ ...exec, args: [] }, { a: 1 }, { type: 'exec', command: '/usr/bin/git', argv: [], stdin: '{"a":1}' }],
    [
      http,
      { city: 'a/../b?c#d@e', unit: 3 },
      {
        type: 'http',
        request: {
          url: 'https://api.example.com/v1/a%2F..%2Fb%3Fc%23d%40e?u=3',
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: 'Bearer {{secret:runloop/x/key}}' },
          body: '{"city":"a/../b?c#d@e","unit":3}',
        },
      },
    ],
    [http, { city: '..', unit: 3 }, /does not fit/],
    [http, { city: '', unit: 3 }, /does not fit/],
    [http, { city: 'x' }, /does not fit/],
    [{ ...exec, args: ['{constructor}'] }, {}, /does not fit/],
  ])('%j with %j', (transport, args, expected) => {
    const plan = planTool(tool(transport), args);
    if (expected instanceof RegExp) expect(plan.ok ? '' : plan.error.message).toMatch(expected);
    else expect(plan).toEqual({ ok: true, value: expected });
  });

  const caps = (more: Partial<Caps>): Caps => ({ ...noCaps, tools: ['t'], ...more });
  const net = ['api.example.com'];
  const secrets = ['runloop/x/key'];
  test.each<[object, JsonObject, Partial<Caps>, string | undefined]>([
    [exec, { path: 'src' }, {}, 'exec = [{ command = "/usr/bin/git", argv = ["log", "src"] }]'],
    [exec, { path: 'src' }, { exec: [{ command: '/usr/bin/git', argv: ['log', '{p}'] }] }, undefined],
    [http, { city: 'x', unit: 1 }, {}, 'secrets = ["runloop/x/key"]'],
    [http, { city: 'x', unit: 1 }, { secrets }, 'net = ["api.example.com"]'],
    [http, { city: 'x', unit: 1 }, { secrets, net }, undefined],
  ])('A12: %j with %j needs %j', (transport, args, granted, expected) => {
    const made = tool(transport);
    expect(missingGrant(caps(granted), made, unwrap(planTool(made, args), 'a plan'))?.grant).toBe(expected);
  });
});

const python = '/usr/bin/python3';
const signal = new AbortController().signal;
const probe = await performExec({ clock: systemClock }, { command: '/usr/bin/env' }, { wallMsMax: 10_000 }, signal);

describe('an MCP server that is reached by a URL', () => {
  const serve = async (stream: boolean): Promise<{ url: string; seen: unknown[]; close: () => void }> => {
    const seen: unknown[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { id, method, params } = JSON.parse(body) as { id?: number; method: string; params?: { name: string } };
        seen.push([method, request.headers['mcp-session-id']]);
        if (id === undefined) {
          response.writeHead(202).end();
          return;
        }
        const result =
          method === 'initialize' ? { capabilities: {} } : { content: [{ type: 'text', text: `did ${params?.name}` }] };
        const failed = params?.name === 'bad' ? { error: { code: -1, message: 'unknown tool' } } : { result };
        const said = JSON.stringify({ jsonrpc: '2.0', id, ...failed });
        response.writeHead(200, { 'mcp-session-id': 's1' });
        response.end(stream ? `event: message\ndata: {"jsonrpc":"2.0","method":"x"}\n\ndata: ${said}\n\n` : said);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const close = (): void => {
      server.closeAllConnections();
      server.close();
    };
    return { url: `http://127.0.0.1:${port}/mcp`, seen, close };
  };

  test.each([true, false])('an event stream (%s), a session, an error, and nobody there', async (stream) => {
    await using fetcher = createFetcher({ clock: systemClock });
    const { url, seen, close } = await serve(stream);
    const ask = (tool: string): Promise<unknown> =>
      callMcpOverHttp(fetcher, url, { tool, arguments: {} }, 10_000, new AbortController().signal);
    expect(await ask('add')).toEqual({ ok: true, value: 'did add' });
    expect(seen).toEqual([
      ['initialize', undefined],
      ['notifications/initialized', 's1'],
      ['tools/call', 's1'],
    ]);
    expect(await ask('bad')).toMatchObject({ error: { message: expect.stringMatching(/unknown tool/) } });
    close();
    expect(await ask('add')).toMatchObject({ ok: false });
  });
});

describe.skipIf(!probe.ok || !existsSync(python))('an MCP server (needs bubblewrap and python3)', async () => {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'rl-mcp-')));
  afterAll(() => rm(dir, { recursive: true, force: true }));
  const script = join(dir, 'server.py');
  await writeFile(
    script,
    `import json, sys, os
ready = False
for line in sys.stdin:
    m = json.loads(line)
    if m.get('method') == 'notifications/initialized': ready = True
    if 'id' not in m: continue
    def say(**more): print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], **more}), flush=True)
    if m['method'] == 'initialize':
        print('not json', flush=True)
        print(json.dumps({'jsonrpc': '2.0', 'method': 'notifications/message', 'params': {}}), flush=True)
        say(result={'protocolVersion': m['params']['protocolVersion'], 'capabilities': {}, 'serverInfo': {}})
    elif m['params']['name'] == 'add':
        a = m['params']['arguments']
        say(result={'content': [], 'structuredContent': {'sum': a['a'] + a['b'], 'ready': ready, 'net': sorted(os.listdir('/sys/class/net')) if os.path.exists('/sys') else []}})
    elif m['params']['name'] == 'text': say(result={'content': [{'type': 'text', 'text': 'one'}, {'type': 'text', 'text': 'two'}]})
    elif m['params']['name'] == 'bad': say(result={'isError': True, 'content': [{'type': 'text', 'text': 'no such city'}]})
    elif m['params']['name'] == 'flood':
        while True: print('x' * 65536)
    elif m['params']['name'] == 'die': sys.exit(3)
    elif m['params']['name'] == 'hang': pass
    else: say(error={'code': -32602, 'message': 'unknown tool'})
`,
  );
  test.each<[string, object]>([
    ['add', { ok: true, value: { sum: 3, ready: true, net: [] } }],
    ['text', { ok: true, value: 'one\ntwo' }],
    ['bad', { error: { code: 'ProviderFailed', message: 'bad: no such city' } }],
    ['other', { error: { code: 'ProviderFailed', message: expect.stringMatching(/unknown tool/) } }],
    ['die', { error: { code: 'ProviderFailed', message: expect.stringMatching(/ended without an answer/) } }],
    ['flood', { error: { code: 'OutputTooLarge' } }],
    ['hang', { error: { code: 'DeadlineExceeded' } }],
  ])('A10: its tool %s', async (name, expected) => {
    const answer = await callMcp(
      { clock: systemClock },
      { command: python, args: [script] },
      { tool: name, arguments: { a: 1, b: 2 } },
      { wallMsMax: name === 'hang' ? 500 : 20_000, folders: [{ path: dir, write: false }] },
      signal,
    );
    expect(answer).toMatchObject(expected);
  });
});
