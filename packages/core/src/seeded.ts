/**
 * Randomness from a seed: the same seed gives the same stream, on every machine and for ever.
 *
 * BLAKE3 in extendable-output mode over `seed ‖ u64 block counter`. Not for keys: whoever knows the seed knows the stream.
 */
import { blake3 } from '@noble/hashes/blake3.js';
import type { Random } from './ports.ts';

const blockBytes = 256;

export function seededRandom(seed: Uint8Array): Random {
  let counter = 0n;
  let block = new Uint8Array(0);
  let used = 0;
  const refill = (): void => {
    const input = new Uint8Array(seed.length + 8);
    input.set(seed);
    new DataView(input.buffer).setBigUint64(seed.length, counter);
    counter += 1n;
    block = blake3(input, { dkLen: blockBytes });
    used = 0;
  };
  return {
    bytes(length) {
      const out = new Uint8Array(length);
      for (let filled = 0; filled < length;) {
        if (used === block.length) refill();
        const take = Math.min(length - filled, block.length - used);
        out.set(block.subarray(used, used + take), filled);
        filled += take;
        used += take;
      }
      return out;
    },
  };
}

/** A number in [0, 1) with 32 bits of `random`. */
export function fraction(random: Random): number {
  const bytes = random.bytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) / 2 ** 32;
}
