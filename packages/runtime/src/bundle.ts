/**
 * A bundle as it lies on disk, checked before anything of it is used.
 *
 * 1. Every file but build output's own signature is listed in `bin/manifest.json` with its BLAKE3 digest; nothing
 *    unlisted is accepted, and every digest is compared at each load.
 * 2. The signature is Ed25519 over the bytes of that list, by a key that the trust policy names and does not revoke.
 * 3. Its capabilities are what it asks for, as far as its signer may be granted it.
 * 4. A bundle is data: nothing of it is executed here.
 */
import { verify } from 'node:crypto';
import { lstat, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Digest,
  type Failure,
  type JsonObject,
  type Result,
  digestBytes,
  digestLarge,
  err,
  failure,
  isJsonObject,
  ok,
  parseJson,
  publicKeyOf,
} from '@runloop/core';
import type { Caps } from './caps.ts';
import { parseCaps } from './caps.ts';
import { bundleBytesMax, bundleFilesMax } from './limits.ts';
import { type Manifest, parseManifest } from './manifest.ts';
import { sbomName } from './sbom.ts';
import { type Tool, parseTools } from './tools/tools-file.ts';
import { type Anchor, type TrustPolicy, allowedBy } from './trust/policy.ts';

export type Bundle = {
  readonly name: string;
  readonly version: string;
  readonly dir: string;
  /** Digest of the signed file list: the bundle as a whole. */
  readonly digest: Digest;
  readonly kind: Manifest['kind'];
  readonly ports: Manifest['ports'];
  readonly withSchema?: JsonObject;
  /** What `policy.caps` asks for. */
  readonly asks: Caps;
  /** What it may have. */
  readonly caps: Caps;
  /** What `tools.json` declares. */
  readonly tools?: readonly Tool[];
  readonly component: { readonly path: string; readonly digest: Digest };
  /** Where it says what it is made of, if it does. */
  readonly sbom?: { readonly path: string; readonly digest: Digest };
  /** Name of the anchor, and its key. */
  readonly signer: string;
  readonly signerKey: string;
  readonly trusted: boolean;
};

/** Files that a build writes or a workspace holds, and that are no part of the bundle. */
const outside = (path: string): boolean =>
  path === fileListName ||
  path.startsWith('SIGNATURES/') ||
  /^(?:node_modules|test|dist)\//.test(path) ||
  path === 'tsconfig.json' ||
  // Openings that an author keeps beside an agent.
  /^[^/]+\.yaml$/.test(path);
export const fileListName = 'bin/manifest.json';
export const signatureName = 'SIGNATURES/manifest.sig';

export async function loadBundle(dir: string, trust: TrustPolicy): Promise<Result<Bundle, Failure>> {
  const refuse = (code: Failure['code'], what: string, hint?: string): Result<Bundle, Failure> =>
    err(failure(code, `bundle ${dir}: ${what}`, hint === undefined ? {} : { hint }));
  let listBytes: Buffer;
  let signature: Buffer;
  try {
    listBytes = await readFile(join(dir, fileListName));
    signature = await readFile(join(dir, signatureName));
  } catch {
    return refuse('InvalidBundle', `there is no ${fileListName} or ${signatureName}`, 'build it: rlp agent build');
  }
  const digest = digestBytes(listBytes);
  const list = parseJson(listBytes.toString('utf8'));
  const anchor = signer(listBytes, signature, trust);
  if (anchor === undefined) {
    const { what, hint } = stranger(listBytes, signature, list.ok ? list.value : null);
    return refuse('SignatureInvalid', what, hint);
  }
  const revoked = revocation({ digest, signer: anchor.name, signerKey: anchor.key }, trust);
  if (revoked !== undefined) return refuse(revoked.code, revoked.message, revoked.hint);
  if (!list.ok || !isJsonObject(list.value) || !isJsonObject(list.value['files']))
    return refuse('InvalidBundle', `${fileListName} is malformed`);
  const listed = new Map(
    Object.entries(list.value['files']).map(([path, digest]) => [path, typeof digest === 'string' ? digest : '']),
  );
  const found = await bundleFiles(dir);
  if (!found.ok) return found;
  for (const path of found.value.keys()) if (!listed.has(path)) return refuse('InvalidBundle', `${path} is not listed`);
  for (const [path, digest] of listed) {
    const bytes = found.value.get(path);
    if (bytes === undefined) return refuse('InvalidBundle', `${path} is listed and missing`);
    if ((await digestLarge(bytes)) !== digest)
      return refuse('DigestMismatch', `${path} is not what was signed`, 'build it again');
  }
  const manifest = parseManifest(text(found.value.get('manifest.toml')));
  if (!manifest.ok) return refuse(manifest.error.code, manifest.error.message);
  const caps = parseCaps(text(found.value.get(manifest.value.capsFile)));
  if (!caps.ok) return refuse(caps.error.code, caps.error.message);
  const componentDigest = listed.get(manifest.value.entry);
  if (componentDigest === undefined) return refuse('InvalidBundle', `the component ${manifest.value.entry} is missing`);
  if (manifest.value.entryDigest !== undefined && manifest.value.entryDigest !== componentDigest) {
    return refuse('DigestMismatch', 'the component is not the one that manifest.toml names');
  }
  const tools = bundleTools(manifest.value, found.value, listed);
  if (!tools.ok) return refuse(tools.error.code, tools.error.message);
  const { name, version, kind, ports, withSchema } = manifest.value;
  const sbom = listed.get(sbomName);
  return ok({
    name,
    version,
    dir,
    digest,
    kind,
    ports,
    ...(withSchema === undefined ? {} : { withSchema }),
    asks: caps.value,
    caps: allowedBy(anchor, caps.value),
    ...(tools.value === undefined ? {} : { tools: tools.value }),
    component: { path: join(dir, manifest.value.entry), digest: componentDigest as Digest },
    ...(sbom === undefined ? {} : { sbom: { path: join(dir, sbomName), digest: sbom as Digest } }),
    signer: anchor.name,
    signerKey: anchor.key,
    trusted: anchor.trusted,
  });
}

/** The tools of the file that the manifest names, or of tools.json where there is one. */
function bundleTools(
  { tools }: Manifest,
  files: ReadonlyMap<string, Uint8Array>,
  listed: ReadonlyMap<string, string>,
): Result<readonly Tool[] | undefined, Failure> {
  const path = tools?.path ?? 'tools.json';
  const bytes = files.get(path);
  if (bytes === undefined)
    return tools === undefined ? ok(undefined) : err(failure('InvalidBundle', `${path} is named and missing`));
  if (tools?.digest !== undefined && tools.digest !== listed.get(path))
    return err(failure('DigestMismatch', `${path} is not the one that manifest.toml names`));
  return parseTools(text(bytes));
}

/** Why a bundle that was good may not run any more, if it may not. */
export function revocation(
  { digest, signer: name, signerKey: key }: Pick<Bundle, 'digest' | 'signer' | 'signerKey'>,
  trust: TrustPolicy,
): Failure | undefined {
  const hint = 'see: rlp trust list; install a bundle that is not revoked';
  if (trust.revokedBundles.includes(digest))
    return failure('SignatureInvalid', `the bundle ${digest.slice(0, 12)}… is revoked by the trust policy`, { hint });
  if (trust.revokedKeys.includes(key))
    return failure(
      'SignatureInvalid',
      `its signer "${name}" (key ${key.slice(0, 12)}…) is revoked by the trust policy`,
      { hint },
    );
  return trust.anchors.some((anchor) => anchor.key === key)
    ? undefined
    : failure('SignatureInvalid', `its signer "${name}" is no anchor of the trust policy any more`, { hint });
}

/** What to say of a signature by nobody who is known: the list names the key, so that its owner can be asked. */
function stranger(bytes: Uint8Array, signature: Uint8Array, list: unknown): { what: string; hint?: string } {
  const claimed = isJsonObject(list) ? list['key'] : undefined;
  const key = typeof claimed === 'string' ? publicKeyOf(claimed) : undefined;
  if (typeof claimed !== 'string' || key?.ok !== true)
    return { what: 'the signature is by no key that the trust policy names' };
  if (!verify(null, bytes, key.value, signature))
    return { what: `the signature does not fit: ${fileListName} or ${signatureName} was changed after signing` };
  return {
    what: `it is signed by ${claimed}, a key that the trust policy does not name`,
    hint: `when its owner has confirmed the key: rlp trust add <name> ${claimed}`,
  };
}

function signer(bytes: Uint8Array, signature: Uint8Array, trust: TrustPolicy): Anchor | undefined {
  return trust.anchors.find((anchor) => {
    const key = publicKeyOf(anchor.key);
    return key.ok && verify(null, bytes, key.value, signature);
  });
}

function text(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : Buffer.from(bytes).toString('utf8');
}

/** Every file that belongs to the bundle in `dir`, by path relative to it; links and special files are refused. */
export async function bundleFiles(dir: string): Promise<Result<ReadonlyMap<string, Uint8Array>, Failure>> {
  const files = new Map<string, Uint8Array>();
  let bytes = 0;
  const visit = async (folder: string): Promise<Failure | undefined> => {
    const names = (await readdir(join(dir, folder))).sort();
    for (const name of names) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (outside(path) || outside(`${path}/`)) continue;
      const status = await lstat(join(dir, path));
      if (status.isDirectory()) {
        const problem = await visit(path);
        if (problem !== undefined) return problem;
        continue;
      }
      if (!status.isFile())
        return failure('InvalidBundle', `bundle ${dir}: ${path} is neither a regular file nor a directory`);
      bytes += status.size;
      if (files.size >= bundleFilesMax)
        return failure('InvalidBundle', `bundle ${dir}: more than ${bundleFilesMax} files`);
      if (bytes > bundleBytesMax) return failure('InvalidBundle', `bundle ${dir}: more than ${bundleBytesMax} bytes`);
      files.set(path, await readFile(join(dir, path)));
    }
    return undefined;
  };
  try {
    const problem = await visit('');
    return problem === undefined ? ok(files) : err(problem);
  } catch (error) {
    return err(
      failure(
        'InvalidBundle',
        `bundle ${dir} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      ),
    );
  }
}
