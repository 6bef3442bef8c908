/**
 * Source folder → bundle: component, file list, signature.
 *
 * 1. Nothing of the source runs in this process; the builder process does the work and ends.
 * 2. The list is signed last, over exactly the files that lie there; a bundle half built does not load.
 */
import { type KeyObject, sign } from 'node:crypto';
import { access, cp, lstat, mkdir, mkdtemp, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type Clock, type Failure, type Result, digestLarge, type Digest, err, failure, ok } from '@runloop/core';
import { type Bundle, bundleFiles, fileListName, loadBundle, signatureName } from './bundle.ts';
import { fromSource, runBuilder } from './builder.ts';
import type { Parts } from './builder-job.ts';
import { compilerPart, compileProgram, mainSources, type SourceLanguage } from './compile.ts';
import { type HostKey } from './keys.ts';
import { type Backend, type Manifest, parseManifest } from './manifest.ts';
import { billOfMaterials, sbomName } from './sbom.ts';
import { trustHost } from './trust/policy.ts';
import { version as runtimeVersion } from './version.ts';

export type BuildOptions = {
  /** Where the bundle goes; the source folder itself by default. */
  readonly outDir?: string;
  readonly signWith: HostKey;
  /** Folder of the package `@runloop/agent`, where the source folder does not have it in its node_modules. */
  readonly sdkDir?: string;
};

const copied = ['manifest.toml', 'policy.caps', 'tools.json', 'schemas', 'README.md', 'LICENSE', 'package.json', 'src'];

export async function buildAgent(
  deps: { readonly clock: Clock },
  sourceDir: string,
  options: BuildOptions,
): Promise<Result<Bundle, Failure>> {
  const source = resolve(sourceDir);
  const refuse = (what: string, hint?: string): Result<never, Failure> =>
    err(failure('BuildFailed', `agent ${source}: ${what}`, hint === undefined ? {} : { hint }));
  const manifestPath = join(source, 'manifest.toml');
  const found = await lstat(manifestPath).catch(() => undefined);
  // Whoever opens a FIFO waits.
  if (found?.isFile() === false) return refuse('manifest.toml is not a regular file');
  const manifestText = await readFile(manifestPath, 'utf8').catch(() => undefined);
  if (manifestText === undefined) return refuse('there is no manifest.toml', 'make one: rlp agent scaffold <name>');
  const manifest = parseManifest(manifestText);
  if (!manifest.ok) return manifest;
  const outDir = resolve(options.outDir ?? source);
  try {
    if (outDir !== source) await copySources(source, outDir);
    await rm(join(outDir, signatureName), { force: true });
    const out = join(outDir, manifest.value.entry);
    await mkdir(dirname(out), { recursive: true });
    const built = await buildEntry(deps, source, manifest.value, out, options.sdkDir);
    if (!built.ok) return built;
    await writeBill(outDir, manifest.value, built.value);
    const signed = await signBundle(outDir, options.signWith);
    if (!signed.ok) return signed;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
  return loadBundle(outDir, trustHost(options.signWith.id));
}

async function writeBill(outDir: string, { name, version }: Manifest, { bundled, tools }: Parts): Promise<void> {
  const builder = { from: 'host', name: 'runloop', version: runtimeVersion } as const;
  const text = billOfMaterials({ name, version }, { bundled, tools: [...tools, builder] });
  await writeFile(join(outDir, sbomName), text);
}

const noParts: Parts = { bundled: [], tools: [] };
const languages: readonly SourceLanguage[] = ['c', 'rust'];

/** The component in `out`: of the source in src/, or of the program that the author put into bin/. */
async function buildEntry(
  deps: { readonly clock: Clock },
  source: string,
  { kind, entry, backend }: Manifest,
  out: string,
  sdkDir: string | undefined,
): Promise<Result<Parts, Failure>> {
  const refuse = (what: string, hint?: string): Result<never, Failure> =>
    err(failure('BuildFailed', `agent ${source}: ${what}`, hint === undefined ? {} : { hint }));
  const agent = join(source, 'src/agent.ts');
  if (await exists(agent)) {
    if (kind !== 'component') return refuse('an agent in TypeScript is of kind = "component"');
    return buildTypeScript(deps, { source, entry: agent, backend }, out, sdkDir);
  }
  const present = await Promise.all(languages.map((one) => exists(join(source, mainSources[one]))));
  const language = languages.find((_, at) => present[at]);
  if (language !== undefined && kind !== 'command')
    return refuse(`${mainSources[language]} is a program: write kind = "command" in manifest.toml`);
  const prebuilt = join(source, entry);
  if (language === undefined && !(await exists(prebuilt)))
    return refuse(`there is no ${['src/agent.ts', ...Object.values(mainSources)].join(', ')}, and no ${entry}`);
  const scratch = await realpath(await mkdtemp(join(tmpdir(), 'runloop-build-')));
  try {
    const program =
      language === undefined ? ok(prebuilt) : await compileProgram(deps, language, await realpath(source), scratch);
    if (!program.ok) return program;
    const adapted = join(scratch, 'component.wasm');
    const built = await runBuilder(deps, { type: 'adapt', program: program.value, outDir: scratch, out: adapted });
    if (!built.ok) return built;
    await cp(adapted, `${out}.new`);
    await rename(`${out}.new`, out);
    const { bundled, tools } = built.value.parts ?? noParts;
    const compiler = language === undefined ? [] : await compilerPart(deps, language);
    return ok({ bundled, tools: [...tools, ...compiler] });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function buildTypeScript(
  deps: { readonly clock: Clock },
  { source, entry, backend }: { readonly source: string; readonly entry: string; readonly backend: Backend },
  out: string,
  ownSdk: string | undefined,
): Promise<Result<Parts, Failure>> {
  const refuse = (what: string, hint: string): Result<never, Failure> =>
    err(failure('BuildFailed', `agent ${source}: ${what}`, { hint }));
  const sdkDir = (await findSdk(source)) ?? ownSdk;
  if (sdkDir === undefined) return refuse('the package @runloop/agent is not installed', 'npm install @runloop/agent');
  const sdkFromSource = fromSource && (await exists(join(sdkDir, 'src/index.ts')));
  const stale = sdkFromSource ? undefined : await missingFromSdk(sdkDir);
  if (stale !== undefined) return refuse(`${sdkDir} ${stale}`, 'where it is a checkout: npm run build');
  const built = await runBuilder(deps, {
    type: 'build',
    dir: source,
    backend,
    entry,
    sdkDir,
    fromSource: sdkFromSource,
    out: `${out}.new`,
  });
  if (!built.ok) return built;
  await rename(`${out}.new`, out);
  return ok(built.value.parts ?? noParts);
}

/** Writes the list of the bundle's files and signs it. */
export async function signBundle(
  dir: string,
  key: { readonly privateKey: KeyObject; readonly id: string },
): Promise<Result<void, Failure>> {
  const files = await bundleFiles(dir);
  if (!files.ok) return files;
  const digests: { [path: string]: Digest } = {};
  for (const [path, bytes] of files.value) digests[path] = await digestLarge(bytes);
  const list = Buffer.from(`${JSON.stringify({ version: 1, key: key.id, files: digests }, undefined, 2)}\n`);
  await mkdir(join(dir, dirname(fileListName)), { recursive: true });
  await mkdir(join(dir, dirname(signatureName)), { recursive: true });
  await writeFile(join(dir, fileListName), list);
  await writeFile(join(dir, signatureName), sign(null, list, key.privateKey));
  return ok(undefined);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function copySources(source: string, outDir: string): Promise<void> {
  await mkdir(outDir, { recursive: true });
  for (const name of copied) {
    if (await exists(join(source, name))) await cp(join(source, name), join(outDir, name), { recursive: true });
  }
}

/** What a built SDK must give the build's entry and the agent; one that was built long ago may lack it. */
async function missingFromSdk(sdkDir: string): Promise<string | undefined> {
  const index = await readFile(join(sdkDir, 'dist/index.js'), 'utf8').catch(() => undefined);
  if (index === undefined) return 'is not built: there is no dist/index.js';
  const missing = ['bindAgent', 'defineAgent'].filter((name) => !index.includes(name));
  return missing.length === 0 ? undefined : `was built before it had ${missing.join(' and ')}`;
}

async function findSdk(from: string): Promise<string | undefined> {
  for (let dir = from; ; dir = dirname(dir)) {
    const candidate = join(dir, 'node_modules/@runloop/agent');
    if (await exists(join(candidate, 'wit'))) return realpath(candidate);
    if (dirname(dir) === dir) return undefined;
  }
}
