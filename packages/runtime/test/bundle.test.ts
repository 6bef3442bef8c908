/** Bundles on disk: what loads, what is refused and why; the host's key. */
import { execFileSync } from 'node:child_process';
import { mkdir, appendFile, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { unwrap } from '@runloop/core';
import type { Failure } from '@runloop/core';
import {
  type Bundle,
  buildAgent,
  hostKey,
  loadBundle,
  parseCaps,
  parseManifest,
  signBundle,
  type TrustPolicy,
  trustHost,
} from '../src/index.ts';
import { manifestBytesMax } from '../src/limits.ts';
import { type Bench, buildTestAgent, deps, run, tableHost, workbench } from './fixture.ts';

let bench: Bench;
let bundle: Bundle;
let kept: ReadonlyMap<string, Buffer>;
const names = [
  'manifest.toml',
  'policy.caps',
  'bin/plain.wasm',
  'bin/manifest.json',
  'SIGNATURES/manifest.sig',
  'src/agent.ts',
];
const anchors = (): TrustPolicy => trustHost(bench.key.id);

beforeAll(async () => {
  bench = await workbench();
  bundle = await buildTestAgent(bench, 'plain', { body: 'return {};' });
  kept = new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(bundle.dir, name))] as const)));
});
beforeEach(async () => {
  for (const [name, bytes] of kept) await writeFile(join(bundle.dir, name), bytes);
});
afterAll(() => bench[Symbol.asyncDispose]());

async function refusal(): Promise<Failure | undefined> {
  const loaded = await loadBundle(bundle.dir, anchors());
  return loaded.ok ? undefined : loaded.error;
}

describe('A12: a bundle loads only as it was signed', () => {
  test('as built', async () => {
    const loaded = unwrap(await loadBundle(bundle.dir, anchors()), 'it loads');
    expect(loaded).toEqual(bundle);
    expect(loaded).toMatchObject({
      name: 'plain',
      version: '0.1.0',
      kind: 'component',
      signer: 'host',
      ports: { in: { in: ['*'] }, out: { out: ['*'] } },
    });
  });
  test.each(['manifest.toml', 'policy.caps', 'bin/plain.wasm', 'src/agent.ts'])('a changed %s', async (name) => {
    await appendFile(join(bundle.dir, name), '\n');
    expect(await refusal()).toMatchObject({ code: 'DigestMismatch', message: expect.stringContaining(name) });
  });
  test('a changed list', async () => {
    await appendFile(join(bundle.dir, 'bin/manifest.json'), '\n');
    expect(await refusal()).toMatchObject({ code: 'SignatureInvalid' });
  });
  test('a signature by a key that nobody trusts', async () => {
    const other = unwrap(await hostKey(join(bench.dir, 'other')), 'another key');
    unwrap(await signBundle(bundle.dir, other), 'it signs');
    expect(await refusal()).toMatchObject({ code: 'SignatureInvalid' });
  });
  test('a file that is not listed', async () => {
    await writeFile(join(bundle.dir, 'extra.txt'), 'x');
    expect(await refusal()).toMatchObject({
      code: 'InvalidBundle',
      message: expect.stringMatching(/extra.txt is not listed/),
    });
    await rm(join(bundle.dir, 'extra.txt'));
  });
  test('a link', async () => {
    await symlink('/etc/passwd', join(bundle.dir, 'link'));
    expect(await refusal()).toMatchObject({
      code: 'InvalidBundle',
      message: expect.stringMatching(/neither a regular file/),
    });
    await rm(join(bundle.dir, 'link'));
  });
  test('no signature', async () => {
    await rm(join(bundle.dir, 'SIGNATURES/manifest.sig'));
    expect(await refusal()).toMatchObject({ code: 'InvalidBundle', hint: expect.stringMatching(/build/) });
  });
  test('a component that was swapped after the bundle was checked', async () => {
    const loaded = unwrap(await loadBundle(bundle.dir, anchors()), 'it loads');
    await appendFile(loaded.component.path, '\n');
    await using fresh = await workbench();
    expect(await run(fresh, loaded, { host: tableHost() })).toMatchObject({ type: 'failed', code: 'DigestMismatch' });
  });
  test('a component that is none is refused when it is run', async () => {
    await writeFile(join(bundle.dir, 'bin/plain.wasm'), 'no component');
    unwrap(await signBundle(bundle.dir, bench.key), 'it signs');
    const broken = unwrap(await loadBundle(bundle.dir, anchors()), 'it loads');
    expect(await run(bench, broken, { host: tableHost() })).toMatchObject({ type: 'failed', code: 'InvalidBundle' });
  });
  test('a component that the guard passes and the transpiler does not', async () => {
    await writeFile(join(bundle.dir, 'bin/plain.wasm'), Buffer.from('0061736d0d000100', 'hex'));
    unwrap(await signBundle(bundle.dir, bench.key), 'it signs');
    const empty = unwrap(await loadBundle(bundle.dir, anchors()), 'it loads');
    expect(await run(bench, empty)).toMatchObject({ type: 'failed' });
  });
});

test('the host key is made once, for its owner alone', async () => {
  const dir = join(bench.dir, 'keys');
  const keys = await Promise.all(Array.from({ length: 16 }, () => hostKey(dir)));
  expect(new Set(keys.map((key) => unwrap(key, 'a key').id)).size).toBe(1);
  expect(await readdir(dir)).toEqual(['host.key']);
  expect((await stat(join(dir, 'host.key'))).mode & 0o777).toBe(0o600);
});

describe('a manifest', () => {
  const agent = '[agent]\nname = "a"\nversion = "1.0.0"\n';
  test.each([
    ['= 1', /manifest.toml/],
    ['', /agent.name/],
    ['[agent]\nname = "A"\nversion = "1.0.0"', /agent.name/],
    ['[agent]\nname = "a"\nversion = "one"', /agent.version/],
    [`${agent}kind = "program"`, /neither "component" nor "command"/],
    [`${agent}backend = "v8"`, /neither "quickjs" nor "starlingmonkey"/],
    [`${agent}entry_wasm = "../x.wasm"`, /inside the bundle/],
    [`${agent}entry_wasm = "/x.wasm"`, /inside the bundle/],
    [`${agent}[ports]\nout = { Out = ["*"] }`, /ports.out.Out/],
    [`${agent}[ports]\nout = { out = ["Email"] }`, /type strings/],
    [`${agent}[ports]\nout = { out = [] }`, /type strings/],
  ])('%j is refused', (text, expected) => {
    const parsed = parseManifest(text);
    expect(parsed.ok ? '' : parsed.error.message).toMatch(expected);
  });
  test('A10: nor is one that is too long, or such a policy', () => {
    const long = `${agent}# ${'x'.repeat(manifestBytesMax)}`;
    expect(parseManifest(long)).toMatchObject({ error: { message: expect.stringMatching(/more than 262144 bytes/) } });
    expect(parseCaps(long)).toMatchObject({ error: { message: expect.stringMatching(/more than 262144 bytes/) } });
  });
  test('A9: keys of a newer version are passed over', () =>
    expect(parseManifest(`${agent}novel = 1\n[future]\nx = 2`)).toMatchObject({
      ok: true,
      value: { name: 'a', entry: 'bin/a.wasm' },
    }));
});

describe('a build that cannot be', () => {
  test.each([
    ['no dist', undefined, /is not built: there is no dist\/index\.js$/],
    ['an old dist', 'export const defineAgent = 1;', /was built before it had bindAgent$/],
  ])('A12: an SDK with %s', async (what, index, expected) => {
    const sdk = join(bench.dir, 'sdk', what);
    await mkdir(join(sdk, 'dist'), { recursive: true });
    if (index !== undefined) await writeFile(join(sdk, 'dist/index.js'), index);
    const source = join(bench.dir, 'without-sdk');
    await mkdir(join(source, 'src'), { recursive: true });
    await writeFile(join(source, 'manifest.toml'), '[agent]\nname = "lonely"\nversion = "0.1.0"\n');
    await writeFile(join(source, 'src/agent.ts'), '');
    expect(await buildAgent(deps, source, { signWith: bench.key, sdkDir: sdk })).toMatchObject({
      ok: false,
      error: {
        code: 'BuildFailed',
        message: expect.stringMatching(expected),
        hint: expect.stringMatching(/npm run build/),
      },
    });
  });
  test.each([
    ['FIFO', (path: string) => execFileSync('mkfifo', [path])],
    ['link', (path: string) => symlink('/dev/zero', path)],
  ])('A12: a manifest that is a %s is refused, and not waited for', async (what, make) => {
    const source = join(bench.dir, `manifest-${what}`);
    await mkdir(source);
    await make(join(source, 'manifest.toml'));
    expect(await buildAgent(deps, source, { signWith: bench.key })).toMatchObject({
      ok: false,
      error: { code: 'BuildFailed', message: `agent ${source}: manifest.toml is not a regular file` },
    });
  });
  test.each([
    [
      'node',
      `import { readFileSync } from 'node:fs';\nexport default { handle: () => readFileSync('/etc/passwd') };`,
      /cannot import "node:fs"/,
    ],
    ['syntax', `export default {`, /^src\/agent\.ts:1:17: Expected `}` but found `EOF`$/],
    [
      'no such file',
      `import x from './nope.ts';\nexport default x;`,
      /^src\/agent\.ts:1:15: Could not resolve '\.\/nope\.ts'/,
    ],
    [
      'no such export',
      `import { x } from '@runloop/agent';\nexport default x;`,
      /^src\/agent\.ts:1:10: "x" is not exported by "@runloop\/agent"/,
    ],
    ['no default export', `export const x = 1;`, /^"default" is not exported by "src\/agent\.ts"/],
    ['at its start', `throw new TypeError('at start');\nexport default {};`, /^Failed to evaluate .*: Error: at start/],
  ])('%s', async (_what, source, expected) => {
    await writeFile(join(bundle.dir, 'src/agent.ts'), source);
    const built = await buildAgent(deps, bundle.dir, { signWith: bench.key });
    expect(built).toMatchObject({
      ok: false,
      error: { code: 'BuildFailed', message: expect.stringMatching(expected) },
    });
  });
});
