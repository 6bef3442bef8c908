/** Calls that leave: what is asked about, what is told, and what happens when a thing changes after it was approved. */
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type JsonObject, unwrap } from '@runloop/core';
import { type Bundle, type Caps, type HostAnswer, parseTools } from '@runloop/runtime';
import { mcpServersOf } from '../src/host/tool-calls.ts';
import { metaOf } from '../src/runs/tape.ts';
import { bundle, of, Place, type Boot, traceId } from './runs-fixture.ts';

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'rl-out-')));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const granted = (caps: Partial<Caps>): Bundle => ({ ...bundle, caps: { ...bundle.caps, ...caps } });
/** Waits for the nth question and answers it. */
async function decide({ runs, until }: Boot, nth: number): Promise<JsonObject> {
  for (;;) {
    const asked = of(await until('action.requested'), 'action.requested').map((row) => metaOf(row));
    const question = asked[nth];
    if (question === undefined) {
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
      continue;
    }
    const { action, hash } = question;
    await runs.get(traceId)?.questions.decide(String(action), String(hash), 'approve', 'me');
    return question;
  }
}

test.skipIf(!existsSync('/usr/bin/bwrap'))(
  'an executable that changed after it was shown is asked about again',
  async () => {
    const command = join(dir, 'tool');
    const write = (text: string): void => writeFileSync(command, `#!/usr/bin/sh\necho ${text}\n`, { mode: 0o700 });
    write('one');
    await using place = await Place.open();
    const answers: HostAnswer[] = [];
    const boot = await place.boot(
      async (call) => {
        const answer = await call('exec.run', { command, argv: ['x'] });
        answers.push(answer);
        return 1;
      },
      {
        bundle: granted({ exec: [{ command, argv: ['{x}'] }], fs: [{ path: dir, write: false }] }),
      },
    );
    await boot.submit();
    await boot.until('node.waiting');
    write('two');
    const first = await decide(boot, 0);
    const second = await decide(boot, 1);
    const name = `executable ${command}`;
    const digests = [first, second].map((question) => (question['referents'] as JsonObject)[name]);
    expect(digests).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(digests[0]).not.toBe(digests[1]);
    const rows = await boot.until('run.finished');
    expect(answers).toMatchObject([{ value: { exit_code: 0, stdout: 'two\n' } }]);
    expect(of(rows, 'tool.called').map(metaOf)).toMatchObject([
      { tool: 'exec.run', target: command, ok: true, exit_code: 0 },
    ]);
  },
);

test('http.fetch is told, and a refusal on the way is audited', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: 'https://evil.test/' }).end();
    else response.end('hello');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await using place = await Place.open();
    const answers: HostAnswer[] = [];
    const { submit, until } = await place.boot(
      async (call) => {
        for (const path of ['/', '/away']) {
          answers.push(await call('http.fetch', { url: `${site}${path}` }));
        }
        return 1;
      },
      { bundle: granted({ net: [site] }) },
    );
    await submit();
    const rows = await until('run.finished');
    expect(answers).toMatchObject([
      { type: 'value', value: { status: 200, body: 'hello' } },
      { type: 'error', code: 'CapabilityDenied', message: expect.stringContaining('net = ["evil.test"]') },
    ]);
    expect(of(rows, 'tool.called').map(metaOf)).toMatchObject([
      { tool: 'http.fetch', ok: true, status: 200 },
      { tool: 'http.fetch', ok: false, code: 'CapabilityDenied' },
    ]);
    expect(of(rows, 'cap.audit').map(metaOf)).toMatchObject([{ cap: 'net', op: 'http.fetch', decision: 'deny' }]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('a tool over http: grants, secrets at the last moment, schemas, and nothing recorded holds the secret', async () => {
  const secret = 'h0p3-th4t-n0b0dy-s33s';
  const seen: unknown[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    const { pathname } = new URL(request.url ?? '', 'http://x');
    response.end(pathname === '/Rome' ? JSON.stringify({ c: 21, echo: request.headers.authorization }) : '"cold"');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const weather = {
    id: 'weather',
    description: 'The weather of a city.',
    transport: {
      kind: 'http',
      method: 'GET',
      url: `${site}/{city}`,
      headers: { authorization: 'Bearer {{secret:runloop/weather/key}}' },
    },
    input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    result_schema: { type: 'object', properties: { c: { type: 'integer' } }, required: ['c'] },
  };
  const tools = unwrap(parseTools(JSON.stringify({ version: 1, tools: [weather] })), 'tools');
  const call1 = { tool: 'weather', arguments: { city: 'Rome' } };
  const play = async (
    caps: Partial<Caps>,
    calls: readonly JsonObject[],
  ): Promise<[HostAnswer[], string, JsonObject[]]> => {
    await using place = await Place.open();
    const answers: HostAnswer[] = [];
    const boot = await place.boot(
      async (call) => {
        answers.length = 0;
        for (const args of calls) answers.push(await call('tools.call', args));
        return 1;
      },
      {
        bundle: { ...granted({ tools: ['weather'], ...caps }), tools },
        env: { RUNLOOP_RUNLOOP_WEATHER_KEY: secret },
      },
    );
    await boot.submit();
    const asked: JsonObject[] = [];
    if (caps.net !== undefined) for (const index of calls.keys()) asked.push(await decide(boot, index));
    const rows = await boot.until('run.finished');
    return [answers, JSON.stringify(rows), asked];
  };
  try {
    const [refusals, , none] = await play({}, [call1, { tool: 'other' }]);
    expect(refusals).toMatchObject([
      { code: 'CapabilityDenied', message: expect.stringContaining('secrets = ["runloop/weather/key"]') },
      { code: 'CapabilityDenied', message: expect.stringContaining('tools = ["other"]') },
    ]);
    expect(none).toEqual([]);
    expect(seen).toEqual([]);
    const [answers, tape, asked] = await play({ net: [site], secrets: ['runloop/weather/key'] }, [
      call1,
      { tool: 'weather', arguments: { city: 'Oslo' } },
      { tool: 'weather', arguments: { city: 'Rome', extra: true } },
    ]);
    expect(answers).toMatchObject([
      { type: 'value', value: { c: 21, echo: 'Bearer [secret]' } },
      { type: 'error', code: 'ProviderFailed', message: expect.stringMatching(/its result: value must be object/) },
      { type: 'value' },
    ]);
    expect(asked[0]).toMatchObject({ referents: { 'tool weather': tools[0]?.digest } });
    expect(seen).toEqual(Array.from({ length: 3 }, () => `Bearer ${secret}`));
    expect(tape).not.toContain(secret);
    expect(tape).toContain('tool.called');
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test.skipIf(!existsSync('/usr/bin/bwrap'))(
  'a tool over a command: its arguments on standard input',
  async () => {
    const echo = {
      id: 'echo',
      description: 'Gives back what it gets.',
      transport: { kind: 'exec', command: '/usr/bin/cat' },
      input_schema: { type: 'object', properties: { n: { type: 'integer' } }, additionalProperties: false },
      result_schema: { type: 'object' },
    };
    const tools = unwrap(parseTools(JSON.stringify({ version: 1, tools: [echo] })), 'tools');
    await using place = await Place.open();
    const answers: HostAnswer[] = [];
    const boot = await place.boot(
      async (call) => {
        answers.length = 0;
        for (const args of [{ n: 7 }, { m: 7 }])
          answers.push(await call('tools.call', { tool: 'echo', arguments: args }));
        return 1;
      },
      { bundle: { ...granted({ tools: ['echo'], exec: [{ command: '/usr/bin/cat', argv: [] }] }), tools } },
    );
    await boot.submit();
    for (const index of [0, 1]) await decide(boot, index);
    await boot.until('run.finished');
    expect(answers).toMatchObject([
      { type: 'value', value: { n: 7 } },
      { type: 'error', code: 'InvalidParams', message: expect.stringMatching(/additional properties/) },
    ]);
  },
  30_000,
);

test.each<[JsonObject, RegExp | number]>([
  [{}, 0],
  [{ a: { command: '/usr/bin/a' }, b: { url: 'https://b.test/mcp' } }, 2],
  [{ a: { command: 'a' } }, /tools\.mcp\.servers\.a must be/],
  [{ a: { command: '/a', args: [1] } }, /must be/],
  [{ a: { command: '/a', url: 'https://b.test/' } }, /must be/],
  [{ a: 'npx a' }, /must be/],
])('A12: MCP servers %j', (servers, expected) => {
  const found = mcpServersOf(servers);
  if (typeof expected === 'number') expect(unwrap(found, 'servers').size).toBe(expected);
  else expect(found.ok ? '' : found.error.message).toMatch(expected);
});
