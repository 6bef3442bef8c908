/**
 * A bundle as it lies on disk, checked before anything of it is used.
 *
 * 1. Every file but build output's own signature is listed in `bin/manifest.json` with its BLAKE3 digest; nothing
 *    unlisted is accepted, and every digest is compared at each load.
 * 2. The signature is Ed25519 over the bytes of that list, by a key that the trust policy names.
 * 3. A bundle is data: nothing of it is executed here.
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
} from '@runloop/core';
import type { Caps } from './caps.ts';
import { parseCaps } from './caps.ts';
import { publicKeyOf } from './keys.ts';
import { bundleBytesMax, bundleFilesMax } from './limits.ts';
import { type Manifest, parseManifest } from './manifest.ts';
import { type Tool, parseTools } from './tools/tools-file.ts';

export type Anchor = { readonly name: string; readonly key: string };
/** Who may sign. Bundles of `trusted` anchors share cells with their own kind; all others must be refused by the caller. */
export type TrustPolicy = { readonly anchors: readonly Anchor[] };

export type Bundle = {
  readonly name: string;
  readonly version: string;
  readonly dir: string;
  /** Digest of the signed file list: the bundle as a whole. */
  readonly digest: Digest;
  readonly kind: Manifest['kind'];
  readonly ports: Manifest['ports'];
  readonly withSchema?: JsonObject;
  readonly caps: Caps;
  /** What `tools.json` declares. */
  readonly tools?: readonly Tool[];
  readonly component: { readonly path: string; readonly digest: Digest };
  readonly signer: string;
  readonly trusted: boolean;
};

/** Files that a build writes or a workspace holds, and that are no part of the bundle. */
const outside = (path: string): boolean =>
  path === fileListName ||
  path.startsWith('SIGNATURES/') ||
  /^(?:node_modules|test|dist)\//.test(path) ||
  path === 'tsconfig.json';
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
  const anchor = signer(listBytes, signature, trust);
  if (anchor === undefined) return refuse('SignatureInvalid', 'the signature is by no key that the trust policy names');
  const list = parseJson(listBytes.toString('utf8'));
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
  return ok({
    name,
    version,
    dir,
    digest: digestBytes(listBytes),
    kind,
    ports,
    ...(withSchema === undefined ? {} : { withSchema }),
    caps: caps.value,
    ...(tools.value === undefined ? {} : { tools: tools.value }),
    component: { path: join(dir, manifest.value.entry), digest: componentDigest as Digest },
    signer: anchor.name,
    trusted: true,
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
