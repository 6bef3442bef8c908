/** Randomness from a printed number: the same number, the same test. */
import { type Random, seededRandom } from '@runloop/core';

export function testRandom(seed = 1): Random {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(seed));
  return seededRandom(bytes);
}
