/**
 * The host's Ed25519 key: made at first start, kept as PKCS#8 PEM in the state directory, readable by its owner alone.
 */
import { type KeyObject, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Failure, type Result, err, failure, ok, publicKeyId } from '@runloop/core';

export type HostKey = {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The raw public key in hex: what trust policies name. */
  readonly id: string;
};

/** The key in `stateDir`, made if there is none. Two first starts at once end with one key. */
export async function hostKey(stateDir: string): Promise<Result<HostKey, Failure>> {
  const path = join(stateDir, 'host.key');
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const kept = await readFile(path, 'utf8').catch(() => undefined);
    if (kept !== undefined) return ok(keyOf(createPrivateKey(kept)));
    const { privateKey } = generateKeyPairSync('ed25519');
    // A name of its own for each call: two at once in one process would take each other's away.
    const fresh = `${path}.${randomUUID()}`;
    await writeFile(fresh, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    await chmod(fresh, 0o600);
    await link(fresh, path).catch(() => {});
    await rm(fresh);
    return ok(keyOf(createPrivateKey(await readFile(path, 'utf8'))));
  } catch (error) {
    return err(
      failure(
        'StorageFailed',
        `the host key ${path} cannot be read or made: ${error instanceof Error ? error.message : String(error)}`,
      ),
    );
  }
}

/** A new signing key in a file of its own, which must not be there yet. */
export async function makeSigningKey(path: string): Promise<Result<HostKey, Failure>> {
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    await writeFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600, flag: 'wx' });
    return ok(keyOf(privateKey));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code;
    const what = why === 'EEXIST' ? 'is there already; a key is never overwritten' : `cannot be written: ${why ?? ''}`;
    return err(failure('StorageFailed', `the key ${path} ${what}`, { hint: 'choose another file: --out <file>' }));
  }
}

/** A signing key as `makeSigningKey` wrote it. */
export async function readSigningKey(path: string): Promise<Result<HostKey, Failure>> {
  try {
    const privateKey = createPrivateKey(await readFile(path, 'utf8'));
    if (privateKey.asymmetricKeyType === 'ed25519') return ok(keyOf(privateKey));
    return err(failure('InvalidConfig', `${path} is a ${privateKey.asymmetricKeyType ?? ''} key, not an Ed25519 one`));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return err(
      failure('InvalidConfig', `the signing key ${path} cannot be read: ${why}`, {
        hint: 'make one: rlp agent keygen',
      }),
    );
  }
}

function keyOf(privateKey: KeyObject): HostKey {
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, id: publicKeyId(publicKey) };
}
