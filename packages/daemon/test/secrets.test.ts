/** Secrets: what they are bound to, where they lie, and that no usual encoding of one gets past the scrubber. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { cleanLabel, type Failure, resolveConfig, type Result, systemClock, systemRandom, unwrap } from '@runloop/core';
import type { SecretUse } from '@runloop/runtime';
import { memoryLog, startFakeProvider } from '@runloop/testkit';
import { createModels } from '../src/host/models.ts';
import type { CallScope } from '../src/runs/ports.ts';
import { checkId, parseBinding, permits, showBinding } from '../src/secrets/binding.ts';
import { envBackend, envName, systemdBackend } from '../src/secrets/given.ts';
import { keyringBackend } from '../src/secrets/keyring.ts';
import { secretCharsMax, secretCharsMin, secretsMax } from '../src/secrets/limits.ts';
import { Scrubber } from '../src/secrets/scrubber.ts';
import { Secrets } from '../src/secrets/store.ts';
import { Vault } from '../src/secrets/vault.ts';
import { bundle } from './runs-fixture.ts';

const dir = mkdtempSync(join(tmpdir(), 'rl-sec-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
let places = 0;
const place = (): string => join(dir, String((places += 1)));
const said = (result: Result<unknown, Failure>): string =>
  result.ok ? 'ok' : `${result.error.code}: ${result.error.message} ${result.error.hint ?? ''}`;

describe('scrubbing', () => {
  const encodings: { readonly [name: string]: (value: string) => string } = {
    plain: (value) => value,
    hex: (value) => Buffer.from(value).toString('hex'),
    'HEX in capitals': (value) => Buffer.from(value).toString('hex').toUpperCase(),
    'a URL': encodeURIComponent,
    'a URL, small letters': (value) => encodeURIComponent(value).replaceAll(/%../g, (hex) => hex.toLowerCase()),
    'a form': (value) => new URLSearchParams({ '': value }).toString().slice(1),
    JSON: (value) => JSON.stringify(value).slice(1, -1),
    'JSON in JSON': (value) => JSON.stringify(JSON.stringify(value)).slice(3, -3),
    'JSON with every character escaped': (value) =>
      Array.from({ length: value.length }, (_, at) => `\\u${value.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
        '',
      ),
  };
  const value = fc
    .oneof(fc.string({ minLength: 8, maxLength: 60 }), fc.string({ unit: 'grapheme', minLength: 8, maxLength: 30 }))
    .filter((text) => text.isWellFormed() && text.length >= secretCharsMin);
  const around = fc.string({ maxLength: 40 });

  test('no encoding of any secret is left, whatever stands around it', () => {
    const names = fc.constantFrom(...Object.keys(encodings));
    fc.assert(
      fc.property(value, names, around, around, (secret, name, before, after) => {
        const scrubber = new Scrubber();
        scrubber.add(secret);
        const encoded = encodings[name]?.(secret) ?? '';
        const clean = scrubber.scrub(`${before}${encoded}${after}`);
        expect(clean).not.toContain(secret);
        expect(clean).not.toContain(encoded);
        expect(scrubber.scrub(clean)).toBe(clean);
      }),
    );
  });

  test('nor in base64 of either alphabet, at each place in what was encoded', () => {
    fc.assert(
      fc.property(
        value,
        fc.constantFrom('base64' as const, 'base64url' as const),
        around,
        around,
        (secret, alphabet, before, after) => {
          const scrubber = new Scrubber();
          scrubber.add(secret);
          const clean = scrubber.scrub(Buffer.from(`${before}${secret}${after}`).toString(alphabet));
          for (const offset of [0, 1, 2]) {
            const text = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]).toString(alphabet);
            expect(clean).not.toContain(text.slice(2, -4));
          }
        },
      ),
    );
  });

  test('in maps, keys and numbers; what holds none stays the very same value', () => {
    const scrubber = new Scrubber();
    const value = { a: ['x', 1, { b: null }] };
    expect(scrubber.scrubJson(value)).toBe(value);
    scrubber.add('12345678');
    expect(scrubber.scrubJson(value)).toBe(value);
    expect(scrubber.scrubJson({ '12345678': [12345678, 'k 12345678', true] })).toEqual({
      '[secret]': ['[secret]', 'k [secret]', true],
    });
    expect(scrubber.scrubLine('{"n":12345678}')).toBe('{"n":"[secret]"}');
  });

  test('many backslashes in a row, as they are and escaped; a text full of them is not taken apart in every way', () => {
    const scrubber = new Scrubber();
    const value = `${'\\'.repeat(12)}x\\"\\"y`;
    scrubber.add(value);
    for (const form of [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)])
      expect(scrubber.scrub(`a ${form} b`)).toBe('a [secret] b');
    expect(scrubber.scrub('\\'.repeat(60))).toBe('\\'.repeat(60));
  });

  test('of a value of several lines, each long one', () => {
    const scrubber = new Scrubber();
    scrubber.add('-----BEGIN KEY-----\nabcdefghijklmnopqrstuvwxyz\nshort\n-----END KEY-----');
    expect(scrubber.scrub('line: abcdefghijklmnopqrstuvwxyz.')).toBe('line: [secret].');
  });
});

describe('what a secret is for', () => {
  const uses: readonly (readonly [string, string])[] = [
    ['https://api.example.com', 'https://api.example.com:authorization'],
    ['https://api.example.com/', 'https://api.example.com:authorization'],
    ['https://API.example.com:8443', 'https://api.example.com:8443:authorization'],
    ['https://api.example.com:X-Api-Key', 'https://api.example.com:x-api-key'],
    ['https://api.example.com:443:x-key', 'https://api.example.com:x-key'],
    ['http://127.0.0.1:9:x-key', 'http://127.0.0.1:9:x-key'],
    ['http://[::1]:9', 'http://[::1]:9:authorization'],
    ['exec:/usr/bin/git', 'exec:/usr/bin/git'],
    ['smtp://mail.example.com:587', 'smtp://mail.example.com:587'],
    ['http://api.example.com', 'Usage'],
    ['http://localhost.evil.com', 'Usage'],
    ['https://user@api.example.com', 'Usage'],
    ['https://api.example.com/path', 'Usage'],
    ['exec:git', 'Usage'],
    ['exec:/usr/../bin/git', 'Usage'],
    ['ftp://x', 'Usage'],
    ['', 'Usage'],
  ];
  test.each(uses)('%s', (text, expected) => {
    const binding = parseBinding(text);
    expect(binding.ok ? showBinding(binding.value) : binding.error.code).toBe(expected);
    if (binding.ok) expect(parseBinding(showBinding(binding.value))).toEqual(binding);
  });

  const bound = unwrap(parseBinding('https://api.example.com'), 'a binding');
  const asked: readonly (readonly [SecretUse, boolean])[] = [
    [{ type: 'http', origin: 'https://api.example.com', header: 'Authorization' }, true],
    [{ type: 'http', origin: 'https://api.example.com', header: 'x-other' }, false],
    [{ type: 'http', origin: 'https://api.example.com:8443', header: 'authorization' }, false],
    [{ type: 'http', origin: 'http://api.example.com', header: 'authorization' }, false],
    [{ type: 'http', origin: 'https://evil.example.com', header: 'authorization' }, false],
    [{ type: 'exec', path: '/usr/bin/curl' }, false],
    [{ type: 'smtp', server: 'api.example.com:443' }, false],
  ];
  test.each(asked)('%o: %s', (use, allowed) => {
    expect(permits('runloop/a/b', bound, use).ok).toBe(allowed);
  });

  test.each(['openai', 'runloop/x', 'runloop/a/b/c', 'runloop/../b', 'runloop/a/B', 'other/a/b'])('no id: %s', (id) => {
    expect(said(checkId(id))).toContain('Usage');
  });
});

const entry = (value: string, use = 'https://a.example.com'): { value: string; binding: SecretUse; putMs: number } => ({
  value,
  binding: unwrap(parseBinding(use), 'a binding'),
  putMs: 7,
});

describe('the vault', () => {
  test('holds, lists without values, replaces and forgets; its file shows no value and is private', async () => {
    const at = place();
    const vault = new Vault({ random: systemRandom }, at);
    expect(said(await vault.get('runloop/a/b'))).toContain('rlp secrets init');
    unwrap(await vault.init({ passphrase: 'correct horse' }), 'a vault');
    expect(said(await vault.init({ passphrase: 'correct horse' }))).toContain('Conflict');
    unwrap(await vault.put('runloop/a/b', entry('sk-0123456789')), 'put');
    unwrap(await vault.put('runloop/a/b', entry('sk-abcdefghij')), 'put again');
    const again = new Vault({ random: systemRandom }, at);
    expect(said(await again.get('runloop/a/b'))).toContain('the vault is locked');
    expect(said(await again.unlock('wrong horse!'))).toContain('this passphrase does not open');
    unwrap(await again.unlock('correct horse'), 'unlocked');
    expect(await again.get('runloop/a/b')).toEqual({ ok: true, value: entry('sk-abcdefghij') });
    expect(JSON.stringify(await again.list())).not.toContain('sk-');
    const text = readFileSync(again.path, 'utf8');
    expect(text).not.toMatch(/sk-|correct/);
    expect(statSync(again.path).mode & 0o777).toBe(0o600);
    expect(await again.delete('runloop/a/b')).toEqual({ ok: true, value: true });
    expect(await again.delete('runloop/a/b')).toEqual({ ok: true, value: false });
    expect(await again.get('runloop/a/b')).toEqual({ ok: true, value: undefined });
  });

  test('opens by a key file that only its owner reads, or by a passphrase in a file', async () => {
    const [at, keys] = [place(), place()];
    const keyFile = join(keys, 'vault.key');
    const vault = new Vault({ random: systemRandom }, at);
    unwrap(await vault.init({ keyFile }), 'a vault');
    unwrap(await vault.put('runloop/a/b', entry('sk-0123456789')), 'put');
    expect((await new Vault({ random: systemRandom }, at).get('runloop/a/b')).ok).toBe(true);
    chmodSync(keyFile, 0o644);
    expect(said(await new Vault({ random: systemRandom }, at).get('runloop/a/b'))).toContain('chmod 600');
    writeFileSync(keyFile, Buffer.alloc(32).toString('base64'), { mode: 0o600 });
    chmodSync(keyFile, 0o600);
    expect(said(await new Vault({ random: systemRandom }, at).get('runloop/a/b'))).toContain('does not open');
    const other = place();
    const passphraseFile = join(keys, 'passphrase');
    writeFileSync(passphraseFile, 'correct horse\n', { mode: 0o600 });
    unwrap(await new Vault({ random: systemRandom }, other).init({ passphrase: 'correct horse' }), 'a vault');
    expect(await new Vault({ random: systemRandom, passphraseFile }, other).list()).toEqual({ ok: true, value: [] });
  });

  test('notices every change that was not its own', async () => {
    const at = place();
    const keyFile = join(at, 'key');
    const vault = new Vault({ random: systemRandom }, at);
    unwrap(await vault.init({ keyFile }), 'a vault');
    unwrap(await vault.put('runloop/a/b', entry('sk-first-0000')), 'put');
    const before = readFileSync(vault.path, 'utf8');
    unwrap(await vault.put('runloop/a/c', entry('sk-other-0000')), 'put');
    type Contents = { entries: { [id: string]: { for: string; put_ms: number; sealed: string } } };
    const changed = async (change: (file: Contents) => unknown): Promise<string> => {
      const good = readFileSync(vault.path, 'utf8');
      const file = JSON.parse(good) as Contents;
      writeFileSync(vault.path, JSON.stringify(change(file) ?? file));
      const answer = said(await new Vault({ random: systemRandom }, at).get('runloop/a/b'));
      writeFileSync(vault.path, good);
      return answer;
    };
    const first = (file: Contents): Contents['entries'][string] =>
      file.entries['runloop/a/b'] ?? { for: '', put_ms: 0, sealed: '' };
    const changes: readonly ((file: Contents) => unknown)[] = [
      (file) => void (first(file).for = 'https://evil.example.com:authorization'),
      (file) => void (first(file).put_ms = 8),
      (file) => void (first(file).sealed = file.entries['runloop/a/c']?.sealed ?? ''),
      (file) => void delete file.entries['runloop/a/c'],
      (file) => ({ ...file, entries: (JSON.parse(before) as Contents).entries }),
      (file) => ({ ...file, entries: [] }),
    ];
    for (const change of changes) expect(await changed(change)).toContain('StorageCorrupt');
    expect(await changed((file) => file)).toBe('ok');
  });

  test(`takes ${secretsMax} secrets and no more`, async () => {
    const at = place();
    const vault = new Vault({ random: systemRandom }, at);
    unwrap(await vault.init({ keyFile: join(at, 'key') }), 'a vault');
    for (let i = 0; i < secretsMax; i += 1) unwrap(await vault.put(`runloop/a/${i}`, entry('sk-0123456789')), 'put');
    expect(said(await vault.put('runloop/a/more', entry('sk-0123456789')))).toContain('LimitExceeded');
    expect(said(await vault.put('runloop/a/0', entry('sk-9876543210')))).toBe('ok');
  });
});

describe('the store', () => {
  const use: SecretUse = { type: 'http', origin: 'https://a.example.com', header: 'authorization' };
  const storeOf = async (
    env: { [name: string]: string } = {},
  ): Promise<{ store: Secrets; log: ReturnType<typeof memoryLog> }> => {
    const at = place();
    const vault = new Vault({ random: systemRandom }, at);
    unwrap(await vault.init({ keyFile: join(at, 'key') }), 'a vault');
    const log = memoryLog();
    return { store: new Secrets({ clock: systemClock, log, scrubber: new Scrubber(), env }, vault), log };
  };

  test('gives a value for its use alone, scrubs it from then on, rotates it under the same use', async () => {
    const { store } = await storeOf();
    expect(said(await store.put('runloop/a/b', 'https://a.example.com', 'x'.repeat(secretCharsMin - 1)))).toContain(
      'Usage',
    );
    expect(said(await store.put('runloop/a/b', 'https://a.example.com', 'x'.repeat(secretCharsMax + 1)))).toContain(
      'Usage',
    );
    unwrap(await store.put('runloop/a/b', 'https://a.example.com', 'sk-0123456789'), 'put');
    expect(await store.resolve('runloop/a/b', use)).toEqual({ ok: true, value: 'sk-0123456789' });
    expect(store.scrub('it was sk-0123456789')).toBe('it was [secret]');
    const elsewhere = said(await store.resolve('runloop/a/b', { ...use, origin: 'https://evil.example.com' }));
    expect(elsewhere).toContain(
      'is for https://a.example.com:authorization, not for https://evil.example.com:authorization',
    );
    expect(elsewhere).toContain('--for https://evil.example.com:authorization');
    unwrap(await store.rotate('runloop/a/b', 'sk-abcdefghij'), 'rotated');
    expect(await store.resolve('runloop/a/b', use)).toEqual({ ok: true, value: 'sk-abcdefghij' });
    expect(store.scrub('sk-0123456789 sk-abcdefghij')).toBe('[secret] [secret]');
    expect(said(await store.rotate('runloop/a/none', 'sk-abcdefghij'))).toContain('NotFound');
    unwrap(await store.delete('runloop/a/b'), 'deleted');
    expect(said(await store.resolve('runloop/a/b', use))).toContain('rlp secrets put runloop/a/b --for');
  });

  test('takes what the vault has not from the environment, and says so once; what the vault refuses never', async () => {
    const { store, log } = await storeOf({ [envName('runloop/a/b')]: 'from-the-environment' });
    expect(await store.resolve('runloop/a/b', use)).toEqual({ ok: true, value: 'from-the-environment' });
    await store.resolve('runloop/a/b', use);
    expect(log.lines.filter((line) => JSON.stringify(line).includes('environment'))).toHaveLength(1);
    unwrap(await store.put('runloop/a/b', 'https://b.example.com', 'sk-0123456789'), 'put');
    expect(said(await store.resolve('runloop/a/b', use))).toContain('CapabilityDenied');
  });

  test('gives a provider its key for the origin that it was put for, and for no other', async () => {
    await using fake = await startFakeProvider('hello');
    const { store } = await storeOf();
    const provider = { id: 'fake', kind: 'http', base_url: fake.url, secret_id: 'runloop/models/fake' };
    const given = { models: { default: 'fake:m', broker: { providers: [provider] } } };
    const { config } = unwrap(resolveConfig([{ origin: 'test', kind: 'user', value: given }]), 'a configuration');
    const models = unwrap(
      createModels({ clock: systemClock, random: systemRandom, log: memoryLog(), secrets: store }, config),
      'models',
    );
    const scope = {
      traceId: 't',
      node: 'n',
      bundle,
      budgets: {},
      label: cleanLabel,
      approved: false,
    } as unknown as CallScope;
    const ask = async (): Promise<string> =>
      said(
        (
          await models.call(
            'complete',
            { messages: [{ role: 'user', content: 'hi' }] },
            scope,
            new AbortController().signal,
          )
        ).outcome,
      );
    expect(await ask()).toContain('there is no secret runloop/models/fake');
    unwrap(await store.put('runloop/models/fake', 'https://api.example.com', 'sk-0123456789'), 'put');
    expect(await ask()).toContain(`not for ${fake.url}:authorization`);
    unwrap(await store.put('runloop/models/fake', fake.url, 'sk-0123456789'), 'put');
    fake.script({ type: 'status', status: 401, body: `bad ${Buffer.from('x sk-0123456789').toString('base64')}` });
    expect(await ask()).toMatch(/answered 401: bad [A-Za-z0-9+]*\[secret\]/);
    expect(await ask()).toBe('ok');
    expect(fake.requests.map(({ authorization }) => authorization)).toEqual([
      'Bearer sk-0123456789',
      'Bearer sk-0123456789',
    ]);
    await models.close();
  });

  test('systemd credentials need to say what they are for', async () => {
    const at = mkdtempSync(join(dir, 'creds-'));
    writeFileSync(join(at, 'runloop.a.b'), 'sk-0123456789\n');
    const backend = systemdBackend(at);
    expect(said(await backend.get('runloop/a/b'))).toContain('runloop.a.b.for');
    writeFileSync(join(at, 'runloop.a.b.for'), 'https://a.example.com\n');
    expect(unwrap(await backend.get('runloop/a/b'), 'one')).toMatchObject({ value: 'sk-0123456789' });
    expect(unwrap(await backend.list(), 'all')).toMatchObject([{ id: 'runloop/a/b' }]);
    expect(said(await backend.put('runloop/a/b', entry('sk-0123456789')))).toContain('not written');
    expect(said(await systemdBackend(undefined).get('runloop/a/b'))).toContain('CREDENTIALS_DIRECTORY');
    expect(unwrap(await envBackend({}).list(), 'none')).toEqual([]);
  });

  test('without a keyring it says so and what to do', async (context) => {
    const found = await keyringBackend().get('runloop/test/none');
    context.skip(found.ok, 'this machine has a keyring');
    expect(said(found)).toContain('ProviderUnavailable: there is no keyring here');
    expect(said(found)).toContain('security.secrets.provider: vault');
  });
});
