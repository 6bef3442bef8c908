/**
 * Frames from messages.
 *
 * 1. `type` follows from the schema id, so that the two cannot disagree unless the caller insists.
 * 2. Integers beyond ±(2^53 − 1) travel as BigInt and arrive exact.
 */
import { type Failure, type Result, type TraceId, err, failure, ok } from '@runloop/core';
import { Encoder } from '@msgpack/msgpack';
import { bodyOffset, writeHeader } from './header.ts';
import { bodyDepthMax } from './limits.ts';
import type { Registry } from './registry.ts';

export type Message = {
  readonly schemaId: number;
  /** What the registry gives for the id, unless another version or kind is meant. */
  readonly type?: string;
  /** Anything MsgPack can say: JSON values, BigInt, Uint8Array. */
  readonly payload: unknown;
  readonly meta?: { readonly [key: string]: unknown };
  readonly createdAtMs: number;
  readonly ttlMs: number;
  readonly traceId: TraceId;
  readonly msgId: bigint;
};

const plain = new Encoder({ maxDepth: bodyDepthMax, ignoreUndefined: true });
const wide = new Encoder({ maxDepth: bodyDepthMax, ignoreUndefined: true, useBigInt64: true });

/** The whole frame, prefix included, or why the message cannot be written. */
export function encodeMessage(registry: Registry, message: Message): Result<Uint8Array, Failure> {
  const type = message.type ?? registry.row(message.schemaId)?.type;
  if (type === undefined) return err(failure('UnknownSchema', `no schema is registered under id ${message.schemaId}`));
  const body = encodeValue(
    message.meta === undefined
      ? { type, payload: message.payload }
      : { type, payload: message.payload, meta: message.meta },
  );
  if (!body.ok) return body;
  const frame = Buffer.allocUnsafe(bodyOffset + body.value.length);
  frame.set(body.value, bodyOffset);
  writeHeader(frame, 0, {
    schemaId: message.schemaId,
    bodyLen: body.value.length,
    createdAtMs: BigInt(message.createdAtMs),
    ttlMs: BigInt(message.ttlMs),
    traceId: message.traceId,
    msgId: message.msgId,
  });
  return ok(frame);
}

/** MsgPack of `value`; the bytes are valid until the next call. */
export function encodeValue(value: unknown): Result<Uint8Array, Failure> {
  try {
    return ok(plain.encodeSharedRef(value));
  } catch {
    // Either a BigInt, which needs the other encoder, or no value of MsgPack at all.
  }
  try {
    return ok(wide.encodeSharedRef(widen(value)));
  } catch (error) {
    return err(failure('BodyDecodeError', `the value cannot be written as MsgPack: ${String(error)}`));
  }
}

/** The wide encoder writes numbers beyond 32 bits as floats; as BigInt they stay integers. */
function widen(value: unknown): unknown {
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && Math.abs(value) > 0x7fffffff ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(widen);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, widen(member)]));
}
