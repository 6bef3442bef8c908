/** An agent's life on a host: installed, upgraded, rolled back, removed, revoked; whoever dies or lies meanwhile. */
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Failure, type Result, unwrap } from '@runloop/core';
import { hostKey, loadBundle, packBundle, signBundle, trustHost } from '@runloop/runtime';
import { versionsKeptMax } from '../src/agents/install.ts';
import { linkVersion } from '../src/agents/installed.ts';
import { trustPolicyFile } from '../src/agents/trust.ts';
import { makeBundle, makeRoot, type Place, placeAt } from './install-fixture.ts';
import { systemRandom } from '@runloop/core';

const said = (result: Result<unknown, Failure>): string =>
  result.ok ? '' : `${result.error.code}: ${result.error.message}`;
const version = async ({ agents }: Place): Promise<string> => {
  const found = await agents.resolve('small');
  return found.ok ? found.value.version : said(found);
};

describe('install', () => {
  test('a folder, then its archive, then the next version; back, and away', async () => {
    using home = makeRoot();
    const place = await placeAt(home.root);
    const { installer, host, told } = place;
    const one = await makeBundle(join(home.root, 'one'), host, '1.0.0');
    mkdirSync(join(one, 'node_modules'));
    writeFileSync(join(one, 'node_modules/x'), 'no part of it');
    expect(unwrap(await installer.install(one), 'it installs')).toMatchObject({
      version: '1.0.0',
      signer: 'host',
      changed: true,
    });
    const packed = unwrap(await packBundle(unwrap(await loadBundle(one, trustHost(host.id)), 'one')), 'packs');
    const archive = join(home.root, packed.name);
    writeFileSync(archive, packed.bytes);
    expect(unwrap(await installer.install(archive), 'again')).toMatchObject({ changed: false });
    const two = await makeBundle(join(home.root, 'two'), host, '2.0.0');
    expect(unwrap(await installer.install(two), 'it upgrades')).toMatchObject({ replaced: '1.0.0' });
    expect(await version(place)).toBe('2.0.0');
    expect(said(await installer.install(one))).toMatch(/^Conflict: .*is at 2.0.0, this bundle is 1.0.0/);
    expect(unwrap(await installer.rollback('small'), 'back')).toMatchObject({ version: '1.0.0', replaced: '2.0.0' });
    expect(await version(place)).toBe('1.0.0');
    expect(said(await installer.rollback('small'))).toMatch(/NotFound: .*no older version/);
    expect(unwrap(await installer.rollback('small', '2.0.0'), 'forward')).toMatchObject({ version: '2.0.0' });
    expect(said(await installer.remove('small'))).toBe('');
    expect(await version(place)).toMatch(/NotFound/);
    expect(said(await installer.remove('small'))).toMatch(/NotFound/);
    expect(told.map(({ kind, payload }) => `${kind} ${String(payload['version'])}`)).toEqual([
      'agent.installed 1.0.0',
      'agent.installed 2.0.0',
      'agent.installed 1.0.0',
      'agent.installed 2.0.0',
      'agent.removed 2.0.0',
    ]);
    expect(unwrap(await installer.install(one), 'the name is free')).toMatchObject({ version: '1.0.0' });
  });

  test('more capabilities are accepted by digest or not at all', async () => {
    using home = makeRoot();
    const place = await placeAt(home.root);
    const { installer, host } = place;
    unwrap(
      await installer.install(await makeBundle(join(home.root, 'one'), host, '1.0.0', 'kb_read = ["notes"]')),
      'one',
    );
    const two = await makeBundle(join(home.root, 'two'), host, '2.0.0', 'kb_read = true\nnet = ["x.test"]');
    const asked = await installer.install(two);
    if (asked.ok) throw new Error('it was not asked about');
    expect(asked.error).toMatchObject({
      code: 'ApprovalRequired',
      details: { more: [expect.stringMatching(/net/), expect.stringMatching(/kb_read/)].toSorted(), from: '1.0.0' },
    });
    expect(said(await installer.install(two, 'ab'.repeat(32)))).toMatch(/ApprovalRequired/);
    expect(await version(place)).toBe('1.0.0');
    unwrap(await installer.install(two, String(asked.error.details?.['digest'])), 'accepted');
    const three = await makeBundle(join(home.root, 'three'), host, '3.0.0', 'net = ["x.test"]');
    expect(said(await installer.install(three))).toBe('');
  });

  test('A10: so many versions are kept', async () => {
    using home = makeRoot();
    const { installer, host } = await placeAt(home.root);
    for (let i = 1; i <= versionsKeptMax + 2; i += 1)
      unwrap(await installer.install(await makeBundle(join(home.root, `v${i}`), host, `${i}.0.0`)), 'it installs');
    const kept = readdirSync(join(home.root, 'agents/.versions/small')).filter((name) => name !== 'record.json');
    expect(kept.length).toBe(versionsKeptMax);
  });

  test('two at once: both are answered, the newer one is in force', async () => {
    using home = makeRoot();
    const place = await placeAt(home.root);
    const [one, two] = [
      await makeBundle(join(home.root, 'a'), place.host, '1.0.0'),
      await makeBundle(join(home.root, 'b'), place.host, '2.0.0'),
    ];
    const results = await Promise.all([two, one, two, one].map((source) => place.installer.install(source)));
    expect(results.map(said)).toEqual(['', expect.stringMatching(/Conflict/), '', expect.stringMatching(/Conflict/)]);
    expect(await version(place)).toBe('2.0.0');
  });

  test('A12: what does not belong there is refused, with the file', async () => {
    using home = makeRoot();
    const { installer, host } = await placeAt(home.root);
    const check = async (change: (dir: string) => void, expected: RegExp): Promise<void> => {
      const dir = await makeBundle(join(home.root, 'x'), host, '1.0.0');
      change(dir);
      unwrap(await signBundle(dir, host), 'signs');
      expect(said(await installer.install(dir))).toMatch(expected);
      rmSync(dir, { recursive: true });
    };
    await check((dir) => writeFileSync(join(dir, 'run.sh'), 'x'), /run.sh has no place in a bundle/);
    await check((dir) => rmSync(join(dir, 'policy.caps')), /policy.caps is missing/);
    expect(said(await installer.install(join(home.root, 'nothing')))).toMatch(/neither an archive nor a folder/);
    mkdirSync(join(home.root, 'agents/small'), { recursive: true });
    await check(() => undefined, /put there by hand/);
  });
});

test('a plan takes an agent for a declassifier when that very bundle is pinned', async () => {
  using home = makeRoot();
  const { installer, agents, host, root, pins } = await placeAt(home.root);
  unwrap(await installer.install(await makeBundle(join(root, 'mine'), host, '1.0.0')), 'installed');
  const { digest } = unwrap(await agents.resolve('small'), 'it is there');
  const declassifies = async (): Promise<unknown> =>
    unwrap(await agents.interfaces(['small']), 'interfaces').get('small')?.flow?.declassifies;
  expect(await declassifies()).toBeUndefined();
  unwrap(pins.add('declassifiers', { digest, name: 'small', ts_ms: 1 }), 'pinned');
  expect(await declassifies()).toBe(true);
  pins.remove('declassifiers', digest);
  expect(await declassifies()).toBeUndefined();
});

describe('signers', () => {
  test('unknown, added, revoked; names stay with who brought them', async () => {
    using home = makeRoot();
    const place = await placeAt(home.root);
    const { installer, agents, trust, host, root } = place;
    const key = unwrap(await hostKey(join(root, 'other')), 'another key');
    const theirs = await makeBundle(join(root, 'theirs'), key, '1.0.0', 'net = ["x.test"]');
    const policy = (text: string): void => writeFileSync(join(root, trustPolicyFile), text);
    const anchor = `[[anchor]]\nname = "them"\nkey = "${key.id}"\n`;
    const unknown = await installer.install(theirs);
    expect(unknown).toMatchObject({
      ok: false,
      error: { code: 'SignatureInvalid', hint: expect.stringContaining(`rlp trust add <name> ${key.id}`) },
    });
    policy(anchor);
    expect(unwrap(await installer.install(theirs), 'known now')).toMatchObject({ signer: 'them', trusted: false });
    expect(unwrap(await agents.resolve('small'), 'it is there')).toMatchObject({
      trusted: false,
      asks: { net: ['x.test'] },
      caps: { net: [] },
    });
    policy(`${anchor}trusted = true\n`);
    const pinned = unwrap(await agents.pin('small'), 'it is pinned');
    expect(pinned).toMatchObject({ trusted: true, caps: { net: ['x.test'] } });
    mkdirSync(join(root, 'caps'));
    writeFileSync(join(root, 'caps/small.caps'), 'net = []');
    expect(unwrap(await agents.pinned('small', pinned.digest), 'overridden')).toMatchObject({ caps: { net: [] } });
    writeFileSync(join(root, 'caps/small.caps'), 'net = ["x.test", "evil.test"]');
    for (let i = 0; i < 2; i += 1)
      expect(unwrap(await agents.pinned('small', pinned.digest), 'narrowed')).toMatchObject({
        caps: { net: ['x.test'] },
      });
    expect(place.log.at('warn').map(({ message }) => message)).toEqual([
      expect.stringMatching(/^caps\/small.caps: net would grant more/),
    ]);
    writeFileSync(join(root, 'caps/small.caps'), 'nett = []');
    expect(said(await agents.pinned('small', pinned.digest))).toMatch(
      /InvalidConfig: .*small.caps.*did you mean "net"/,
    );
    rmSync(join(root, 'caps/small.caps'));

    expect(said(await installer.install(await makeBundle(join(root, 'ours'), host, '9.0.0')))).toMatch(
      /Conflict: the name small belongs to the key/,
    );
    const next = await makeBundle(join(root, 'next'), key, '1.1.0');
    for (const [revoked, expected] of [
      [`revoked_keys = ["${key.id}"]\n`, /SignatureInvalid: .*signer "them" .*revoked/],
      [`revoked_bundles = ["${pinned.digest}"]\n`, /SignatureInvalid: .*bundle [0-9a-f]{12}… is revoked/],
    ] as const) {
      policy(`${revoked}${anchor}trusted = true\n`);
      expect(said(await agents.pinned('small', pinned.digest))).toMatch(expected);
      expect(await version(place)).toMatch(expected);
      expect(said(await installer.install(theirs))).toMatch(expected);
    }
    // Only that bundle is revoked.
    expect(said(await installer.install(next))).toBe('');
    policy('anchor = [');
    expect(trust.policy().ok).toBe(false);
    expect(said(await agents.pinned('small', pinned.digest))).toMatch(/InvalidConfig: .*trust-policy.toml/);
    expect(said(await installer.install(next))).toMatch(/InvalidConfig/);
  });

  test('a change of the policy is told', async () => {
    using home = makeRoot();
    const { trust, root } = await placeAt(home.root);
    let changes = 0;
    using _watch = trust.watch(() => (changes += 1));
    for (const [i, text] of ['', 'revoked_keys = []', 'revoked_keys = ['].entries()) {
      writeFileSync(join(root, trustPolicyFile), text);
      await expect.poll(() => changes, { timeout: 60_000 }).toBe(i);
    }
  });

  test('a version that fell by other means than a rollback is not started', async () => {
    using home = makeRoot();
    const place = await placeAt(home.root);
    for (const one of ['1.0.0', '2.0.0'])
      unwrap(await place.installer.install(await makeBundle(join(home.root, one), place.host, one)), 'installs');
    const old = readdirSync(join(home.root, 'agents/.versions/small')).find((name) => name.startsWith('1.0.0-')) ?? '';
    await linkVersion(join(home.root, 'agents'), 'small', old, systemRandom);
    expect(await version(place)).toMatch(/InvalidBundle: agent small is 1.0.0, but 2.0.0 was installed/);
  });
});

describe('one byte that was changed after signing', () => {
  const files = [
    'manifest.toml',
    'policy.caps',
    'schemas/with.json',
    'bin/small.wasm',
    'bin/manifest.json',
    'SIGNATURES/manifest.sig',
  ];
  const refused = /^(DigestMismatch|SignatureInvalid|InvalidBundle): /;

  test('is found at install and at launch, wherever it is', async () => {
    using home = makeRoot();
    const { installer, agents, host, root } = await placeAt(home.root);
    const source = await makeBundle(join(root, 'source'), host, '1.0.0', 'kb_read = ["notes"]');
    unwrap(await installer.install(source), 'it installs');
    const { digest } = unwrap(await agents.pin('small'), 'it is pinned');
    const store = join(root, 'store', digest);
    const flip = async (
      dir: string,
      file: string,
      at: number,
      bit: number,
      use: () => Promise<void>,
    ): Promise<void> => {
      const good = readFileSync(join(dir, file));
      const bad = Buffer.from(good);
      const i = at % bad.length;
      bad[i] = (bad[i] ?? 0) ^ (1 << bit);
      writeFileSync(join(dir, file), bad);
      await use();
      writeFileSync(join(dir, file), good);
    };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), fc.nat(10_000), fc.nat(7), async (file, at, bit) => {
        await flip(source, file, at, bit, async () => expect(said(await installer.install(source))).toMatch(refused));
        await flip(store, file, at, bit, async () =>
          expect(said(await agents.pinned('small', digest))).toMatch(refused),
        );
      }),
      { numRuns: 250 },
    );
    expect(said(await agents.pinned('small', digest))).toBe('');
  });
  test('so is a file more, a file less, a link', async () => {
    using home = makeRoot();
    const { installer, agents, host, root } = await placeAt(home.root);
    unwrap(await installer.install(await makeBundle(join(root, 'source'), host, '1.0.0')), 'it installs');
    const { digest } = unwrap(await agents.pin('small'), 'it is pinned');
    const store = join(root, 'store', digest);
    appendFileSync(join(store, 'extra'), 'x');
    expect(said(await agents.pinned('small', digest))).toMatch(/extra is not listed/);
    rmSync(join(store, 'extra'));
    rmSync(join(store, 'schemas/with.json'));
    expect(said(await agents.pinned('small', digest))).toMatch(/with.json is listed and missing/);
    symlinkSync('/etc/hostname', join(store, 'schemas/with.json'));
    expect(said(await agents.pinned('small', digest))).toMatch(/neither a regular file/);
  });
});

describe('A6: an install that is killed', () => {
  const run = (
    root: string,
    source: string,
    step: string,
  ): Promise<{ code: number | null; signal: string | null; out: string }> =>
    new Promise((resolve) => {
      const main = join(import.meta.dirname, 'install-main.ts');
      const child = spawn(process.execPath, ['--conditions=source', '--no-warnings', main, root, source, step]);
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
      child.on('close', (code, signal) => resolve({ code, signal, out }));
    });

  test.each(['fetch', 'check', 'place', 'record', 'tell', 'link', 'raise', 'prune', 'done'])(
    'before "%s" leaves a version that works, and the next install works',
    async (step) => {
      using home = makeRoot();
      const place = await placeAt(home.root);
      const one = await makeBundle(join(home.root, 'one'), place.host, '1.0.0');
      const two = await makeBundle(join(home.root, 'two'), place.host, '2.0.0');
      expect(await run(home.root, one, step)).toMatchObject({ signal: 'SIGKILL' });
      const linked = ['raise', 'prune', 'done'].includes(step);
      expect(await version(place)).toMatch(linked ? /^1.0.0$/ : /^NotFound/);
      unwrap(await place.installer.install(one), 'it installs after all');
      expect(await run(home.root, two, step)).toMatchObject({ signal: 'SIGKILL' });
      expect(await version(place)).toBe(linked ? '2.0.0' : '1.0.0');
      unwrap(await place.agents.pin('small'), 'it can be used');
      await place.installer.sweep();
      unwrap(await place.installer.install(two), 'it upgrades after all');
      expect(await version(place)).toBe('2.0.0');
      expect(readdirSync(join(home.root, 'agents')).sort()).toEqual(['.incoming', '.versions', 'small']);
    },
    30_000,
  );

  test.each(['unlink', 'clear'])(
    'so does a removal that is killed before "%s"',
    async (step) => {
      using home = makeRoot();
      const place = await placeAt(home.root);
      const one = await makeBundle(join(home.root, 'one'), place.host, '1.0.0');
      unwrap(await place.installer.install(one), 'it installs');
      expect(await run(home.root, '-', step)).toMatchObject({ signal: 'SIGKILL' });
      expect(await version(place)).toMatch(step === 'unlink' ? /^1.0.0$/ : /^NotFound/);
      expect(said(await place.installer.remove('small'))).toBe('');
      unwrap(await place.installer.install(one), 'it installs again');
    },
    30_000,
  );
});
