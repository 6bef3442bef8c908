/**
 * Prepared components on disk: what the builder made of a component under given limits, ready for a cell to load.
 *
 * 1. The key covers the component's digest, the limits and the versions of all tools; another of any is another entry.
 * 2. The entry's index is signed with the host's key and checked at each load; the cell compares each file with it.
 * 3. An entry appears whole (written aside, then renamed) or not at all; one that does not check is made again.
 */
import { sign, verify } from 'node:crypto';
import { readFile, readdir, rename, rm, stat, writeFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Clock,
  type Failure,
  type Random,
  type Result,
  digestJson,
  err,
  failure,
  isJsonObject,
  ok,
  parseJson,
  toHex,
} from '@runloop/core';
import type { PreparedFiles } from './builder-job.ts';
import { fromSource, program, runBuilder } from './builder.ts';
import type { Bundle } from './bundle.ts';
import type { HostKey } from './keys.ts';
import { type AgentLimits, fuelPerCpuMs } from './limits.ts';

export type PreparedComponent = {
  readonly key: string;
  readonly dir: string;
  readonly files: PreparedFiles;
  readonly memoryBytes: number;
  readonly fuel: bigint;
};

export type PreparedDeps = { readonly clock: Clock; readonly random: Random; readonly hostKey: HostKey };

/** Versions of everything that decides what comes out; raise `prepare` when the builder changes its output. */
const tools = { prepare: 2, transpiler: 'jco-transpile 0.15.0', node: process.version } as const;

export interface PreparedCache {
  get(bundle: Pick<Bundle, 'component'>, limits: AgentLimits): Promise<Result<PreparedComponent, Failure>>;
  /** Path of the cell's own program in one file. */
  cellProgram(): Promise<Result<string, Failure>>;
}

export function createPreparedCache(deps: PreparedDeps, cacheDir: string): PreparedCache {
  const flights = new Map<string, Promise<Result<PreparedComponent, Failure>>>();
  let cell: Promise<Result<string, Failure>> | undefined;
  return {
    get(bundle, limits) {
      const memoryBytes = limits.memory_mib * 2 ** 20;
      const fuel = BigInt(limits.cpu_ms) * BigInt(fuelPerCpuMs);
      const key = digestJson({ component: bundle.component.digest, memoryBytes, fuel: String(fuel), tools });
      const known = flights.get(key);
      if (known !== undefined) return known;
      const made = prepare(deps, cacheDir, { key, component: bundle.component.path, memoryBytes, fuel });
      flights.set(key, made);
      void made.then((result) => {
        if (!result.ok) flights.delete(key);
      });
      return made;
    },
    cellProgram() {
      cell ??= bundleCell(deps, cacheDir);
      return cell;
    },
  };
}

type Wanted = { readonly key: string; readonly component: string; readonly memoryBytes: number; readonly fuel: bigint };

async function prepare(
  deps: PreparedDeps,
  cacheDir: string,
  wanted: Wanted,
): Promise<Result<PreparedComponent, Failure>> {
  const dir = join(cacheDir, 'prepared', wanted.key);
  const result = (files: PreparedFiles): Result<PreparedComponent, Failure> =>
    ok({ key: wanted.key, dir, files, memoryBytes: wanted.memoryBytes, fuel: wanted.fuel });
  const kept = await readIndex(dir, wanted.key, deps.hostKey);
  if (kept !== undefined) return result(kept);
  const scratch = join(cacheDir, 'scratch', toHex(deps.random.bytes(8)));
  try {
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    const job = {
      type: 'prepare',
      component: wanted.component,
      outDir: scratch,
      memoryBytes: wanted.memoryBytes,
      fuel: String(wanted.fuel),
    } as const;
    const built = await runBuilder(deps, job);
    if (!built.ok) return built;
    const { files } = built.value;
    if (files === undefined) return err(failure('BuildFailed', 'the builder answered without files'));
    const index = Buffer.from(JSON.stringify({ key: wanted.key, files }));
    await writeFile(join(scratch, 'index.json'), index);
    await writeFile(join(scratch, 'index.sig'), sign(null, index, deps.hostKey.privateKey));
    await mkdir(dirname(dir), { recursive: true, mode: 0o700 });
    await rm(dir, { recursive: true, force: true });
    await rename(scratch, dir);
    return result(files);
  } catch (error) {
    return err(
      failure(
        'StorageFailed',
        `the build cache ${cacheDir} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
      ),
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function readIndex(dir: string, key: string, host: HostKey): Promise<PreparedFiles | undefined> {
  try {
    const index = await readFile(join(dir, 'index.json'));
    if (!verify(null, index, host.publicKey, await readFile(join(dir, 'index.sig')))) return undefined;
    const parsed = parseJson(index.toString('utf8'));
    if (!parsed.ok || !isJsonObject(parsed.value) || parsed.value['key'] !== key) return undefined;
    return parsed.value['files'] as unknown as PreparedFiles;
  } catch {
    return undefined;
  }
}

/** The cell's program with all it imports in one file, named by what it was made of. */
async function bundleCell(deps: PreparedDeps, cacheDir: string): Promise<Result<string, Failure>> {
  try {
    const stamp = digestJson({ node: process.version, files: await stamps(dirname(program('cell'))) });
    const out = join(cacheDir, `cell-${stamp.slice(0, 16)}.cjs`);
    const there = await stat(out).catch(() => undefined);
    if (there === undefined) {
      const built = await runBuilder(deps, { type: 'bundle', entry: program('cell'), fromSource, out });
      if (!built.ok) return built;
    }
    return ok(out);
  } catch (error) {
    return err(
      failure(
        'StorageFailed',
        `the cell's program cannot be written: ${error instanceof Error ? error.message : String(error)}`,
      ),
    );
  }
}

async function stamps(own: string): Promise<string[]> {
  const folders = [own, join(own, 'cell'), join(own, 'wasm')];
  for (const name of ['core', 'rmp']) folders.push(await packageSources(name));
  const found: string[] = [];
  for (const folder of folders) {
    for (const name of (await readdir(folder)).sort()) {
      const status = await stat(join(folder, name));
      if (status.isFile()) found.push(`${folder}/${name} ${status.size} ${status.mtimeMs}`);
    }
  }
  return found;
}

async function packageSources(name: string): Promise<string> {
  for (let dir = dirname(fileURLToPath(import.meta.url)); ; dir = dirname(dir)) {
    const candidate = join(dir, 'node_modules/@runloop', name, fromSource ? 'src' : 'dist');
    if ((await stat(candidate).catch(() => undefined)) !== undefined) return candidate;
    if (dirname(dir) === dir) throw new Error(`@runloop/${name} is not installed`);
  }
}
