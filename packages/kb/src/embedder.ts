/**
 * What turns texts into vectors: a port. The built-in one is hash-ngram.ts; others are models behind the broker.
 *
 * A vector belongs to the embedder that made it: vectors of two embedders are never compared.
 */
import type { Failure, Result } from '@runloop/core';

export type Embedder = {
  /** Names the embedder in the store: the same id must always mean the same vectors. */
  readonly id: string;
  /** One vector a text, in order; all of one dimension. */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Result<readonly Float32Array[], Failure>>;
};

/** The vector with length 1; unchanged where it has none. */
export function normalised(vector: readonly number[] | Float32Array): Float32Array {
  const out = Float32Array.from(vector);
  let square = 0;
  for (const value of out) square += value * value;
  if (!(square > 0)) return out;
  const length = Math.sqrt(square);
  for (let i = 0; i < out.length; i += 1) out[i] = (out[i] ?? 0) / length;
  return out;
}
