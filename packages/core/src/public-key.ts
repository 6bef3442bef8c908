/**
 * Ed25519 public keys by their ids: the 32 raw bytes in hex, as trust policies and signed heads name them.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { type Failure, failure } from './errors.ts';
import { err, ok, type Result } from './result.ts';

/** What stands before the raw key in its SPKI form (RFC 8410). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

export function publicKeyId(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).subarray(spkiPrefix.length).toString('hex');
}

/** The key that an id names; a failure where the id is not 32 bytes of hex. */
export function publicKeyOf(id: string): Result<KeyObject, Failure> {
  if (!/^[0-9a-f]{64}$/.test(id))
    return err(failure('InvalidConfig', `"${id.slice(0, 80)}" is not an Ed25519 public key (64 hex digits)`));
  return ok(createPublicKey({ key: Buffer.concat([spkiPrefix, Buffer.from(id, 'hex')]), format: 'der', type: 'spki' }));
}
