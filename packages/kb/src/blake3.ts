/**
 * BLAKE3 for the writer: the WASM build, about ten times as fast on short messages as the JavaScript one that core uses
 * (docs/decisions/0101-blake3-in-wasm.md). The digests are the same; a test compares them.
 */
import { createBLAKE3 } from 'hash-wasm';

export interface Blake3 {
  /** 32 raw bytes over the parts, texts in UTF-8. */
  digest(...parts: readonly (string | Uint8Array)[]): Uint8Array;
}

export async function loadBlake3(): Promise<Blake3> {
  const hasher = await createBLAKE3();
  return {
    digest(...parts) {
      hasher.init();
      for (const part of parts) hasher.update(part);
      return hasher.digest('binary');
    },
  };
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
