/**
 * BLAKE3 in WASM: for many short messages, and for large ones that must not hold up the thread.
 *
 * 1. The digests are those of digest.ts; a test compares them.
 * 2. Large bytes are hashed in slices, and others have their turn in between.
 *
 * The WASM build is loaded at the first use, by itself: the package's own index would bring every other hash along.
 */
import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type * as HashWasm from 'hash-wasm';
import { type Digest, digestBytes, hashWith } from './digest.ts';
import { mainThreadBytesMax } from './limits.ts';

export interface Blake3 {
  /** 32 raw bytes over the parts, texts in UTF-8. */
  digest(...parts: readonly (string | Uint8Array)[]): Uint8Array;
}

type Hasher = Awaited<ReturnType<typeof HashWasm.createBLAKE3>>;

async function newHasher(): Promise<Hasher> {
  const wasm = createRequire(import.meta.url)('hash-wasm/dist/blake3.umd.min.js') as Pick<
    typeof HashWasm,
    'createBLAKE3'
  >;
  return wasm.createBLAKE3();
}

export async function loadBlake3(): Promise<Blake3> {
  const hasher = await newHasher();
  return {
    digest(...parts) {
      hasher.init();
      for (const part of parts) hasher.update(part);
      return hasher.digest('binary');
    },
  };
}

/** Lets the digests of this process be made in WASM: worth its loading where every call of an agent is hashed. */
export async function hashInWasm(): Promise<void> {
  const blake3 = await loadBlake3();
  hashWith((bytes) => blake3.digest(bytes));
}

let shared: Promise<Hasher> | undefined;
let turn: Promise<unknown> = Promise.resolve();

/** The digest of bytes of any size; the bytes must not change until it is there. */
export async function digestLarge(bytes: Uint8Array): Promise<Digest> {
  if (bytes.length <= smallBytes) return digestBytes(bytes);
  // One hasher holds one message: callers take turns.
  const result = turn.then(() => inSlices(bytes));
  turn = result.catch(() => undefined);
  return result;
}

/** Where loading WASM has not paid for itself yet. */
const smallBytes = 1024;

async function inSlices(bytes: Uint8Array): Promise<Digest> {
  const hasher = await (shared ??= newHasher());
  hasher.init();
  for (let at = 0; at < bytes.length; at += mainThreadBytesMax) {
    if (at > 0) await nextTurn();
    hasher.update(bytes.subarray(at, at + mainThreadBytesMax));
  }
  return hasher.digest('hex') as Digest;
}
