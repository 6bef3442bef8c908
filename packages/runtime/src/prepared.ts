/**
 * Prepared components on disk: what the builder made of a component under given limits, ready for a cell to load.
 *
 * 1. The key covers the component's digest, the limits and the versions of all tools; another of any is another entry.
 * 2. The entry's index is signed with the host's key and checked at each load. Each file is compared with its digest
 *    before a cell is told of it, and again whenever the file's inode, size or times are not what they were.
 * 3. An entry appears whole (written aside, then renamed) or not at all; one that does not check is made again.
 */
import { hash, sign, verify } from 'node:crypto';
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
import type { PreparedComponent, PreparedFiles } from './builder-job.ts';
import { fromSource, program, runBuilder } from './builder.ts';
import type { Bundle } from './bundle.ts';
import type { WasiGrants } from './cell/operations.ts';
import type { HostKey } from './keys.ts';
import type { Launcher } from './launcher.ts';
import { type AgentLimits, fuelPerCpuMs } from './limits.ts';
import { rehearse } from './rehearsal.ts';

export type PreparedDeps = { readonly clock: Clock; readonly random: Random; readonly hostKey: HostKey };

/** Versions of everything that decides what comes out; raise `prepare` when the builder changes its output. */
const tools = { prepare: 5, transpiler: 'jco-transpile 0.15.0', node: process.version } as const;

export interface PreparedCache {
  get(
    bundle: Pick<Bundle, 'component' | 'kind' | 'trusted' | 'caps'>,
    limits: AgentLimits,
  ): Promise<Result<PreparedComponent, Failure>>;
  /** What is wrong with the entry's files, if anything is. */
  verify(prepared: PreparedComponent): Promise<Failure | undefined>;
  /** Path of the cell's own program in one file. */
  cellProgram(): Promise<Result<string, Failure>>;
}

/** `confined` starts the builder of a bundle that is not trusted. */
export function createPreparedCache(deps: PreparedDeps, cacheDir: string, confined: () => Launcher): PreparedCache {
  const flights = new Map<string, Promise<Result<PreparedComponent, Failure>>>();
  const verified = new Map<string, string>();
  let cell: Promise<Result<string, Failure>> | undefined;
  const cellProgram = (): Promise<Result<string, Failure>> => (cell ??= bundleCell(deps, cacheDir));
  return {
    get(bundle, limits) {
      const memoryBytes = limits.memory_mib * 2 ** 20;
      const fuel = BigInt(limits.cpu_ms) * BigInt(fuelPerCpuMs);
      const wasi = { fs: bundle.caps.fs.length > 0, time: bundle.caps.time };
      const key = digestJson({
        component: bundle.component.digest,
        memoryBytes,
        fuel: String(fuel),
        wasi,
        kind: bundle.kind,
        tools,
      });
      const known = flights.get(key);
      if (known !== undefined) return known;
      const { path: component, digest } = bundle.component;
      const wanted = { key, component, digest, memoryBytes, fuel, wasi, kind: bundle.kind, trusted: bundle.trusted };
      const made = prepare(deps, cacheDir, wanted, cellProgram, confined);
      flights.set(key, made);
      void made.then((result) => {
        if (!result.ok) flights.delete(key);
      });
      return made;
    },
    cellProgram,
    verify: (prepared) => verifyFiles(prepared, verified),
  };
}

type Wanted = {
  readonly key: string;
  readonly component: string;
  readonly digest: string;
  readonly memoryBytes: number;
  readonly fuel: bigint;
  readonly kind: Bundle['kind'];
  readonly wasi: WasiGrants;
  readonly trusted: boolean;
};

async function prepare(
  deps: PreparedDeps,
  cacheDir: string,
  wanted: Wanted,
  cellProgram: () => Promise<Result<string, Failure>>,
  confined: () => Launcher,
): Promise<Result<PreparedComponent, Failure>> {
  const dir = join(cacheDir, 'prepared', wanted.key);
  const result = (files: PreparedFiles): Result<PreparedComponent, Failure> =>
    ok({ key: wanted.key, dir, files, memoryBytes: wanted.memoryBytes, fuel: wanted.fuel });
  const kept = await readIndex(dir, wanted.key, deps.hostKey);
  if (kept !== undefined) return result(kept);
  // Beside its place, where a cell may read.
  const scratch = join(cacheDir, 'prepared', `.${toHex(deps.random.bytes(8))}`);
  try {
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    const job = {
      type: 'prepare',
      component: wanted.component,
      digest: wanted.digest,
      outDir: scratch,
      memoryBytes: wanted.memoryBytes,
      fuel: String(wanted.fuel),
      kind: wanted.kind,
      wasi: wanted.wasi,
    } as const;
    const built = await runBuilder(deps, job, wanted.trusted ? undefined : confined());
    if (!built.ok) return built;
    if (built.value.files === undefined) return err(failure('BuildFailed', 'the builder answered without files'));
    let { files } = built.value;
    const program = wanted.trusted ? await cellProgram() : undefined;
    if (program?.ok === true) {
      const { key, memoryBytes, fuel } = wanted;
      const hot = await rehearse(deps, program.value, cacheDir, { key, dir: scratch, files, memoryBytes, fuel });
      if (hot !== undefined) {
        await writeFile(join(scratch, 'agent.hot'), hot.code);
        files = { ...files, hot: { module: hot.module, sha256: hash('sha256', hot.code) } };
      }
    }
    const index = Buffer.from(JSON.stringify({ key: wanted.key, files }));
    await writeFile(join(scratch, 'index.json'), index);
    await writeFile(join(scratch, 'index.sig'), sign(null, index, deps.hostKey.privateKey));
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

async function verifyFiles(
  { key, dir, files }: PreparedComponent,
  verified: Map<string, string>,
): Promise<Failure | undefined> {
  const wanted: [string, string][] = [
    ['agent.js', files.code_sha256],
    ['agent.cache', files.cache_sha256],
    ['modules.bin', files.modules_sha256],
  ];
  if (files.hot !== undefined) wanted.push(['agent.hot', files.hot.sha256]);
  try {
    const found = await Promise.all(wanted.map(([name]) => stat(join(dir, name), { bigint: true })));
    const seen = found.map(({ ino, size, mtimeNs, ctimeNs }) => `${ino} ${size} ${mtimeNs} ${ctimeNs}`).join('\n');
    if (verified.get(key) === seen) return undefined;
    for (const [name, digest] of wanted) {
      const path = join(dir, name);
      if (hash('sha256', await readFile(path)) !== digest)
        return failure('CellLost', `${path} is not what was prepared`, { hint: 'delete it: it will be made again' });
    }
    verified.set(key, seen);
    return undefined;
  } catch (error) {
    return failure('CellLost', `the prepared component cannot be read: ${String(error)}`);
  }
}

/** Our own files do not change under a process. */
let ownStamp: Promise<string> | undefined;
async function stampOfCell(): Promise<string> {
  return digestJson({ tools, files: await stamps(dirname(program('cell'))) });
}

/** The cell's program with all it imports in one file, named by what it was made of. */
async function bundleCell(deps: PreparedDeps, cacheDir: string): Promise<Result<string, Failure>> {
  try {
    const stamp = await (ownStamp ??= stampOfCell());
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
  const folders = [own, join(own, 'builder'), join(own, 'cell'), join(own, 'files'), join(own, 'wasm')];
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
