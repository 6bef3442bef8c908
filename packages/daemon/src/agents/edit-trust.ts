/**
 * Changes of trust-policy.toml: one at a time, whole or not at all. The daemon sees the new file by itself.
 */
import { createPublicKey, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { err, type Failure, failure, isDigest, isName, ok, publicKeyId, publicKeyOf, type Result } from '@runloop/core';
import { type Anchor, formatTrustPolicy, parseTrustPolicy, type TrustPolicy } from '@runloop/runtime';
import { trustPolicyFile } from './trust.ts';

export type TrustChange = (policy: TrustPolicy) => Result<TrustPolicy, Failure>;

export async function readTrustPolicy(root: string): Promise<Result<TrustPolicy, Failure>> {
  const path = join(root, trustPolicyFile);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? '' : undefined,
  );
  return text === undefined ? err(failure('InvalidConfig', `${path} cannot be read`)) : parseTrustPolicy(path, text);
}

export async function changeTrust(root: string, change: TrustChange): Promise<Result<TrustPolicy, Failure>> {
  const path = join(root, trustPolicyFile);
  const lock = `${path}.lock`;
  await mkdir(root, { recursive: true, mode: 0o700 });
  // Two changes at once would take each other's away, and one of them may be a revocation.
  const held = await open(lock, 'wx').catch(() => undefined);
  if (held === undefined)
    return err(failure('Busy', `${path} is being changed`, { hint: `if nobody does, delete ${lock}` }));
  try {
    const policy = await readTrustPolicy(root);
    const changed = policy.ok ? change(policy.value) : policy;
    if (!changed.ok) return changed;
    const text = formatTrustPolicy(changed.value);
    const checked = parseTrustPolicy(path, text);
    if (!checked.ok) return checked;
    const fresh = `${path}.${randomUUID()}`;
    await writeFile(fresh, text, { mode: 0o600, flush: true });
    await rename(fresh, path);
    return checked;
  } finally {
    await held.close();
    await rm(lock, { force: true });
  }
}

export function addAnchor(anchor: Anchor): TrustChange {
  return (policy) => {
    if (!isName(anchor.name)) return err(failure('Usage', `"${anchor.name}" must match [a-z][a-z0-9_]{0,63}`));
    const same = policy.anchors.find(({ name, key }) => name === anchor.name || key === anchor.key);
    if (same !== undefined && (same.name !== anchor.name || same.key !== anchor.key))
      return err(
        failure('Conflict', `anchor "${same.name}" has the key ${same.key}`, {
          hint: `first: rlp trust remove ${same.name}`,
        }),
      );
    const others = policy.anchors.filter((one) => one !== same);
    return ok({ ...policy, anchors: [...others, { ...same, ...anchor }] });
  };
}

export function removeAnchor(name: string): TrustChange {
  return (policy) =>
    policy.anchors.some((anchor) => anchor.name === name)
      ? ok({ ...policy, anchors: policy.anchors.filter((anchor) => anchor.name !== name) })
      : err(failure('NotFound', `there is no anchor "${name}"`, { hint: 'see: rlp trust list' }));
}

/**
 * `what` is the name or the key of a signer, or the digest of a bundle. Key and digest look alike: one that is no
 * anchor's key is revoked as both, which takes nothing from anybody else.
 */
export function revoke(what: string): TrustChange {
  return (policy) => {
    const anchor = policy.anchors.find(({ name, key }) => name === what || key === what);
    const id = anchor?.key ?? what;
    if (!isDigest(id)) {
      const hint = 'see: rlp trust list, rlp agent show <name>';
      return err(failure('Usage', `"${what}" is neither an anchor nor 64 hex digits`, { hint }));
    }
    const add = (list: readonly string[]): readonly string[] => [...new Set([...list, id])];
    const revokedBundles = anchor === undefined ? add(policy.revokedBundles) : policy.revokedBundles;
    return ok({ ...policy, revokedKeys: add(policy.revokedKeys), revokedBundles });
  };
}

/** A public key as people pass it on: its 64 hex digits, or a file that holds them or a PEM. */
export async function publicKeyFrom(given: string): Promise<Result<string, Failure>> {
  if (publicKeyOf(given).ok) return ok(given);
  const text = await readFile(given, 'utf8').catch(() => undefined);
  const wrong = failure('Usage', `${given} is no Ed25519 public key, and no file that holds one`, {
    hint: 'give 64 hex digits or a .pub file of rlp agent keygen',
  });
  if (text === undefined) return err(wrong);
  if (publicKeyOf(text.trim()).ok) return ok(text.trim());
  if (!text.includes('BEGIN PUBLIC KEY')) return err(wrong);
  try {
    const key = createPublicKey(text);
    return key.asymmetricKeyType === 'ed25519' ? ok(publicKeyId(key)) : err(wrong);
  } catch {
    return err(wrong);
  }
}
