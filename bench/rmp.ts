/**
 * Decoding frames against copying the same bytes, in one process on one core.
 */
import type { BenchRow } from './types.ts';
import type { TraceId } from '@runloop/core';
import { unwrap } from '@runloop/core';
import { createDecoder, createRegistry, encodeMessage } from '@runloop/rmp';

const chunkBytes = 64 * 1024;
const rounds = 40;

function stream(payloadBytes: number, count: number): Buffer {
  const registry = createRegistry();
  const frames = Array.from({ length: count }, (_, i) =>
    unwrap(
      encodeMessage(registry, {
        schemaId: 1,
        payload: new Uint8Array(payloadBytes),
        meta: { topic: 'bench/topic' },
        createdAtMs: Date.now(),
        ttlMs: 3_600_000,
        traceId: 'ab'.repeat(16) as TraceId,
        msgId: BigInt(i + 1),
      }),
      'it encodes',
    ),
  );
  return Buffer.concat(frames);
}

function best(work: () => void): number {
  let ms = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i += 1) {
    const start = performance.now();
    work();
    ms = Math.min(ms, performance.now() - start);
  }
  return ms;
}

export async function rows(): Promise<BenchRow[]> {
  const result: BenchRow[] = [];
  for (const payloadBytes of [16, 1024, 16_384]) {
    const count = Math.ceil(8_000_000 / (payloadBytes + 130));
    const bytes = stream(payloadBytes, count);
    const decode = best(() => {
      const now = Date.now();
      const decoder = createDecoder({ registry: createRegistry(), nowMs: () => now });
      let seen = 0;
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        decoder.push(bytes.subarray(at, at + chunkBytes));
        while (decoder.next() !== undefined) seen += 1;
      }
      if (seen !== count) throw new Error(`${seen} of ${count} frames`);
    });
    const target = Buffer.alloc(chunkBytes);
    const copy = best(() => {
      for (let at = 0; at < bytes.length; at += chunkBytes) bytes.copy(target, 0, at, at + chunkBytes);
    });
    result.push({
      name: `decode frames of ${payloadBytes} B payload`,
      value: Math.round((count / decode) * 1000),
      unit: 'frames/s',
      floor: Math.round((count / copy) * 1000),
      ratio: copy / decode,
      ...(payloadBytes === 16 ? { goal: '>= 1000000' } : {}),
    });
  }
  return Promise.resolve(result);
}
