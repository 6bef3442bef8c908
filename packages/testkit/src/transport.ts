/**
 * Two ends joined in memory: what one writes, the other reads, in order, on a later turn.
 *
 * 1. `write` answers false once `highWaterBytes` wait unread, as a socket does; `onDrain` tells when they are gone.
 * 2. Closing one end ends the other after what was written has been read.
 */
export interface TransportEnd {
  write(bytes: Uint8Array): boolean;
  close(): void;
  onData(fn: (bytes: Uint8Array) => void): void;
  onDrain(fn: () => void): void;
  onEnd(fn: () => void): void;
  /** Stops reading, so that the other end fills up. */
  pause(): void;
  resume(): void;
}

export function memoryTransport(highWaterBytes: number = 64 * 1024): readonly [TransportEnd, TransportEnd] {
  const left = new End(highWaterBytes);
  const right = new End(highWaterBytes);
  left.join(right);
  right.join(left);
  return [left, right];
}

class End implements TransportEnd {
  readonly #highWaterBytes: number;
  #other: End | undefined;
  #inbound: Uint8Array[] = [];
  #inboundBytes = 0;
  #paused = false;
  #scheduled = false;
  #ended = false;
  #closed = false;
  #needDrain = false;
  #data: (bytes: Uint8Array) => void = () => undefined;
  #drain: () => void = () => undefined;
  #end: () => void = () => undefined;

  constructor(highWaterBytes: number) {
    this.#highWaterBytes = highWaterBytes;
  }

  join(other: End): void {
    this.#other = other;
  }

  write(bytes: Uint8Array): boolean {
    const other = this.#other;
    if (other === undefined || this.#closed) return false;
    other.#inbound.push(bytes.slice());
    other.#inboundBytes += bytes.length;
    other.#schedule();
    this.#needDrain = other.#inboundBytes >= this.#highWaterBytes;
    return !this.#needDrain;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#other !== undefined) {
      this.#other.#ended = true;
      this.#other.#schedule();
    }
  }

  onData(fn: (bytes: Uint8Array) => void): void {
    this.#data = fn;
  }

  onDrain(fn: () => void): void {
    this.#drain = fn;
  }

  onEnd(fn: () => void): void {
    this.#end = fn;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (!this.#paused) {
      const bytes = this.#inbound.shift();
      if (bytes === undefined) break;
      this.#inboundBytes -= bytes.length;
      this.#data(bytes);
    }
    if (this.#inboundBytes > 0) return;
    const other = this.#other;
    if (other !== undefined && other.#needDrain) {
      other.#needDrain = false;
      other.#drain();
    }
    if (this.#ended) {
      this.#ended = false;
      this.#end();
    }
  }
}
