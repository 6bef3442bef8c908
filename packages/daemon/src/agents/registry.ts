/**
 * Agents by name: where they lie, whether they may run, and the copies that runs have pinned.
 *
 * 1. The first search directory that has an agent wins.
 * 2. Only a bundle whose digests and signature hold is answered.
 * 3. Agents of the project's own checkout are built on demand and signed with this host's key; nobody else's are.
 * 4. What a run uses is a copy by digest: replacing an agent changes the next run, not this one.
 */
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  type Digest,
  digestJson,
  digestText,
  err,
  type Failure,
  failure,
  isName,
  nearest,
  ok,
  type Random,
  type Result,
  toHex,
} from '@runloop/core';
import type { AgentInterface } from '@runloop/openings';
import { buildAgent, type Bundle, type HostKey, loadBundle } from '@runloop/runtime';
import type { AgentSource } from '../runs/ports.ts';

export type RegistryDeps = { readonly clock: Clock; readonly random: Random; readonly hostKey: HostKey };
export type RegistryOptions = {
  readonly searchDirs: readonly string[];
  /** The checkout's own agents: built when they are not, or not by this host. */
  readonly builtIn?: { readonly dir: string; readonly sdkDir: string };
  readonly cacheDir: string;
  readonly storeDir: string;
};
export type Listed = { readonly name: string; readonly dir: string; readonly built: boolean };

export class AgentRegistry implements AgentSource {
  readonly #deps: RegistryDeps;
  readonly #options: RegistryOptions;
  readonly #pinned = new Map<string, Bundle>();
  readonly #building = new Map<string, Promise<Result<Bundle, Failure>>>();

  constructor(deps: RegistryDeps, options: RegistryOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async list(): Promise<readonly Listed[]> {
    const found = new Map<string, Listed>();
    for (const dir of this.#options.searchDirs) {
      for (const entry of await readdir(dir).catch(() => [])) {
        const path = join(dir, entry);
        if (found.has(entry) || !isName(entry) || !(await exists(join(path, 'manifest.toml')))) continue;
        found.set(entry, { name: entry, dir: path, built: await exists(join(path, 'SIGNATURES', 'manifest.sig')) });
      }
    }
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async resolve(name: string): Promise<Result<Bundle, Failure>> {
    const listed = await this.list();
    const entry = listed.find((one) => one.name === name);
    if (entry === undefined) {
      const near = nearest(
        name,
        listed.map((one) => one.name),
      );
      return err(
        failure('NotFound', `there is no agent "${name}"`, {
          hint: near === undefined ? 'see: rlp agent list' : `did you mean "${near}"?`,
        }),
      );
    }
    const { builtIn } = this.#options;
    if (builtIn !== undefined && entry.dir.startsWith(`${builtIn.dir}/`)) return this.#built(entry, builtIn.sdkDir);
    return loadBundle(entry.dir, this.#trust());
  }

  async interfaces(names: readonly string[]): Promise<Result<ReadonlyMap<string, AgentInterface>, Failure>> {
    const found = new Map<string, AgentInterface>();
    for (const name of new Set(names)) {
      const bundle = await this.resolve(name);
      if (bundle.ok) found.set(name, interfaceOf(bundle.value));
      else if (bundle.error.code !== 'NotFound') return bundle;
    }
    // Names of the rest, so that a misspelt one can be answered with what was meant.
    for (const { name } of await this.list())
      if (!found.has(name) && !names.includes(name)) found.set(name, { name, in: {}, out: {} });
    return ok(found);
  }

  async pin(name: string): Promise<Result<Bundle, Failure>> {
    const bundle = await this.resolve(name);
    if (!bundle.ok) return bundle;
    const kept = this.#pinned.get(bundle.value.digest);
    if (kept !== undefined) return ok(kept);
    const target = join(this.#options.storeDir, bundle.value.digest);
    if (!(await exists(target))) {
      const fresh = `${target}.${toHex(this.#deps.random.bytes(4))}.new`;
      try {
        await mkdir(this.#options.storeDir, { recursive: true, mode: 0o700 });
        await cp(bundle.value.dir, fresh, { recursive: true, filter: (path) => !path.includes('/node_modules') });
        await rename(fresh, target);
      } catch (error) {
        await rm(fresh, { recursive: true, force: true });
        if (!(await exists(target)))
          return err(failure('StorageFailed', `agent ${name} cannot be kept in ${target}: ${String(error)}`));
      }
    }
    return this.pinned(name, bundle.value.digest);
  }

  async pinned(name: string, digest: string): Promise<Result<Bundle, Failure>> {
    const kept = this.#pinned.get(digest);
    if (kept !== undefined) return ok(kept);
    const bundle = await loadBundle(join(this.#options.storeDir, digest), this.#trust());
    if (!bundle.ok) return bundle;
    if (bundle.value.digest !== digest)
      return err(failure('DigestMismatch', `the kept copy of agent ${name} is not ${digest.slice(0, 12)}… any more`));
    this.#pinned.set(digest, bundle.value);
    return bundle;
  }

  #trust(): { anchors: { name: string; key: string }[] } {
    return { anchors: [{ name: 'host', key: this.#deps.hostKey.id }] };
  }

  async #built(entry: Listed, sdkDir: string): Promise<Result<Bundle, Failure>> {
    const digest = await sourceDigest(entry.dir, sdkDir);
    const outDir = join(
      this.#options.cacheDir,
      'agents',
      `${entry.name}-${digest.slice(0, 16)}-${this.#deps.hostKey.id.slice(0, 8)}`,
    );
    const present = await loadBundle(outDir, this.#trust());
    if (present.ok) return present;
    let building = this.#building.get(outDir);
    if (building === undefined) {
      building = buildAgent({ clock: this.#deps.clock }, entry.dir, {
        outDir,
        signWith: this.#deps.hostKey,
        sdkDir,
      }).finally(() => this.#building.delete(outDir));
      this.#building.set(outDir, building);
    }
    return building;
  }
}

export function interfaceOf(bundle: Bundle): AgentInterface {
  const { name, ports, withSchema } = bundle;
  return { name, in: ports.in, out: ports.out, ...(withSchema === undefined ? {} : { withSchema }) };
}

/** What a build depends on: the agent's own files and the SDK's. */
async function sourceDigest(dir: string, sdkDir: string): Promise<Digest> {
  const parts: string[] = [];
  for (const base of [dir, join(sdkDir, 'src')]) {
    for (const path of (await readdir(base, { recursive: true }).catch(() => [])).sort()) {
      if (/(^|\/)(node_modules|bin|SIGNATURES|test|dist)(\/|$)/.test(path)) continue;
      if ((await stat(join(base, path))).isFile())
        parts.push(path, digestText(await readFile(join(base, path), 'utf8')));
    }
  }
  return digestJson(parts);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
