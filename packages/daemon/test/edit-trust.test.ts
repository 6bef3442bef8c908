/** rlp trust and rlp caps lint without a terminal: what they write, what they refuse. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Failure, type Result, unwrap } from '@runloop/core';
import {
  addAnchor,
  changeTrust,
  lintFolder,
  makeKeyPair,
  packFolder,
  publicKeyFrom,
  readTrustPolicy,
  removeAnchor,
  revoke,
  signFolder,
} from '../src/index.ts';
import { trustPolicyFile } from '../src/agents/trust.ts';
import { makeBundle, makeRoot, placeAt } from './install-fixture.ts';

const said = (result: Result<unknown, Failure>): string =>
  result.ok ? '' : `${result.error.code}: ${result.error.message}`;

describe('keys, signatures, archives', () => {
  test('a pair is made once; its public half is what others add', async () => {
    using home = makeRoot();
    const path = join(home.root, 'acme.key');
    const { key } = unwrap(await makeKeyPair(path), 'a pair');
    expect(said(await makeKeyPair(path))).toMatch(/never overwritten/);
    for (const given of [key, `${path}.pub`]) expect(unwrap(await publicKeyFrom(given), 'its key')).toBe(key);
    for (const given of ['12', path, join(home.root, 'nothing')])
      expect(said(await publicKeyFrom(given))).toMatch(/no Ed25519 public key/);
    const { host } = await placeAt(home.root);
    const dir = await makeBundle(join(home.root, 'x'), host, '1.0.0');
    expect(unwrap(await signFolder(dir, path), 'signed').key).toBe(key);
    expect(said(await signFolder(dir, `${path}.pub`))).toMatch(/InvalidConfig: the signing key .* cannot be read/);
    const packed = unwrap(await packFolder(dir, join(home.root, 'x.tgz')), 'packed');
    expect(readFileSync(packed.path).length).toBe(packed.bytes);
    expect(said(await packFolder(home.root, undefined))).toMatch(/no signed bundle/);
    writeFileSync(join(dir, 'policy.caps'), 'model = true');
    expect(said(await packFolder(dir, join(home.root, 'y.tgz')))).toMatch(/DigestMismatch/);
  });
});

describe('the policy file', () => {
  const key = (n: number): string => `0${n}${'1'.repeat(62)}`;
  test('anchors come and go, revocations stay, and what was written by hand is kept', async () => {
    using home = makeRoot();
    const { root } = home;
    const change = (one: Parameters<typeof changeTrust>[1]): Promise<string> => changeTrust(root, one).then(said);
    writeFileSync(
      join(root, trustPolicyFile),
      `[[anchor]]\nname = "old"\nkey = "${key(1)}"\n[anchor.caps]\nnet = ["x.test"]\n`,
    );
    expect(await change(addAnchor({ name: 'acme', key: key(2), trusted: false }))).toBe('');
    expect(await change(addAnchor({ name: 'old', key: key(1), trusted: true }))).toBe('');
    expect(await change(addAnchor({ name: 'acme', key: key(3), trusted: false }))).toMatch(
      /Conflict: anchor "acme" has the key/,
    );
    expect(await change(addAnchor({ name: 'Bad', key: key(3), trusted: false }))).toMatch(/Usage/);
    expect(await change(addAnchor({ name: 'host', key: key(3), trusted: false }))).toMatch(/choose another name/);
    expect(await change(removeAnchor('nobody'))).toMatch(/NotFound/);
    expect(await change(revoke('nobody'))).toMatch(/Usage/);
    expect(await change(revoke('acme'))).toBe('');
    expect(await change(revoke(key(7)))).toBe('');
    expect(await change(removeAnchor('acme'))).toBe('');
    expect(unwrap(await readTrustPolicy(root), 'a policy')).toMatchObject({
      anchors: [{ name: 'old', trusted: true, caps: { given: { net: ['x.test'] } } }],
      revokedKeys: [key(2), key(7)],
      revokedBundles: [key(7)],
    });
    writeFileSync(join(root, trustPolicyFile), 'anchor = [');
    expect(await change(revoke(key(8)))).toMatch(/InvalidConfig/);
  });
  test('two changes at once: none takes the other away', async () => {
    using home = makeRoot();
    const keys = [1, 2, 3, 4, 5, 6].map(key);
    const done = await Promise.all(keys.map((one) => changeTrust(home.root, revoke(one))));
    const taken = keys.filter((_, i) => done[i]?.ok === true);
    expect(taken.length).toBeGreaterThan(0);
    expect(done.filter((one) => !one.ok).map(said)).toEqual(
      Array(keys.length - taken.length).fill(expect.stringMatching(/^Busy/)),
    );
    expect(new Set(unwrap(await readTrustPolicy(home.root), 'a policy').revokedKeys)).toEqual(new Set(taken));
  });
});

test.each<readonly [string, readonly RegExp[]]>([
  ['', []],
  ['net = ["api.example.com", "*.example.org", "x.test:8443"]\nkb_read = ["notes"]', []],
  ['modle = true', [/^error modle: .*did you mean "model"/]],
  ['net = ["*.com"]', [/^warning net: .*top-level domain/]],
  ['net = ["*"]', [/^error net: "\*" is no host/]],
  ['net = ["https://x.test"]', [/^error net: .*write "x.test"/]],
  ['net = ["x.test/path"]', [/^error net: .*write "host"/]],
  ['net = ["http://x.test"]', [/^warning net: .*not encrypted/]],
  ['net = ["X.test"]', [/^error net: .*write "x.test"/]],
  ['kb_read = true\nkb_write = true', [/^warning kb_read/, /^warning kb_write/]],
  ['model = true', [/^warning model: every model/, /^warning model: nothing limits/]],
  ['model = { allow = ["local:*"], tokens_per_run = 5 }', []],
  ['exec = [{ command = "/bin/bash", argv = ["-c", "{x}"] }]', [/^warning exec: .*runs whatever/]],
  ['exec = [{ command = "/usr/bin/python3.12", argv = [] }]', [/^warning exec: .*runs whatever/]],
  ['exec = [{ command = "/usr/bin/jq", argv = ["{a}"] }]', [/^warning exec: every argument/]],
  ['exec = [{ command = "/usr/bin/jq", argv = ["x", "a{b}"] }]', [/^error exec.argv: .*one whole argument/]],
  ['mail = { from = "me@x.test", to = ["*"] }', [/^warning mail: .*anybody/]],
  ['mail = { from = "me@x.test", to = ["*@x.test"] }', []],
  ['fs = ["~/.ssh", { path = "/etc", write = true }, "/srv/data"]', [/^warning fs: "~\/.ssh"/, /^warning fs: "\/etc"/]],
  ['[limits]\nmemory_mib = 1024', [/^warning limits.memory_mib/]],
])('caps lint: %s', async (text, expected) => {
  using home = makeRoot();
  writeFileSync(join(home.root, 'policy.caps'), text);
  const found = unwrap(await lintFolder(home.root), 'it reads');
  expect(found.map(({ severity, key, message }) => `${severity} ${key}: ${message}`)).toEqual(
    expected.map((one) => expect.stringMatching(one)),
  );
});
