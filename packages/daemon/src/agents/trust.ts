/**
 * The trust policy and the operator's overrides as they stand on disk now.
 *
 * 1. Read again each time that somebody asks: a revocation holds from the moment at which its file is written.
 * 2. The same text is the same object, so that whoever keeps what followed from a policy knows when it no longer does.
 * 3. A file that cannot be read or parsed is a failure of whoever asks; it never means "nothing is revoked".
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, err, failure, type Failure, type Log, ok, type Result } from '@runloop/core';
import {
  type CapsLayer,
  emptyPolicy,
  type HostKey,
  parseLayer,
  parseTrustPolicy,
  tighten,
  type TrustPolicy,
  trustHost,
} from '@runloop/runtime';

/** How soon a change of the policy reaches what is running. */
export const trustPollMs = 250;
/** Overrides that are kept parsed. */
export const overridesKeptMax = 256;

export interface TrustSource {
  policy(): Result<TrustPolicy, Failure>;
  /** The operator's override of what this agent may do, where there is one. */
  override(name: string): Result<CapsLayer | undefined, Failure>;
}

export const trustPolicyFile = 'trust-policy.toml';
export const systemTrustPolicy = '/etc/runloop/trust-policy.toml';

export class Trust implements TrustSource {
  readonly #deps: { readonly clock: Clock; readonly log: Log; readonly hostKey: HostKey };
  readonly #files: { readonly root: string; readonly system?: string };
  #seen: { readonly texts: string; readonly policy: Result<TrustPolicy, Failure> } | undefined;
  readonly #overrides = new Map<string, { readonly text: string; readonly layer: Result<CapsLayer, Failure> }>();

  constructor(
    deps: { readonly clock: Clock; readonly log: Log; readonly hostKey: HostKey },
    files: { readonly root: string; readonly system?: string },
  ) {
    this.#deps = deps;
    this.#files = files;
  }

  policy(): Result<TrustPolicy, Failure> {
    const userFile = join(this.#files.root, trustPolicyFile);
    const user = readText(userFile);
    if (!user.ok) return user;
    const { system: systemFile } = this.#files;
    const system = systemFile === undefined ? ok(undefined) : readText(systemFile);
    if (!system.ok) return system;
    const texts = JSON.stringify([user.value, system.value]);
    if (this.#seen?.texts === texts) return this.#seen.policy;
    const policy = this.#read([userFile, user.value], [systemFile ?? '', system.value]);
    if (!policy.ok) this.#deps.log.log('error', 'the trust policy is not valid', { reason: policy.error.message });
    this.#seen = { texts, policy };
    return policy;
  }

  #read(
    [userFile, userText = '']: readonly [string, string | undefined],
    [systemFile, systemText]: readonly [string, string | undefined],
  ): Result<TrustPolicy, Failure> {
    const user = parseTrustPolicy(userFile, userText);
    if (!user.ok) return user;
    const { id } = this.#deps.hostKey;
    if (systemText === undefined) return ok(trustHost(id, user.value));
    const system = parseTrustPolicy(systemFile, systemText);
    if (!system.ok) return system;
    const { policy, warnings } = tighten(system.value, user.value);
    for (const warning of warnings) this.#deps.log.log('warn', warning, { file: userFile });
    return ok(trustHost(id, policy));
  }

  override(name: string): Result<CapsLayer | undefined, Failure> {
    const path = join(this.#files.root, 'caps', `${name}.caps`);
    const text = readText(path);
    if (!text.ok) return text;
    if (text.value === undefined) return ok(undefined);
    const seen = this.#overrides.get(name);
    if (seen?.text === text.value) return seen.layer;
    const layer = parseLayer(path, text.value);
    this.#overrides.delete(name);
    const [oldest] = this.#overrides.keys();
    if (this.#overrides.size >= overridesKeptMax && oldest !== undefined) this.#overrides.delete(oldest);
    this.#overrides.set(name, { text: text.value, layer });
    return layer;
  }

  /** Calls `changed` soon after the policy is another one. */
  watch(changed: () => void): Disposable {
    let last = this.policy();
    let timer: Disposable;
    const look = (): void => {
      const now = this.policy();
      const isNew = now.ok ? !last.ok || now.value !== last.value : last.ok;
      last = now;
      timer = this.#deps.clock.after(trustPollMs, look);
      if (isNew) changed();
    };
    timer = this.#deps.clock.after(trustPollMs, look);
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }
}

/** A host that trusts itself alone: for building, where nothing of others is run. */
export function ownTrust(hostKey: HostKey): TrustSource {
  const policy = trustHost(hostKey.id, emptyPolicy);
  return { policy: () => ok(policy), override: () => ok(undefined) };
}

function readText(path: string): Result<string | undefined, Failure> {
  try {
    return ok(readFileSync(path, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return ok(undefined);
    const hint = 'until it can be read, no agent is started';
    return err(failure('InvalidConfig', `${path} cannot be read: ${code ?? String(error)}`, { hint }));
  }
}
