/**
 * The one channel between the daemon and a cell: RMP frames in both directions, whatever carries the bytes.
 *
 * 1. Any bytes are either messages or one fault; after a fault nothing more is read.
 * 2. Who speaks is known from the channel: frames carry no identity.
 * 3. Frames on it do not expire, for both ends are one program; deadlines are kept by the watchdog.
 */
import { type Failure, type Result, type TraceId, failure } from '@runloop/core';
import { createDecoder, createRegistry, encodeMessage } from '@runloop/rmp';

/** What each end says, by schema id. */
export const say = {
  /** cell → daemon: the cell is up, or the component that `init` named stands ready. */
  hello: 100,
  /** daemon → cell: load this prepared component. */
  init: 102,
  hostcall: 110,
  hostanswer: 111,
  log: 3004,
  request: 4000,
  response: 4001,
} as const;

export type Message = { readonly schemaId: number; readonly payload: { readonly [key: string]: unknown } };

export interface Channel {
  /** The frame's bytes for the wire, or why it cannot be sent. */
  frame(schemaId: number, payload: { readonly [key: string]: unknown }): Result<Uint8Array, Failure>;
  /** The messages that `chunk` completes; a failure means that the other end cannot be trusted any more. */
  push(chunk: Uint8Array): { readonly messages: readonly Message[]; readonly fault?: Failure };
}

const trace = '0'.repeat(32) as TraceId;
const ttlMs = 86_400_000;

export function createChannel(bodyBytesMax: number): Channel {
  const registry = createRegistry();
  const decoder = createDecoder({ registry, nowMs: () => 0, bodyBytesMax });
  let sent = 0n;
  let dead = false;
  return {
    frame(schemaId, payload) {
      sent += 1n;
      return encodeMessage(registry, { schemaId, payload, createdAtMs: 0, ttlMs, traceId: trace, msgId: sent });
    },
    push(chunk) {
      const messages: Message[] = [];
      if (dead) return { messages };
      decoder.push(chunk);
      for (let item = decoder.next(); item !== undefined; item = decoder.next()) {
        const payload = item.type === 'frame' ? item.payload() : undefined;
        if (item.type === 'error' || !isMap(payload)) {
          dead = true;
          const what = item.type === 'error' ? item.code : 'a payload that is no map';
          return { messages, fault: failure('CellLost', `the cell sent ${what}`) };
        }
        messages.push({ schemaId: item.schemaId, payload });
      }
      return { messages };
    },
  };
}

function isMap(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}
