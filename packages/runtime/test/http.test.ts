/** http.fetch: what grants cover, what addresses are reached, and real servers that misbehave. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type IncomingMessage, type RequestListener, type Server, type ServerResponse, createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { type Failure, type JsonObject, type Result, systemClock, unwrap } from '@runloop/core';
import { type Fetcher, createFetcher, noCaps, parseCaps, parseFetch } from '../src/index.ts';
import { judge } from '../src/kernel/grants.ts';
import { isPublicAddress } from '../src/net/addresses.ts';
import { redirected } from '../src/net/redirect.ts';

const grants = [
  'api.example.com',
  'api.example.com:8443',
  '*.example.org',
  'http://plain.test:8080',
  '127.0.0.1',
  '[::1]',
];

describe('what a net grant covers', () => {
  test.each([
    ['https://api.example.com/x?y#z', true],
    ['https://API.example.COM/', true],
    ['https://api.example.com:443/', true],
    ['https://api.example.com:8443/', true],
    ['https://a.example.org/', true],
    ['https://a.b.example.org/', true],
    ['http://plain.test:8080/', true],
    ['https://127.0.0.1/', true],
    ['https://2130706433/', true],
    ['https://[::1]/', true],
    ['http://api.example.com/', false],
    ['https://api.example.com:8080/', false],
    ['https://api.example.com./', false],
    ['https://a.example.org./', false],
    ['http://a.example.org/', false],
    ['http://a.example.org:443/', false],
    ['https://example.org/', false],
    ['https://.example.org/', false],
    ['https://a.example.org:8443/', false],
    ['https://evilexample.org/', false],
    ['https://plain.test:8080/', false],
    ['http://plain.test/', false],
    ['https://user@api.example.com/', false],
    ['https://user:pw@api.example.com/', false],
    ['https://api.example.com@evil.test/', false],
    ['https://evil.test\\@api.example.com/', false],
    ['https:\\\\api.example.com/', false],
    ['https://api.example.com\t/', false],
    ['https://evil.test/?.example.org', false],
    ['https://evil.test#.example.org', false],
    ['https://аpi.example.com/', false],
    ['https://api。evil.test/', false],
    ['https://[::ffff:127.0.0.1]/', false],
    ['https://127.0.0.2/', false],
    ['https://0x7f000002/', false],
    ['ftp://api.example.com/', false],
    ['//api.example.com/', false],
    ['file:///etc/passwd', false],
    ['', false],
  ])('%j: %s', (url, expected) => {
    expect(judge({ ...noCaps, net: grants }, 'net', 'http.fetch', { url }).allowed).toBe(expected);
  });

  test.each(['0x7f.1', '2130706433', '0177.0.0.1', '127.1', '①②⑦.⓪.⓪.①', '127.0.0.1', '127。0。0。1'])(
    'A12: %s is 127.0.0.1 however it is written, and the refusal names the grant',
    (host) => {
      expect(judge({ ...noCaps, net: ['*.0.0.1'] }, 'net', 'http.fetch', { url: `https://${host}/` })).toMatchObject({
        allowed: false,
        grant: 'net = ["127.0.0.1"]',
      });
    },
  );

  test.each([
    ['api.example.com', true],
    ['*.example.org', true],
    ['*.example.org:8443', true],
    ['http://127.0.0.1:8080', true],
    ['[::1]:8443', true],
    ['API.example.com', false],
    ['https://api.example.com', false],
    ['api.example.com/path', false],
    ['api.example.com:443', false],
    ['*', false],
    ['a.*.com', false],
    ['http://*.example.org', false],
    ['*.0.0.1', false],
  ])('the grant %s is one: %s', (grant, expected) => {
    expect(parseCaps(`net = ["${grant}"]`).ok).toBe(expected);
  });
});

describe('addresses', () => {
  test.each([
    ['93.184.216.34', true],
    ['2606:2800:220:1::1', true],
    ...[
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '100.100.100.200',
      '127.0.0.1',
      '127.255.0.1',
      '168.63.129.16',
      '169.254.169.254',
      '172.16.0.1',
      '172.31.255.255',
      '192.0.0.192',
      '192.0.2.1',
      '192.88.99.1',
      '192.168.0.1',
      '198.18.0.1',
      '198.51.100.1',
      '203.0.113.1',
      '224.0.0.1',
      '240.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      '::127.0.0.1',
      '::ffff:127.0.0.1',
      '::ffff:93.184.216.34',
      '64:ff9b::7f00:1',
      '64:ff9b:1::1',
      '100::1',
      '2001::1',
      '2001:0:7f00:1::',
      '2001:db8::1',
      '2002:7f00:1::',
      '3fff::1',
      'fc00::1',
      'fd00:ec2::254',
      'fe80::1',
      'fec0::1',
      'ff02::1',
      '5f00::1',
      'nonsense',
      '',
    ].map((address): [string, boolean] => [address, false]),
  ])('%s is public: %s', (address, expected) => expect(isPublicAddress(address)).toBe(expected));
});

describe('requests', () => {
  test.each([
    [{ url: 'https://x.test/', method: 'get' }, /method must be/],
    [{ url: 'https://x.test/', method: 'CONNECT' }, /method must be/],
    [{ url: 'https://x.test/', body: 'x' }, /has no body/],
    [{ url: 'https://x.test/', method: 'POST', body: 7 }, /text or \{ base64 \}/],
    [{ url: 'https://x.test/', timeout_ms: 0 }, /timeout_ms/],
    [{ url: 'https://x.test/', timeout_ms: 1e9 }, /timeout_ms/],
    [{ url: 'https://x.test/', redirect: 'error' }, /redirect/],
    [{ url: 'https://x.test/', headers: [] }, /map of texts/],
    [{ url: 'https://x.test/', headers: { a: 'b\r\nc: d' } }, /one line/],
    [{ url: 'https://x.test/', headers: { 'a b': 'c' } }, /no name/],
    [{ url: 'https://x.test/', headers: { A: '1', a: '2' } }, /given twice/],
    [
      { url: 'https://x.test/', headers: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, ''])) },
      /64/,
    ],
    ...[
      'Host',
      'Connection',
      'Transfer-Encoding',
      'content-length',
      'Upgrade',
      'proxy-authorization',
      'Expect',
      'TE',
    ].map((name): [JsonObject, RegExp] => [{ url: 'https://x.test/', headers: { [name]: 'x' } }, /set by the host/]),
  ] as [JsonObject, RegExp][])('%j is none', (args, expected) => {
    const parsed = parseFetch(args);
    expect(parsed.ok ? '' : parsed.error.message).toMatch(expected);
  });
});

test('A10: a body that is too large is none', () => {
  const args = { url: 'https://x.test/', method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) };
  expect(parseFetch(args)).toMatchObject({ error: { message: expect.stringMatching(/larger than 1048576/) } });
});

describe('redirects', () => {
  const headers = { authorization: 'a', cookie: 'c', 'x-api-key': 'k', accept: 't', 'content-type': 'j' };
  const request = { url: 'https://a.test/x', headers, timeoutMs: 1, follow: true };
  const body = Buffer.from('b');
  const stripped = { accept: 't' };
  const { 'content-type': _, ...withoutBody } = headers;
  test.each([
    ['GET', 302, '/y', { method: 'GET', url: 'https://a.test/y', headers }],
    ['GET', 302, 'https://b.test/', { method: 'GET', url: 'https://b.test/', headers: stripped }],
    ['GET', 302, 'https://a.test:8443/', { headers: stripped }],
    ['GET', 302, 'http://a.test/', { url: 'http://a.test/', headers: stripped }],
    ['HEAD', 303, '/y', { method: 'HEAD' }],
    ['POST', 303, '/y', { method: 'GET', headers: withoutBody, body: undefined }],
    ['POST', 301, '/y', { method: 'GET', headers: withoutBody, body: undefined }],
    ['POST', 303, 'https://b.test/', { method: 'GET', headers: stripped, body: undefined }],
    ['POST', 307, '/y', { method: 'POST', headers, body }],
    ['PUT', 302, '/y', { method: 'PUT', body }],
    ['POST', 308, 'https://b.test/', 'CapabilityDenied'],
    ['DELETE', 302, 'https://b.test/', 'CapabilityDenied'],
    ['GET', 302, 'file:///etc/passwd', 'CapabilityDenied'],
    ['GET', 302, 'https://u:p@b.test/', 'CapabilityDenied'],
    ['GET', 302, 'https://', 'ProviderFailed'],
    ['GET', 304, '/y', undefined],
    ['GET', 200, '/y', undefined],
  ] as const)('%s %s %s', (method, status, location, expected) => {
    const sent = method === 'GET' || method === 'HEAD' ? { ...request, method } : { ...request, method, body };
    const next = redirected(sent, status, location);
    if (typeof expected === 'string') expect(next).toMatchObject({ ok: false, error: { code: expected } });
    else if (expected === undefined) expect(next).toEqual({ ok: true, value: undefined });
    else if (next.ok) expect({ body: undefined, ...next.value }).toMatchObject(expected);
  });
});

const closing: AsyncDisposableStack = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const fetcher: Fetcher = closing.use(createFetcher({ clock: systemClock }));
type Ask = {
  readonly args?: JsonObject;
  readonly more?: readonly string[];
  readonly signal?: AbortSignal;
  readonly by?: Fetcher;
};

async function ask(
  url: string,
  { args = {}, more = [], signal, by = fetcher }: Ask = {},
): Promise<Result<JsonObject, Failure>> {
  const request = unwrap(parseFetch({ url, ...args }), 'a request');
  const { protocol, host } = new URL(url);
  const own = protocol === 'https:' ? host : `http://${host}`;
  return by.fetch(request, [own, ...more], signal ?? new AbortController().signal);
}

async function site(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(createServer(listener))}`;
}

describe('real servers', () => {
  test('text, bytes, headers, and connections that are kept', async () => {
    const ports = new Set<number | undefined>();
    const url = await site((request, response) => {
      ports.add(request.socket.remotePort);
      response.setHeader(
        'x-got',
        JSON.stringify([request.method, request.headers['x-a'], request.headers['user-agent']]),
      );
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      if (request.url === '/bytes') response.end(Buffer.from([0xff, 0]));
      else request.pipe(response);
    });
    expect(await ask(url, { args: { method: 'POST', body: 'häl', headers: { 'X-A': 'b' } } })).toMatchObject({
      ok: true,
      value: {
        status: 200,
        body: 'häl',
        truncated: false,
        url: `${url}/`,
        headers: { 'x-got': '["POST","b","runloop"]', 'set-cookie': ['a=1', 'b=2'] },
      },
    });
    expect(await ask(`${url}/bytes`)).toMatchObject({ value: { body: { base64: '/wA=' } } });
    for (let i = 0; i < 8; i += 1) await ask(url);
    // A connection that is just being given back may be passed over.
    expect(ports.size).toBeLessThan(4);
    expect(await ask(url, { args: { method: 'HEAD' } })).toMatchObject({ value: { status: 200, body: '' } });
  });

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('A10: a %s bomb is cut at its unpacked size', async (encoding, compress) => {
    const bomb = compress(Buffer.alloc(64 * 1024 * 1024));
    const url = await site((_, response) => {
      response.setHeader('content-encoding', encoding);
      response.end(bomb);
    });
    const answer = unwrap(await ask(url), 'an answer');
    expect(answer).toMatchObject({ truncated: true });
    expect(String(answer['body']).length).toBe(1024 * 1024);
  });

  test('an encoding that is not known, or broken, is an error', async () => {
    for (const encoding of ['zstd-9', 'gzip']) {
      const url = await site((_, response) => {
        response.setHeader('content-encoding', encoding);
        response.end('not packed');
      });
      expect(await ask(url)).toMatchObject({ error: { code: 'ProviderFailed' } });
    }
  });

  test('A10: an endless body is cut, its connection closed; a character is not cut in two', async () => {
    const closed = Promise.withResolvers<void>();
    const url = await site((_, response) => {
      response.on('close', () => closed.resolve());
      const more = (): void => {
        while (!response.destroyed && response.write('é'.repeat(5001)));
      };
      response.write('x');
      response.on('drain', more);
      more();
    });
    const answer = unwrap(await ask(url), 'an answer');
    expect(answer).toMatchObject({ truncated: true, body: expect.stringMatching(/^xé+$/) });
    await closed.promise;
  });

  test('A10: too many headers are an error', async () => {
    const url = await site((_, response) => response.setHeader('x', 'y'.repeat(40_000)).end());
    expect(await ask(url)).toMatchObject({ error: { code: 'OutputTooLarge' } });
  });

  test('A10: a server that drips, and one that says nothing, meet the deadline; an abort closes the connection', async () => {
    const gone: Promise<void>[] = [];
    const reached: (() => void)[] = [];
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      gone.push(new Promise((resolve) => socket.on('close', () => resolve())));
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nx: ');
        reached.shift()?.();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.defer(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await ask(url, { args: { timeout_ms: 100 } })).toMatchObject({ error: { code: 'DeadlineExceeded' } });
    const controller = new AbortController();
    const arrived = new Promise<void>((resolve) => reached.push(resolve));
    const asking = ask(url, { signal: controller.signal });
    await arrived;
    controller.abort();
    expect(await asking).toMatchObject({ error: { code: 'Cancelled' } });
    await Promise.all(gone);
    expect(gone).toHaveLength(2);
    expect(await ask(url, { signal: AbortSignal.abort() })).toMatchObject({ error: { code: 'Cancelled' } });
  });

  test('redirects: each hop is checked, five at most, credentials stay at their origin', async () => {
    const seen: IncomingMessage['headers'][] = [];
    const other = await site((request, response) => {
      seen.push(request.headers);
      response.end('there');
    });
    const url = await site((request: IncomingMessage, response: ServerResponse) => {
      const next: { [path: string]: string } = {
        '/other': other,
        '/loop': '/loop',
        '/meta': 'http://169.254.169.254/',
      };
      response.writeHead(302, { location: next[request.url ?? ''] ?? '/' }).end('x'.repeat(1000));
    });
    const args = { headers: { authorization: 'Bearer s', cookie: 'c=1', 'x-key': 'k', accept: 'text/plain' } };
    expect(await ask(`${url}/other`, { args, more: [other] })).toMatchObject({
      value: { body: 'there', url: `${other}/` },
    });
    expect(seen).toMatchObject([{ accept: 'text/plain' }]);
    expect(Object.keys(seen[0] ?? {}).filter((name) => ['authorization', 'cookie', 'x-key'].includes(name))).toEqual(
      [],
    );
    expect(await ask(`${url}/other`)).toMatchObject({
      error: { code: 'CapabilityDenied', message: expect.stringContaining(`missing grant: net = ["${other}"]`) },
    });
    expect(await ask(`${url}/loop`)).toMatchObject({ error: { message: expect.stringMatching(/more than 5 times/) } });
    expect(await ask(`${url}/meta`, { more: ['*.254'] })).toMatchObject({ error: { code: 'CapabilityDenied' } });
    expect(await ask(`${url}/meta`, { args: { redirect: 'manual' } })).toMatchObject({ value: { status: 302 } });
  });

  test('a name is resolved once, and refused if any of its addresses is not public', async () => {
    const url = await site((request, response) => response.end(request.headers.host));
    const { port } = new URL(url);
    const asked: string[] = [];
    const by = closing.use(
      createFetcher({
        clock: systemClock,
        resolve: async (name) => {
          asked.push(name);
          if (name === 'localhost') return [{ address: asked.length === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
          return [
            { address: '93.184.216.34', family: 4 },
            {
              address: name === 'mapped.test' ? '::ffff:127.0.0.1' : '127.0.0.1',
              family: name === 'mapped.test' ? 6 : 4,
            },
          ];
        },
      }),
    );
    expect(await ask(`http://localhost:${port}/`, { by })).toMatchObject({ value: { body: `localhost:${port}` } });
    expect(asked).toEqual(['localhost']);
    for (const name of ['rebind.test', 'mapped.test', 'a.localhost']) {
      expect(await ask(`http://${name}:${port}/`, { by })).toMatchObject({
        error: { code: 'CapabilityDenied', message: expect.stringMatching(/not on the internet; missing grant: net/) },
      });
    }
  });

  test('a server that is not there', async () => {
    const server = createServer();
    const port = await listen(server);
    server.close();
    expect(await ask(`http://127.0.0.1:${port}`)).toMatchObject({ error: { code: 'ProviderUnavailable' } });
  });
});

const dir = mkdtempSync(join(tmpdir(), 'rl-tls-'));
closing.defer(() => rmSync(dir, { recursive: true, force: true }));
const made = spawnSync(
  'openssl',
  [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost',
    '-keyout',
    join(dir, 'key.pem'),
    '-out',
    join(dir, 'cert.pem'),
  ],
  { stdio: 'ignore' },
);

describe.skipIf(made.status !== 0)('TLS (needs openssl)', () => {
  test('certificates are verified, by the name that was asked for', async () => {
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(dir, name), 'utf8'));
    const names: unknown[] = [];
    const server = createSecureServer({ key, cert }, (request, response) => {
      names.push((request.socket as unknown as { servername: unknown }).servername);
      response.end('hello');
    });
    const port = await listen(server);
    const by = closing.use(createFetcher({ clock: systemClock, ca: cert ?? '' }));
    expect(await ask(`https://localhost:${port}/`, { by })).toMatchObject({ value: { body: 'hello' } });
    expect(await ask(`https://127.0.0.1:${port}/`, { by })).toMatchObject({
      error: { message: expect.stringMatching(/ERR_TLS_CERT_ALTNAME_INVALID/) },
    });
    expect(await ask(`https://localhost:${port}/`)).toMatchObject({
      error: { message: expect.stringMatching(/SELF_SIGNED/) },
    });
    expect(names).toEqual(['localhost']);
  });
});
