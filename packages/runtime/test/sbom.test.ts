/** What a build says that its bundle is made of. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseJson, unwrap } from '@runloop/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildAgent, loadBundle, trustHost } from '../src/index.ts';
import { billOfMaterials, sbomName } from '../src/sbom.ts';
import { type Bench, buildTestAgent, deps, workbench } from './fixture.ts';

let bench: Bench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => bench[Symbol.asyncDispose]());

type Document = {
  readonly metadata: {
    readonly tools: { readonly components: readonly { readonly name: string; readonly version: string }[] };
  };
  readonly components: readonly { readonly purl: string }[];
};
const read = async (dir: string): Promise<Document> =>
  unwrap(parseJson(await readFile(join(dir, sbomName), 'utf8')), 'JSON') as unknown as Document;

test('a build lists the SDK, the engine and the packages whose code it took, and no more', async () => {
  const body = `return { out: [{ type: 'artifact.generic.v1', value: String(request) }] };`;
  const plain = await buildTestAgent(bench, 'made', { body });
  const packages = { used: `export const used = (x) => 'used ' + x;`, unused: `export const unused = () => 'never';` };
  for (const [name, code] of Object.entries(packages)) {
    const dir = join(plain.dir, 'node_modules', name);
    await mkdir(dir, { recursive: true });
    await writeFile(
      join(dir, 'package.json'),
      JSON.stringify({ name, version: '1.2.3-x', type: 'module', main: 'i.js' }),
    );
    await writeFile(join(dir, 'i.js'), code);
  }
  const source = join(plain.dir, 'src/agent.ts');
  const text = await readFile(source, 'utf8');
  await writeFile(
    source,
    `import { used } from 'used';\nimport { unused } from 'unused';\nvoid unused;\n${text.replace('String(request)', 'used(request)')}`,
  );
  const build = async (): Promise<string> => {
    unwrap(await buildAgent(deps, plain.dir, { signWith: bench.key }), 'it builds');
    return readFile(join(plain.dir, sbomName), 'utf8');
  };
  const first = await build();
  expect(await build()).toBe(first);
  const { components, metadata } = await read(plain.dir);
  expect(components.map(({ purl }) => purl.replace(/@[^@]*$/, ''))).toEqual([
    'pkg:npm/%40runloop/agent',
    'pkg:npm/componentize-qjs',
    'pkg:npm/used',
  ]);
  expect(components[2]?.purl).toBe('pkg:npm/used@1.2.3-x');
  expect(metadata.tools.components.map(({ name }) => name)).toEqual(['componentize-qjs', 'rolldown', 'runloop']);
  const loaded = unwrap(await loadBundle(plain.dir, trustHost(bench.key.id)), 'it loads');
  expect(loaded.sbom?.path).toBe(join(plain.dir, sbomName));
  await writeFile(join(plain.dir, sbomName), first.replace('1.2.3', '1.2.4'));
  expect(await loadBundle(plain.dir, trustHost(bench.key.id))).toMatchObject({ error: { code: 'DigestMismatch' } });
  await rm(join(plain.dir, sbomName));
  expect(await loadBundle(plain.dir, trustHost(bench.key.id))).toMatchObject({ error: { code: 'InvalidBundle' } });
});

describe('the document', () => {
  const agent = { name: 'a', version: '0.1.0' };
  const part = (name: string, version = '1.0.0', from: 'npm' | 'host' = 'npm') => ({ from, name, version });
  test('has the same bytes in whatever order its parts were found, each once', () => {
    const tools = [part('clang', '14.0.6', 'host')];
    const [one, two] = [part('@x/one'), part('two')];
    const text = billOfMaterials(agent, { bundled: [one, two], tools });
    expect(billOfMaterials(agent, { bundled: [two, one, two], tools })).toBe(text);
    expect(JSON.parse(text)).toEqual({
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      version: 1,
      metadata: {
        tools: { components: [{ type: 'application', name: 'clang', version: '14.0.6' }] },
        component: {
          type: 'application',
          'bom-ref': 'a@0.1.0',
          name: 'a',
          version: '0.1.0',
        },
      },
      components: [
        {
          type: 'library',
          'bom-ref': 'pkg:npm/%40x/one@1.0.0',
          group: '@x',
          name: 'one',
          version: '1.0.0',
          purl: 'pkg:npm/%40x/one@1.0.0',
        },
        { type: 'library', 'bom-ref': 'pkg:npm/two@1.0.0', name: 'two', version: '1.0.0', purl: 'pkg:npm/two@1.0.0' },
      ],
      dependencies: [{ ref: 'a@0.1.0', dependsOn: ['pkg:npm/%40x/one@1.0.0', 'pkg:npm/two@1.0.0'] }],
    });
  });
});
