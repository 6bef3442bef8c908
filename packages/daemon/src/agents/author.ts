/**
 * What an author of agents does without a daemon: keys, signatures, archives, a look at what is asked for.
 */
import { lstat, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { err, type Failure, failure, isJsonObject, ok, parseJson, type Result } from '@runloop/core';
import {
  fileListName,
  type Finding,
  lintCaps,
  loadBundle,
  makeSigningKey,
  packBundle,
  readSigningKey,
  signBundle,
  trustHost,
} from '@runloop/runtime';

/** A new signing key in `path`, and its public half in `path`.pub, which is for those who shall trust it. */
export async function makeKeyPair(
  path: string,
): Promise<Result<{ key: string; path: string; public_path: string }, Failure>> {
  const made = await makeSigningKey(path);
  if (!made.ok) return made;
  const { id } = made.value;
  await writeFile(`${path}.pub`, `${id}\n`);
  return ok({ key: id, path, public_path: `${path}.pub` });
}

export async function signFolder(
  dir: string,
  keyPath: string,
): Promise<Result<{ dir: string; digest: string; key: string }, Failure>> {
  const key = await readSigningKey(keyPath);
  if (!key.ok) return key;
  const signed = await signBundle(dir, key.value);
  if (!signed.ok) return signed;
  const bundle = await loadBundle(dir, trustHost(key.value.id));
  return bundle.ok ? ok({ dir, digest: bundle.value.digest, key: key.value.id }) : bundle;
}

/** The archive of a signed folder, whoever signed it; it appears whole. */
export async function packFolder(
  dir: string,
  out: string | undefined,
): Promise<Result<{ path: string; digest: string; bytes: number }, Failure>> {
  const key = await signerOf(dir);
  if (!key.ok) return key;
  const bundle = await loadBundle(dir, trustHost(key.value));
  if (!bundle.ok) return bundle;
  const packed = await packBundle(bundle.value);
  if (!packed.ok) return packed;
  const path = resolve(out ?? packed.value.name);
  try {
    await writeFile(`${path}.new`, packed.value.bytes);
    await rename(`${path}.new`, path);
  } catch (error) {
    return err(failure('StorageFailed', `${path} cannot be written: ${String(error)}`));
  }
  return ok({ path, digest: bundle.value.digest, bytes: packed.value.bytes.length });
}

async function signerOf(dir: string): Promise<Result<string, Failure>> {
  const text = await readFile(join(dir, fileListName), 'utf8').catch(() => undefined);
  if (text === undefined)
    return err(
      failure('InvalidBundle', `${dir} is no signed bundle: there is no ${fileListName}`, {
        hint: 'rlp agent build, or rlp agent sign',
      }),
    );
  const list = parseJson(text);
  const key = list.ok && isJsonObject(list.value) ? list.value['key'] : undefined;
  if (typeof key === 'string') return ok(key);
  return err(
    failure('InvalidBundle', `${dir} was signed by an older version, which did not write down its key`, {
      hint: 'sign it again: rlp agent build',
    }),
  );
}

/** Bytes of a policy.caps that is looked at. */
const lintBytesMax: number = 256 * 1024;

export async function lintFolder(dir: string): Promise<Result<readonly Finding[], Failure>> {
  const path = join(dir, 'policy.caps');
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return err(failure('NotFound', `there is no ${path}`));
  // Whoever opens a FIFO waits; a bundle with anything of the kind would be refused.
  if (!found.isFile() || found.size > lintBytesMax)
    return err(failure('InvalidBundle', `${path} is no regular file of at most ${lintBytesMax} bytes`));
  return ok(lintCaps(await readFile(path, 'utf8')));
}
