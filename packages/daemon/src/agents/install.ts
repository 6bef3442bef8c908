/**
 * Installs, removes and rolls back agents.
 *
 * 1. A version appears whole in a folder of its own, checked before anybody can find it; putting it in force is one
 *    rename. Whenever this process dies or the power fails, the version before is in force and works, or the new one is:
 *    what a rename makes visible is on the disk before it, and the rename itself before anything rests on it.
 * 2. One change at a time; what is told to the ledger is told before it takes effect (A6).
 * 3. A name belongs to the signer that brought it, until it is removed. A version falls only by a rollback.
 * 4. What asks for more than the version before waits for the operator to accept that very bundle, by its digest.
 */
import { lstat, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type Clock,
  err,
  type Failure,
  failure,
  type JsonObject,
  ok,
  type Random,
  type Result,
  toHex,
} from '@runloop/core';
import {
  asksMore,
  type Bundle,
  bundleFiles,
  compareVersions,
  fileListName,
  loadBundle,
  noCaps,
  signatureName,
  unpackBundle,
} from '@runloop/runtime';
import {
  currentVersion,
  keptVersions,
  linkVersion,
  readRecord,
  versionIn,
  versionName,
  versionsFolder,
  versionsOf,
  writeRecord,
} from './installed.ts';
import { sync, syncTree } from './durable.ts';
import type { TrustSource } from './trust.ts';

/** Versions of one agent that are kept to roll back to, the one in force included. */
export const versionsKeptMax = 5;

export type InstallerDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly trust: TrustSource;
  /** Why this host cannot run the bundle or enforce what it asks for, if so. */
  readonly check: (bundle: Bundle) => Promise<Result<void, Failure>>;
  /** The agent that has the name now, wherever it lies. */
  readonly holder: (name: string) => Promise<Bundle | undefined>;
  readonly record: (kind: 'agent.installed' | 'agent.removed', payload: JsonObject) => Promise<Result<void, Failure>>;
  /** Told before each step; a test dies here. */
  readonly step?: (name: string) => void;
};

export type Installed = {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  readonly signer: string;
  readonly trusted: boolean;
  /** The version before, where there was one. */
  readonly replaced?: string;
  /** False where this very bundle was in force already. */
  readonly changed: boolean;
};

export class Installer {
  readonly #deps: InstallerDeps;
  readonly #dir: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: InstallerDeps, agentsDir: string) {
    this.#deps = deps;
    this.#dir = agentsDir;
  }

  /** Takes away what an install that died has left. */
  async sweep(): Promise<void> {
    await rm(join(this.#dir, '.incoming'), { recursive: true, force: true });
    for (const entry of await readdir(this.#dir).catch(() => []))
      if (/^\.[a-z0-9_]+\.[0-9a-f]{8}$/.test(entry)) await rm(join(this.#dir, entry), { force: true });
  }

  /** `source` is an archive or a folder; `accept` the digest of a bundle that may ask for more than the one before. */
  install(source: string, accept?: string): Promise<Result<Installed, Failure>> {
    return this.#alone(async () => {
      const scratch = join(this.#dir, '.incoming', toHex(this.#deps.random.bytes(8)));
      await mkdir(scratch, { recursive: true, mode: 0o700 });
      try {
        return await this.#install(source, scratch, accept);
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    });
  }

  async #install(source: string, scratch: string, accept: string | undefined): Promise<Result<Installed, Failure>> {
    this.#deps.step?.('fetch');
    const fetched = await this.#fetch(source, scratch);
    if (!fetched.ok) return fetched;
    this.#deps.step?.('check');
    const bundle = await this.#load(scratch, source);
    if (!bundle.ok) return bundle;
    const { name, version, digest, signer, trusted } = bundle.value;
    const before = await this.#before(bundle.value, accept);
    if (!before.ok) return before;
    const { current } = before.value;
    const folder = versionName(version, digest);
    const result: Installed = {
      name,
      version,
      digest,
      signer,
      trusted,
      changed: current !== folder,
      ...(current === undefined || current === folder ? {} : { replaced: versionIn(current) }),
    };
    const runs = await this.#deps.check(bundle.value);
    if (!runs.ok) return runs;
    this.#deps.step?.('place');
    const place = join(versionsOf(this.#dir, name), folder);
    await mkdir(dirname(place), { recursive: true, mode: 0o700 });
    if (current === folder && (await this.#load(place, place)).ok) return ok(result);
    await rm(place, { recursive: true, force: true });
    await syncTree(scratch);
    await rename(scratch, place);
    for (const folder of [dirname(place), join(this.#dir, versionsFolder), this.#dir]) await sync(folder);
    return this.#putInForce(bundle.value, folder, result, {});
  }

  /** The last steps of an install and of a rollback, from the one that tells it on. */
  async #putInForce(
    bundle: Bundle,
    folder: string,
    result: Installed,
    more: JsonObject,
  ): Promise<Result<Installed, Failure>> {
    const { name, version, digest, signer, signerKey } = bundle;
    const { random } = this.#deps;
    this.#deps.step?.('record');
    const floor = (await readRecord(this.#dir, name))?.floor ?? version;
    const lower = compareVersions(version, floor) < 0 ? version : floor;
    await writeRecord(this.#dir, name, { owner: signerKey, floor: lower }, random);
    this.#deps.step?.('tell');
    const { replaced } = result;
    const payload = {
      name,
      version,
      digest,
      signer,
      key: signerKey,
      ...(replaced === undefined ? {} : { replaced }),
      ...more,
    };
    const told = await this.#deps.record('agent.installed', payload);
    if (!told.ok) return told;
    this.#deps.step?.('link');
    await linkVersion(this.#dir, name, folder, random);
    this.#deps.step?.('raise');
    await writeRecord(this.#dir, name, { owner: signerKey, floor: version }, random);
    this.#deps.step?.('prune');
    const kept = (await keptVersions(this.#dir, name)).filter((one) => one !== folder);
    for (const old of kept.slice(versionsKeptMax - 1))
      await rm(join(versionsOf(this.#dir, name), old), { recursive: true, force: true });
    this.#deps.step?.('done');
    return ok(result);
  }

  remove(name: string): Promise<Result<{ readonly name: string }, Failure>> {
    return this.#alone(async () => {
      const current = await currentVersion(this.#dir, name);
      const kept = await keptVersions(this.#dir, name);
      if (current === undefined && kept.length === 0) return err(notInstalled(name));
      const told = await this.#deps.record('agent.removed', {
        name,
        ...(current === undefined ? {} : { version: versionIn(current) }),
      });
      if (!told.ok) return told;
      this.#deps.step?.('unlink');
      if (current !== undefined) {
        await rm(join(this.#dir, name), { force: true });
        await sync(this.#dir);
      }
      this.#deps.step?.('clear');
      await rm(versionsOf(this.#dir, name), { recursive: true, force: true });
      return ok({ name });
    });
  }

  /** Back to `version`, or to the one before; the only way for a version to fall. */
  rollback(name: string, version?: string): Promise<Result<Installed, Failure>> {
    return this.#alone(async () => {
      const current = await currentVersion(this.#dir, name);
      if (current === undefined) return err(notInstalled(name));
      const kept = await keptVersions(this.#dir, name);
      const older = (one: string): boolean => compareVersions(versionIn(one), versionIn(current)) < 0;
      const target = kept.find((one) =>
        version === undefined ? older(one) : versionIn(one) === version && one !== current,
      );
      if (target === undefined) {
        const have = kept.map(versionIn).join(', ');
        const what = version === undefined ? 'older version' : `version ${version}`;
        return err(failure('NotFound', `agent ${name} has no ${what} to go back to`, { hint: `kept here: ${have}` }));
      }
      const place = join(versionsOf(this.#dir, name), target);
      const bundle = await this.#load(place, place);
      if (!bundle.ok) return bundle;
      const runs = await this.#deps.check(bundle.value);
      if (!runs.ok) return runs;
      const { version: next, digest, signer, trusted } = bundle.value;
      const result = { name, version: next, digest, signer, trusted, replaced: versionIn(current), changed: true };
      return this.#putInForce(bundle.value, target, result, { rollback: true });
    });
  }

  async #alone<T>(work: () => Promise<Result<T, Failure>>): Promise<Result<T, Failure>> {
    const turn = this.#last.then(work).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      return err(failure('StorageFailed', `${this.#dir} cannot be changed: ${why}`));
    });
    this.#last = turn;
    return turn;
  }

  async #fetch(source: string, scratch: string): Promise<Result<void, Failure>> {
    const status = await lstat(source).catch(() => undefined);
    if (status?.isFile() === true) {
      const unpacked = await unpackBundle(this.#deps, source, scratch);
      return unpacked.ok ? checkLayout(source, await filesUnder(scratch)) : unpacked;
    }
    if (status?.isDirectory() !== true)
      return err(
        failure('NotFound', `${source} is neither an archive nor a folder`, { hint: 'make one: rlp agent pack' }),
      );
    const files = await bundleFiles(source);
    if (!files.ok) return files;
    const all = new Map(files.value);
    for (const name of [fileListName, signatureName]) {
      const bytes = await readFile(join(source, name)).catch(() => undefined);
      if (bytes !== undefined) all.set(name, bytes);
    }
    for (const [path, bytes] of all) {
      await mkdir(join(scratch, dirname(path)), { recursive: true, mode: 0o700 });
      await writeFile(join(scratch, path), bytes, { mode: 0o600 });
    }
    return checkLayout(source, [...all.keys()]);
  }

  /** The bundle in `dir`, with errors that name where it came from. */
  async #load(dir: string, source: string): Promise<Result<Bundle, Failure>> {
    const policy = this.#deps.trust.policy();
    if (!policy.ok) return policy;
    const bundle = await loadBundle(dir, policy.value);
    if (bundle.ok) return bundle;
    return err({ ...bundle.error, message: bundle.error.message.replaceAll(dir, source) });
  }

  /** The version in force, once nothing that stands in the way of `bundle` is left. */
  async #before(
    bundle: Bundle,
    accept: string | undefined,
  ): Promise<Result<{ readonly current: string | undefined }, Failure>> {
    const { name, version, signer, signerKey, digest } = bundle;
    const there = await lstat(join(this.#dir, name)).catch(() => undefined);
    const current = await currentVersion(this.#dir, name);
    if (there !== undefined && current === undefined) {
      const hint = 'move it away, or give the new agent another name';
      return err(failure('Conflict', `${join(this.#dir, name)} was put there by hand and is not replaced`, { hint }));
    }
    const record = await readRecord(this.#dir, name);
    const holder = await this.#deps.holder(name);
    const owner = record?.owner ?? holder?.signerKey;
    if (owner !== undefined && owner !== signerKey) {
      const hint = 'a name belongs to the signer that brought it; to hand it over: rlp agent remove, then install';
      return err(
        failure('Conflict', `the name ${name} belongs to the key ${owner.slice(0, 12)}…, this bundle is by ${signer}`, {
          hint,
        }),
      );
    }
    const newest = [record?.floor, current === undefined ? undefined : versionIn(current)].find(
      (one) => one !== undefined && compareVersions(version, one) < 0,
    );
    if (newest !== undefined) {
      const hint = `versions do not fall by installing; to go back: rlp agent rollback ${name}`;
      return err(failure('Conflict', `agent ${name} is at ${newest}, this bundle is ${version}`, { hint }));
    }
    const more = current === undefined ? [] : asksMore(await this.#asked(name, current), bundle.asks);
    if (more.length === 0 || accept === digest) return ok({ current });
    const details = { name, version, digest, more, from: current === undefined ? '' : versionIn(current) };
    return err(
      failure(
        'ApprovalRequired',
        `agent ${name} ${version} asks for more than the version before: ${more.join('; ')}`,
        {
          hint: 'to accept it: rlp agent install --yes',
          details,
        },
      ),
    );
  }

  /** What the version in force asks for; nothing where it cannot be read any more. */
  async #asked(name: string, folder: string): Promise<Bundle['asks']> {
    const place = join(versionsOf(this.#dir, name), folder);
    const bundle = await this.#load(place, place);
    return bundle.ok ? bundle.value.asks : noCaps;
  }
}

const layout = [
  /^(?:manifest\.toml|policy\.caps|tools\.json|package\.json|README\.md|LICENSE|SBOM[\w.-]*)$/,
  /^(?:bin|schemas|src)\/.+$/,
];

/** A bundle holds what the layout names, and nothing else. */
function checkLayout(source: string, files: readonly string[]): Result<void, Failure> {
  const refuse = (what: string): Result<never, Failure> =>
    err(failure('InvalidBundle', `${source}: ${what}`, { hint: 'the layout of a bundle: docs/agents.md' }));
  const odd = files.find((path) => path !== signatureName && !layout.some((pattern) => pattern.test(path)));
  if (odd !== undefined) return refuse(`${odd} has no place in a bundle`);
  const missing = ['manifest.toml', 'policy.caps', fileListName, signatureName].find((name) => !files.includes(name));
  return missing === undefined ? ok(undefined) : refuse(`${missing} is missing`);
}

async function filesUnder(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((one) => !one.isDirectory()).map((one) => join(one.parentPath, one.name).slice(dir.length + 1));
}

function notInstalled(name: string): Failure {
  return failure('NotFound', `no agent "${name}" is installed`, { hint: 'see: rlp agent list' });
}
