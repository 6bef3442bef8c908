/** A bus on a simulated clock, and subscribers whose bytes can be read or held up. */
import type { Failure, TraceId } from '@runloop/core';
import { type Decoded, Frame, createDecoder, createRegistry, encodeMessage } from '@runloop/rmp';
import { type SimulatedClock, simulatedClock } from '@runloop/testkit';
import { type Bus, type BusLimits, type Principal, type Seat, createBus, defaultBusLimits } from '../src/index.ts';

export const registry: ReturnType<typeof createRegistry> = createRegistry();
export const operator: Principal = { type: 'operator', id: 'operator', uid: 1, pid: 1, name: 'op', grants: [] };
export const anonymous: Principal = { type: 'anonymous', id: 'anonymous', uid: 1, pid: 1, name: 'a', grants: [] };

export type Member = {
  readonly seat: Seat;
  readonly got: Frame[];
  /** Numbers sent as payload, in the order received. */
  readonly numbers: () => unknown[];
  readonly gone: () => Failure | undefined;
  /** Takes bytes, but says after each write that it wants no more. */
  holdUp(): void;
  letGo(): void;
};

export type Fixture = {
  readonly clock: SimulatedClock;
  readonly bus: Bus;
  readonly join: (session: string, principal?: Principal) => Member;
};

export function fixture(limits: Partial<BusLimits> = {}): Fixture {
  const clock = simulatedClock();
  const bus = createBus({ clock, registry, limits: { ...defaultBusLimits, ...limits } });
  return {
    clock,
    bus,
    join(session, principal = anonymous) {
      const got: Frame[] = [];
      let held = false;
      let gone: Failure | undefined;
      const decoder = createDecoder({ registry, nowMs: () => 0 });
      const seat = bus.attach(session, principal, {
        write(pieces) {
          for (const piece of pieces) {
            decoder.push(piece);
            for (let item: Decoded | undefined = decoder.next(); item !== undefined; item = decoder.next()) {
              if (item.type === 'frame') got.push(item);
            }
          }
          return !held;
        },
        disconnect(reason) {
          gone = reason;
        },
      });
      return {
        seat,
        got,
        numbers: () => got.map((frame) => frame.payload()),
        gone: () => gone,
        holdUp: () => (held = true),
        letGo() {
          held = false;
          seat.drained();
        },
      };
    },
  };
}

let counter = 0;

export type Parts = {
  readonly payload?: unknown;
  readonly meta?: { readonly [key: string]: unknown };
  readonly ttlMs?: number;
  readonly createdAtMs?: number;
  readonly msgId?: number;
  readonly schemaId?: number;
};

export function frame(nowMs: number, parts: Parts = {}): Frame {
  counter += 1;
  const encoded = encodeMessage(registry, {
    schemaId: parts.schemaId ?? 1,
    payload: parts.payload ?? null,
    ...(parts.meta === undefined ? {} : { meta: parts.meta }),
    createdAtMs: parts.createdAtMs ?? nowMs,
    ttlMs: parts.ttlMs ?? 30_000,
    traceId: '000000000000000000000000000000aa' as TraceId,
    msgId: BigInt(parts.msgId ?? counter),
  });
  if (!encoded.ok) throw new Error(encoded.error.message);
  const decoder = createDecoder({ registry, nowMs: () => 0 });
  decoder.push(encoded.value);
  const item = decoder.next();
  if (!(item instanceof Frame)) throw new Error(item?.code);
  return item;
}
