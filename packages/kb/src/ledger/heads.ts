/**
 * Signed heads: what the ledger was at a moment, by a key of the host. Whoever keeps one elsewhere finds that it was cut
 * short or rewritten since.
 *
 * What is signed is the canonical JSON of {chain, id, ts_ms, type}; the signature is Ed25519, key and signature are hex.
 */
import { verify } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Failure,
  type JsonValue,
  type Result,
  canonicalJson,
  err,
  failure,
  isJsonObject,
  ok,
  parseJson,
  publicKeyOf,
} from '@runloop/core';
import { isPlainFile } from '../inode.ts';
import { storageFailure } from '../storage-failure.ts';

export type Head = {
  /** The last event, and the chain value at it in hex; 0 and 32 zero bytes where there is none. */
  readonly id: number;
  readonly chain: string;
  readonly ts_ms: number;
};
export type SignedHead = Head & {
  /** 32 raw bytes of the public key, in hex. */
  readonly key: string;
  readonly signature: string;
};
export type Signer = { readonly key: string; readonly sign: (bytes: Uint8Array) => Uint8Array };

export function signHead(head: Head, signer: Signer): SignedHead {
  return { ...head, key: signer.key, signature: Buffer.from(signer.sign(signedBytes(head))).toString('hex') };
}

/** Why the head is not what its key has signed, or nothing. */
export function badSignature(head: SignedHead): string | undefined {
  const key = publicKeyOf(head.key);
  if (!key.ok) return key.error.message;
  const good = verify(null, signedBytes(head), key.value, Buffer.from(head.signature, 'hex'));
  return good ? undefined : 'its signature does not belong to it';
}

export function parseHead(text: string): Result<SignedHead, Failure> {
  const parsed = parseJson(text.trim());
  const head = parsed.ok ? headOf(parsed.value) : undefined;
  return head === undefined
    ? err(failure('InvalidParams', 'that is no signed head', { hint: 'give what `rlp kb seal` printed' }))
    : ok(head);
}

function headOf(value: JsonValue): SignedHead | undefined {
  if (!isJsonObject(value)) return undefined;
  const { id, chain, ts_ms, key, signature } = value;
  const isHex = (text: unknown, chars: number): text is string =>
    typeof text === 'string' && text.length === chars && /^[0-9a-f]*$/.test(text);
  if (!Number.isSafeInteger(id) || !Number.isSafeInteger(ts_ms)) return undefined;
  if (!isHex(chain, 64) || !isHex(key, 64) || !isHex(signature, 128)) return undefined;
  return { id: Number(id), chain, ts_ms: Number(ts_ms), key, signature };
}

function signedBytes({ id, chain, ts_ms }: Head): Uint8Array {
  const text = canonicalJson({ type: 'runloop.ledger.head.v1', id, chain, ts_ms });
  if (!text.ok) throw new Error('assumed a head of numbers and hex');
  return Buffer.from(text.value);
}

export function headsFile(rootDir: string): string {
  return join(rootDir, 'heads.ndjson');
}

/** The heads that were signed here, oldest first; a line that is none is answered by its number. */
export function readHeads(rootDir: string): {
  readonly heads: readonly SignedHead[];
  readonly badLine?: number | undefined;
} {
  const path = headsFile(rootDir);
  if (!existsSync(path)) return { heads: [] };
  if (!isPlainFile(path)) return { heads: [], badLine: 1 };
  // A line that was cut off by a crash was never answered.
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  const heads: SignedHead[] = [];
  for (const [i, line] of lines.entries()) {
    const head = parseHead(line);
    if (!head.ok) return { heads, badLine: i + 1 };
    heads.push(head.value);
  }
  return { heads };
}

/** On disk when it is answered. */
export async function keepHead(rootDir: string, head: SignedHead): Promise<Result<void, Failure>> {
  const path = headsFile(rootDir);
  if (existsSync(path) && !isPlainFile(path))
    return err(
      failure('StorageFailed', `${path} is no plain file: the head is not kept`, {
        hint: 'Take away what stands there; rlp kb seal makes it anew.',
      }),
    );
  try {
    await using file = await open(path, 'a+', 0o600);
    const text = await file.readFile('utf8');
    const whole = text.lastIndexOf('\n') + 1;
    if (whole < text.length) await file.truncate(Buffer.byteLength(text.slice(0, whole)));
    await file.write(`${JSON.stringify(head)}\n`);
    await file.sync();
    return ok(undefined);
  } catch (error) {
    return err(storageFailure(error, path));
  }
}
