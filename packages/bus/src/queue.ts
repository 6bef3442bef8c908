/**
 * One subscriber's way out: what waits for it, and what happens when it does not keep up.
 *
 * 1. While the outlet takes bytes, frames pass through; side by side in one buffer, they leave as one piece.
 * 2. Once it does not, at most `queueFramesMax` frames and `queueBytesMax` bytes wait (one frame always may).
 * 3. A full queue holds publishers back once, for `sendTimeoutMs`; then it drops and counts until it is half empty.
 * 4. Full for `slowConsumerMs` without progress, the subscriber is disconnected.
 * 5. A frame that expired while it waited is dropped and counted, not delivered.
 */
import { type Clock, type Failure, failure } from '@runloop/core';
import type { BusLimits } from './limits.ts';

/** Where a subscriber's bytes go. The broker never re-encodes: pieces are frames as they were published. */
export interface Outlet {
  /** Takes all of `pieces`; false asks for no more until `drained` is called. */
  write(pieces: readonly Uint8Array[]): boolean;
  /** The subscriber is too slow, and gone: tell it so and close. */
  disconnect(reason: Failure): void;
}

/** A frame on its way: the whole of it stands in `source` from `start` to `end`. */
export type Parcel = {
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly expiresAtMs: number;
};

type Queued = { readonly parcel: Parcel; readonly topic: string };
type Held = Queued & { readonly settle: (delivered: boolean) => void };

export type DropCounter = (parcel: Parcel, topic: string, reason: 'expired' | 'backpressure') => void;

const pieceBytesMax = 256 * 1024;

export class Queue {
  readonly #outlet: Outlet;
  readonly #clock: Clock;
  readonly #limits: BusLimits;
  readonly #drop: DropCounter;
  #pieces: Uint8Array[] = [];
  #tail: Uint8Array | undefined;
  #tailStart = 0;
  #tailEnd = 0;
  #pendingBytes = 0;
  #blocked = false;
  #closed = false;
  #waiting: Queued[] = [];
  #first = 0;
  #bytes = 0;
  #held: Held[] = [];
  #holdTimer: Disposable | undefined;
  #slowTimer: Disposable | undefined;
  #dropping = false;

  constructor(outlet: Outlet, clock: Clock, limits: BusLimits, drop: DropCounter) {
    this.#outlet = outlet;
    this.#clock = clock;
    this.#limits = limits;
    this.#drop = drop;
  }

  get frames(): number {
    return this.#waiting.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#dropping || this.frames >= this.#limits.queueFramesMax || this.#bytes >= this.#limits.queueBytesMax;
  }

  /** Delivered or queued: true. Dropped: false. Held back until there is room: undefined, and `settle` is called. */
  offer(parcel: Parcel, topic: string, settle: ((delivered: boolean) => void) | undefined): boolean | undefined {
    if (this.#closed) return false;
    if (!this.#blocked && this.frames === 0) {
      this.#pass(parcel);
      return true;
    }
    if (this.#held.length === 0 && this.#hasRoom(parcel)) {
      this.#enqueue(parcel, topic);
      return true;
    }
    this.#slowTimer ??= this.#clock.after(this.#limits.slowConsumerMs, () => this.#giveUp());
    if (this.#dropping || settle === undefined) {
      this.#drop(parcel, topic, 'backpressure');
      return false;
    }
    this.#held.push({ parcel, topic, settle });
    this.#holdTimer ??= this.#clock.after(this.#limits.sendTimeoutMs, () => this.#startDropping());
    return undefined;
  }

  /** True when something waits for `flush`. */
  get isDirty(): boolean {
    return this.#pendingBytes > 0;
  }

  /** Hands over what passed since the last flush. */
  flush(): void {
    if (this.#pendingBytes === 0) return;
    this.#closePiece();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#pendingBytes = 0;
    if (!this.#closed && !this.#outlet.write(pieces)) this.#blocked = true;
  }

  /** The outlet takes bytes again. */
  drained(): void {
    if (this.#closed) return;
    this.#blocked = false;
    this.#advance();
    // What was held back comes after what waited, in the order in which it was published.
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      if (!this.#blocked && this.frames === 0) this.#pass(next.parcel);
      else if (this.#hasRoom(next.parcel)) this.#enqueue(next.parcel, next.topic);
      else break;
      this.#held.shift();
      next.settle(true);
    }
    this.flush();
    if (this.#held.length === 0) this.#holdTimer = stop(this.#holdTimer);
    if (this.#dropping && this.#isHalfEmpty()) this.#dropping = false;
    if (!this.#dropping) this.#slowTimer = stop(this.#slowTimer);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#holdTimer = stop(this.#holdTimer);
    this.#slowTimer = stop(this.#slowTimer);
    for (let i = this.#first; i < this.#waiting.length; i += 1) {
      const queued = this.#waiting[i];
      if (queued !== undefined) this.#drop(queued.parcel, queued.topic, 'backpressure');
    }
    this.#dropHeld();
    this.#waiting = [];
    this.#first = 0;
    this.#bytes = 0;
  }

  #pass(parcel: Parcel): void {
    if (this.#tail === parcel.source && this.#tailEnd === parcel.start) {
      this.#tailEnd = parcel.end;
    } else {
      this.#closePiece();
      this.#tail = parcel.source;
      this.#tailStart = parcel.start;
      this.#tailEnd = parcel.end;
    }
    this.#pendingBytes += parcel.end - parcel.start;
    if (this.#pendingBytes >= pieceBytesMax) this.flush();
  }

  #closePiece(): void {
    if (this.#tail !== undefined) {
      const isWhole = this.#tailStart === 0 && this.#tailEnd === this.#tail.length;
      this.#pieces.push(isWhole ? this.#tail : this.#tail.subarray(this.#tailStart, this.#tailEnd));
    }
    this.#tail = undefined;
  }

  #hasRoom(parcel: Parcel): boolean {
    if (this.#dropping) return false;
    if (this.frames === 0) return true;
    const bytes = this.#bytes + parcel.end - parcel.start;
    return this.frames < this.#limits.queueFramesMax && bytes <= this.#limits.queueBytesMax;
  }

  #enqueue(parcel: Parcel, topic: string): void {
    const length = parcel.end - parcel.start;
    // A small frame must not keep a large read alive while it waits.
    const kept =
      length * 2 < parcel.source.length
        ? {
            source: parcel.source.slice(parcel.start, parcel.end),
            start: 0,
            end: length,
            expiresAtMs: parcel.expiresAtMs,
          }
        : parcel;
    this.#waiting.push({ parcel: kept, topic });
    this.#bytes += length;
  }

  #advance(): void {
    const nowMs = this.#clock.nowMs();
    while (!this.#blocked && this.#first < this.#waiting.length) {
      const queued = this.#waiting[this.#first];
      this.#first += 1;
      if (queued === undefined) continue;
      this.#bytes -= queued.parcel.end - queued.parcel.start;
      if (nowMs >= queued.parcel.expiresAtMs) this.#drop(queued.parcel, queued.topic, 'expired');
      else this.#pass(queued.parcel);
    }
    this.flush();
    if (this.#first > 1024 || this.#first === this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
  }

  #isHalfEmpty(): boolean {
    return this.frames * 2 <= this.#limits.queueFramesMax && this.#bytes * 2 <= this.#limits.queueBytesMax;
  }

  #startDropping(): void {
    this.#holdTimer = undefined;
    this.#dropping = true;
    this.#dropHeld();
  }

  #dropHeld(): void {
    const held = this.#held;
    this.#held = [];
    for (const { parcel, topic, settle } of held) {
      this.#drop(parcel, topic, 'backpressure');
      settle(false);
    }
  }

  #giveUp(): void {
    this.#slowTimer = undefined;
    const seconds = this.#limits.slowConsumerMs / 1000;
    this.#outlet.disconnect(
      failure('SlowConsumer', `the queue of this session was full for ${seconds} s: ${this.frames} frames waited`, {
        hint: 'Read faster, subscribe to less, or share the work in a queue group.',
      }),
    );
  }
}

function stop(timer: Disposable | undefined): undefined {
  timer?.[Symbol.dispose]();
  return undefined;
}
