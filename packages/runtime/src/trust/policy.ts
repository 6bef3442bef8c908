/**
 * The trust policy: who may sign, what each signer may be granted, and what is revoked.
 *
 * 1. Strict: an unknown key, a key that is no Ed25519 key, two anchors of one name are errors. A policy that cannot be
 *    read trusts nobody: the caller refuses every bundle.
 * 2. A lower layer can only tighten: with a system policy, the user's own anchors narrow the system's and add none.
 * 3. The host's own key is the anchor `host`, trusted, in every policy; it can be revoked like every other.
 */
import { parse, stringify } from 'smol-toml';
import {
  type Failure,
  type Result,
  err,
  failure,
  isDigest,
  isJsonObject,
  isName,
  nearest,
  ok,
  publicKeyOf,
} from '@runloop/core';
import { type Caps, type CapsLayer, parseLayer } from '../caps.ts';
import { anchorsMax, revocationsMax, trustPolicyBytesMax } from '../limits.ts';
import { applyLayer, harmless } from './effective.ts';

export type Anchor = {
  readonly name: string;
  /** The public key, 64 hex digits. */
  readonly key: string;
  /** Bundles of a signer that is not trusted run in bubblewrap. */
  readonly trusted: boolean;
  /**
   * What it may be granted. Without a layer: everything that its bundles ask for where it is trusted, nothing where it
   * is not. A layer that is there grants what it names; limits that it does not name are the bundle's own.
   */
  readonly caps?: CapsLayer;
};

export type TrustPolicy = {
  readonly anchors: readonly Anchor[];
  readonly revokedKeys: readonly string[];
  readonly revokedBundles: readonly string[];
  /** Whether untrusted bundles may run without namespaces where bubblewrap is missing; as configured where left out. */
  readonly allowWeak?: boolean;
};

export const hostAnchor = 'host';
export const emptyPolicy: TrustPolicy = { anchors: [], revokedKeys: [], revokedBundles: [] };

/** The policy of a host that trusts itself alone, or itself beside what `policy` says. */
export function trustHost(key: string, policy: TrustPolicy = emptyPolicy): TrustPolicy {
  const others = policy.anchors.filter((anchor) => anchor.key !== key);
  return { ...policy, anchors: [{ name: hostAnchor, key, trusted: true }, ...others] };
}

/** What the anchor's bundles may have of `caps`. */
export function allowedBy(anchor: Anchor, caps: Caps): Caps {
  if (anchor.caps !== undefined) return applyLayer(caps, wholeLayer(anchor.caps), anchor.name).caps;
  if (anchor.trusted) return caps;
  return applyLayer(caps, wholeLayer({ caps: harmless, given: {} }), anchor.name).caps;
}

/** The layer with every key named, but for the limits that it leaves out. */
function wholeLayer({ caps, given }: CapsLayer): CapsLayer {
  const all = Object.fromEntries(Object.keys(caps).map((key) => [key, true]));
  return { caps, given: { ...all, mail: true, limits: isJsonObject(given['limits']) ? given['limits'] : {} } };
}

const rootKeys = ['anchor', 'revoked_keys', 'revoked_bundles', 'allow_weak'];
const anchorKeys = ['name', 'key', 'trusted', 'caps'];

class Wrong extends Error {}

export function parseTrustPolicy(path: string, text: string): Result<TrustPolicy, Failure> {
  try {
    if (Buffer.byteLength(text) > trustPolicyBytesMax) throw new Wrong(`it has more than ${trustPolicyBytesMax} bytes`);
    return ok(read(JSON.parse(JSON.stringify(parse(text)))));
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return err(failure('InvalidConfig', `${path}: ${why}`, { hint: 'until it is right, no agent is started' }));
  }
}

function read(given: unknown): TrustPolicy {
  const root = table(given, 'the policy', rootKeys);
  const list = root['anchor'] ?? [];
  if (!Array.isArray(list)) throw new Wrong('write anchors as [[anchor]]');
  if (list.length > anchorsMax) throw new Wrong(`${list.length} anchors, at most ${anchorsMax} are allowed`);
  const anchors = list.map(readAnchor);
  for (const [i, { name, key }] of anchors.entries()) {
    if (anchors.findIndex((other) => other.name === name) !== i) throw new Wrong(`two anchors are called "${name}"`);
    if (anchors.findIndex((other) => other.key === key) !== i) throw new Wrong(`two anchors have the key ${key}`);
  }
  const weak = root['allow_weak'];
  if (weak !== undefined && typeof weak !== 'boolean') throw new Wrong('"allow_weak" must be true or false');
  return {
    anchors,
    revokedKeys: digests(root['revoked_keys'], 'revoked_keys'),
    revokedBundles: digests(root['revoked_bundles'], 'revoked_bundles'),
    ...(weak === undefined ? {} : { allowWeak: weak }),
  };
}

function table(given: unknown, what: string, keys: readonly string[]): { readonly [key: string]: unknown } {
  if (!isJsonObject(given)) throw new Wrong(`${what} must be a table`);
  for (const key of Object.keys(given)) {
    if (keys.includes(key)) continue;
    const near = nearest(key, keys);
    throw new Wrong(`${what} has no key "${key}"${near === undefined ? '' : `; did you mean "${near}"?`}`);
  }
  return given;
}

function readAnchor(given: unknown): Anchor {
  const { name, key, trusted = false, caps } = table(given, 'an anchor', anchorKeys);
  if (typeof name !== 'string' || !isName(name)) throw new Wrong('an anchor\'s "name" must match [a-z][a-z0-9_]{0,63}');
  if (name === hostAnchor) throw new Wrong(`"${hostAnchor}" is the anchor of this host's own key; choose another name`);
  if (typeof key !== 'string') throw new Wrong(`anchor "${name}" has no "key"`);
  const known = publicKeyOf(key);
  if (!known.ok) throw new Wrong(`anchor "${name}": ${known.error.message}`);
  if (typeof trusted !== 'boolean') throw new Wrong(`anchor "${name}": "trusted" must be true or false`);
  if (caps === undefined) return { name, key, trusted };
  if (!isJsonObject(caps)) throw new Wrong(`anchor "${name}": "caps" must be a table`);
  const layer = parseLayer(`anchor "${name}": caps`, caps);
  if (!layer.ok) throw new Wrong(layer.error.message);
  return { name, key, trusted, caps: layer.value };
}

function digests(given: unknown, key: string): readonly string[] {
  const list = given ?? [];
  if (!Array.isArray(list) || list.length > revocationsMax)
    throw new Wrong(`"${key}" must be a list, at most ${revocationsMax} long`);
  return list.map((one: unknown) => {
    if (typeof one !== 'string' || !isDigest(one))
      throw new Wrong(`"${key}" holds something that is not 64 hex digits`);
    return one;
  });
}

/** `user` below `system`, and what of `user` has no effect. */
export function tighten(
  system: TrustPolicy,
  user: TrustPolicy,
): { readonly policy: TrustPolicy; readonly warnings: readonly string[] } {
  const warnings = user.anchors
    .filter(({ key }) => !system.anchors.some((anchor) => anchor.key === key))
    .map(({ name }) => `anchor "${name}" is ignored: the system's policy does not name its key`);
  const anchors = system.anchors.map((anchor) => {
    const own = user.anchors.find(({ key }) => key === anchor.key);
    return own === undefined ? anchor : tighterAnchor(anchor, own);
  });
  if (user.allowWeak === true && system.allowWeak !== true)
    warnings.push("allow_weak is ignored: the system's policy does not allow it");
  const weak = system.allowWeak === false || user.allowWeak === false ? false : system.allowWeak;
  return {
    policy: {
      anchors,
      revokedKeys: [...new Set([...system.revokedKeys, ...user.revokedKeys])],
      revokedBundles: [...new Set([...system.revokedBundles, ...user.revokedBundles])],
      ...(weak === undefined ? {} : { allowWeak: weak }),
    },
    warnings,
  };
}

function tighterAnchor(system: Anchor, user: Anchor): Anchor {
  const trusted = system.trusted && user.trusted;
  const { caps: upper } = system;
  const lower = user.caps;
  if (lower === undefined) return { ...system, trusted };
  if (upper === undefined) return system.trusted ? { ...system, trusted, caps: lower } : { ...system, trusted };
  const limits = { ...tableOf(lower.given['limits']), ...tableOf(upper.given['limits']) };
  const { caps } = applyLayer(upper.caps, wholeLayer(lower), user.name);
  return { ...system, trusted, caps: { caps, given: { ...upper.given, limits } } };
}

function tableOf(value: unknown): object {
  return isJsonObject(value) ? value : {};
}

/** The policy as the text of its file. */
export function formatTrustPolicy(policy: TrustPolicy): string {
  const body = stringify({
    ...(policy.allowWeak === undefined ? {} : { allow_weak: policy.allowWeak }),
    ...(policy.revokedKeys.length === 0 ? {} : { revoked_keys: [...policy.revokedKeys] }),
    ...(policy.revokedBundles.length === 0 ? {} : { revoked_bundles: [...policy.revokedBundles] }),
    anchor: policy.anchors.map(({ name, key, trusted, caps }) => ({
      name,
      key,
      trusted,
      ...(caps === undefined ? {} : { caps: caps.given }),
    })),
  });
  return `# Who may sign the agents that run here: rlp trust --help. Written by rlp trust, which keeps no comments.\n${body}`;
}
