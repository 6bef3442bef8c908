/**
 * Agents by name: where they lie, whether they may run, and the copies that runs have pinned.
 *
 * 1. The first search directory that has an agent wins.
 * 2. Only a bundle whose digests and signature hold is answered; one is checked again when any of its files has changed.
 * 3. Agents of the project's own checkout are built on demand and signed with this host's key; nobody else's are.
 * 4. What an agent may do is what its bundle asks for, as far as its signer and the operator's override let it.
 * 5. What a run uses is a copy by digest: replacing an agent changes the next run, not this one.
 */
import { cp, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type Clock,
  type Digest,
  digestJson,
  digestText,
  err,
  type Failure,
  failure,
  isName,
  type Log,
  nearest,
  ok,
  type Random,
  type Result,
  toHex,
} from '@runloop/core';
import type { AgentInterface } from '@runloop/openings';
import {
  applyLayer,
  buildAgent,
  type Bundle,
  capsFlow,
  compareVersions,
  type HostKey,
  loadBundle,
  type TrustPolicy,
} from '@runloop/runtime';
import type { AgentSource } from '../runs/ports.ts';
import { stampOf } from './file-stamps.ts';
import { currentVersion, readRecord, versionIn } from './installed.ts';
import type { Pins } from '../home/pins.ts';
import type { TrustSource } from './trust.ts';

export type RegistryDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hostKey: HostKey;
  readonly trust: TrustSource;
  /** What the operator has pinned; without it nothing is a declassifier. */
  readonly pins?: Pick<Pins, 'has'>;
};
export type RegistryOptions = {
  readonly searchDirs: readonly string[];
  /** The checkout's own agents: built when they are not, or not by this host. */
  readonly builtIn?: { readonly dir: string; readonly sdkDir: string };
  readonly cacheDir: string;
  readonly storeDir: string;
};
export type Listed = {
  readonly name: string;
  readonly dir: string;
  readonly built: boolean;
  readonly version?: string;
};

/** What was read of some folders, and the stamp of their files before it was. */
type Seen<T> = { readonly stamp: string; readonly value: T };
/** Agents of one host; the one seen longest ago is read anew. */
export const seenMax = 256;

export class AgentRegistry implements AgentSource {
  readonly #deps: RegistryDeps;
  readonly #options: RegistryOptions;
  readonly #bundles = new Map<string, Seen<Bundle>>();
  readonly #warned = new Set<string>();
  /** The policy by which those were loaded. */
  #policy: TrustPolicy | undefined;
  readonly #stamping = new Map<string, Promise<string | undefined>>();
  #listing: Promise<readonly Listed[]> | undefined;
  readonly #sources = new Map<string, Seen<Digest>>();
  readonly #building = new Map<string, Promise<Result<Bundle, Failure>>>();

  constructor(deps: RegistryDeps, options: RegistryOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Those who ask while the folders are being looked at get the same answer. */
  list(): Promise<readonly Listed[]> {
    this.#listing ??= this.#list().finally(() => (this.#listing = undefined));
    return this.#listing;
  }

  async #list(): Promise<readonly Listed[]> {
    const found = new Map<string, Listed>();
    for (const dir of this.#options.searchDirs) {
      for (const entry of await readdir(dir).catch(() => [])) {
        const path = join(dir, entry);
        if (found.has(entry) || !isName(entry) || !(await exists(join(path, 'manifest.toml')))) continue;
        const folder = await currentVersion(dir, entry);
        const built = await exists(join(path, 'SIGNATURES', 'manifest.sig'));
        found.set(entry, {
          name: entry,
          dir: path,
          built,
          ...(folder === undefined ? {} : { version: versionIn(folder) }),
        });
      }
    }
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async resolve(name: string): Promise<Result<Bundle, Failure>> {
    return this.#resolve(name, await this.list());
  }

  async #resolve(name: string, listed: readonly Listed[]): Promise<Result<Bundle, Failure>> {
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
    const bundle = await this.#load(await realpath(entry.dir));
    if (!bundle.ok || entry.version === undefined) return bundle;
    const record = await readRecord(dirname(entry.dir), name);
    if (record === undefined || compareVersions(bundle.value.version, record.floor) >= 0) return bundle;
    return err(
      failure('InvalidBundle', `agent ${name} is ${bundle.value.version}, but ${record.floor} was installed`, {
        hint: `if that was meant: rlp agent rollback ${name} ${bundle.value.version}`,
      }),
    );
  }

  async interfaces(names: readonly string[]): Promise<Result<ReadonlyMap<string, AgentInterface>, Failure>> {
    const found = new Map<string, AgentInterface>();
    const listed = await this.list();
    const unique = [...new Set(names)];
    const bundles = await Promise.all(unique.map((name) => this.#resolve(name, listed)));
    for (const [i, bundle] of bundles.entries()) {
      const name = unique[i] ?? '';
      if (bundle.ok)
        found.set(name, interfaceOf(bundle.value, this.#deps.pins?.has('declassifiers', bundle.value.digest) === true));
      else if (bundle.error.code !== 'NotFound') return bundle;
    }
    // Names of the rest, so that a misspelt one can be answered with what was meant.
    for (const { name } of listed)
      if (!found.has(name) && !names.includes(name)) found.set(name, { name, in: {}, out: {} });
    return ok(found);
  }

  async pin(name: string): Promise<Result<Bundle, Failure>> {
    const bundle = await this.resolve(name);
    if (!bundle.ok) return bundle;
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
    const bundle = await this.#load(join(this.#options.storeDir, digest));
    if (!bundle.ok) return bundle;
    if (bundle.value.digest !== digest)
      return err(failure('DigestMismatch', `the kept copy of agent ${name} is not ${digest.slice(0, 12)}… any more`));
    return bundle;
  }

  /** The bundle in `dir` as the policy and the override of this moment let it be. */
  async #load(dir: string): Promise<Result<Bundle, Failure>> {
    const policy = this.#deps.trust.policy();
    if (!policy.ok) return policy;
    if (policy.value !== this.#policy) this.#bundles.clear();
    this.#policy = policy.value;
    const bundle = await this.#unlessSeen(this.#bundles, [dir], () => loadBundle(dir, policy.value));
    if (!bundle.ok) return bundle;
    // While it was read the policy may have become another one.
    const now = this.#deps.trust.policy();
    if (!now.ok || now.value !== policy.value) return this.#load(dir);
    const layer = this.#deps.trust.override(bundle.value.name);
    if (!layer.ok) return layer;
    if (layer.value === undefined) return bundle;
    const { caps, warnings } = applyLayer(bundle.value.caps, layer.value, `caps/${bundle.value.name}.caps`);
    for (const warning of warnings) this.#warn(bundle.value, warning);
    return ok({ ...bundle.value, caps });
  }

  /** Once for each bundle, not at each of its runs. */
  #warn({ name, digest }: Bundle, warning: string): void {
    const key = `${digest} ${warning}`;
    if (this.#warned.has(key)) return;
    if (this.#warned.size >= seenMax) this.#warned.clear();
    this.#warned.add(key);
    this.#deps.log.log('warn', warning, { agent: name });
  }

  /** What `read` answered for the first of `folders` before, unless a file changed since; only what is good is kept. */
  async #unlessSeen<T>(
    kept: Map<string, Seen<T>>,
    folders: readonly [string, ...string[]],
    read: () => Promise<Result<T, Failure>>,
  ): Promise<Result<T, Failure>> {
    const [key] = folders;
    // Before reading: what changes while it is read is another stamp the next time.
    const stamps = await Promise.all(folders.map((folder) => this.#stamp(folder)));
    const stamp = stamps.includes(undefined) ? undefined : stamps.join('\n');
    const seen = kept.get(key);
    if (stamp !== undefined && seen?.stamp === stamp) return ok(seen.value);
    const fresh = await read();
    kept.delete(key);
    if (!fresh.ok || stamp === undefined) return fresh;
    const [oldest] = kept.keys();
    if (kept.size >= seenMax && oldest !== undefined) kept.delete(oldest);
    kept.set(key, { stamp, value: fresh.value });
    return fresh;
  }

  /** Those who ask while a folder is being looked at get the same answer. */
  #stamp(folder: string): Promise<string | undefined> {
    const known = this.#stamping.get(folder);
    if (known !== undefined) return known;
    const stamp = stampOf(folder, this.#deps.clock.nowMs()).finally(() => this.#stamping.delete(folder));
    this.#stamping.set(folder, stamp);
    return stamp;
  }

  async #built(entry: Listed, sdkDir: string): Promise<Result<Bundle, Failure>> {
    const read = (): Promise<Result<Digest, Failure>> => sourceDigest(entry.dir, sdkDir);
    const source = await this.#unlessSeen(this.#sources, [entry.dir, join(sdkDir, 'src')], read);
    if (!source.ok) return source;
    const digest = source.value;
    const outDir = join(
      this.#options.cacheDir,
      'agents',
      `${entry.name}-${digest.slice(0, 16)}-${this.#deps.hostKey.id.slice(0, 8)}`,
    );
    const present = await this.#load(outDir);
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

/** What an opening needs to know of a bundle. */
export function interfaceOf({ name, ports, withSchema, caps }: Bundle, declassifies = false): AgentInterface {
  return {
    name,
    in: ports.in,
    out: ports.out,
    flow: { ...capsFlow(caps), ...(declassifies ? { declassifies } : {}) },
    ...(withSchema === undefined ? {} : { withSchema }),
  };
}

/** What a build depends on: the agent's own files and the SDK's. */
async function sourceDigest(dir: string, sdkDir: string): Promise<Result<Digest, Failure>> {
  const parts: string[] = [];
  for (const base of [dir, join(sdkDir, 'src')]) {
    for (const path of (await readdir(base, { recursive: true }).catch(() => [])).sort()) {
      if (/(^|\/)(node_modules|bin|SIGNATURES|SBOM|test|dist)(\/|$)/.test(path)) continue;
      if ((await stat(join(base, path))).isFile())
        parts.push(path, digestText(await readFile(join(base, path), 'utf8')));
    }
  }
  return ok(digestJson(parts));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
