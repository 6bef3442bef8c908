/**
 * The body of an answer: decoded as it arrives, never held beyond its limit.
 *
 * 1. What counts is the decoded size: a small answer that unpacks to a large one is cut where the large one would be.
 */
import { type Readable, type Transform, pipeline } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { JsonValue } from '@runloop/core';

export type ReadBody = { readonly bytes: Buffer; readonly truncated: boolean };

/** Rejects on an encoding that is not known or does not hold. */
export async function readBody(body: Readable, encoding: string, bytesMax: number): Promise<ReadBody> {
  const decoder = decoderOf(encoding.trim().toLowerCase());
  // The iteration below sees every error; `pipeline` only takes both streams down together.
  const source = decoder === undefined ? body : pipeline(body, decoder, () => {});
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      chunks.push(chunk.subarray(0, bytesMax - bytes));
      bytes += chunk.length;
      if (bytes > bytesMax) break;
    }
  } finally {
    if (!body.readableEnded) body.on('error', () => {}).destroy();
  }
  return { bytes: Buffer.concat(chunks), truncated: bytes > bytesMax };
}

function decoderOf(encoding: string): Transform | undefined {
  switch (encoding) {
    case '':
    case 'identity':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      throw new Error(`the content encoding "${encoding.slice(0, 32)}" is not known`);
  }
}

/** A text where the bytes are one, apart from a last character that was cut; otherwise `{base64}`. */
export function bodyValue({ bytes, truncated }: ReadBody): JsonValue {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: truncated });
  } catch {
    return { base64: bytes.toString('base64') };
  }
}
