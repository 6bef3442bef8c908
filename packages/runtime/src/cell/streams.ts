/**
 * The resources of wasi:io for one instance: polling over virtual time, empty input, output that goes to the run's log.
 *
 * 1. Nobody waits: blocking on a pollable moves the instance's monotonic time to the moment that it is due.
 */
export type StreamName = 'stdout' | 'stderr';

export const writeBytesMax = 65_536n;

export class VirtualTime {
  ns = 0n;
}

export class IoError {
  toDebugString(): string {
    return 'closed';
  }
}

export class Pollable {
  readonly #time: VirtualTime;
  readonly dueNs: bigint;
  constructor(time: VirtualTime, dueNs = 0n) {
    this.#time = time;
    this.dueNs = dueNs;
  }
  ready(): boolean {
    return this.dueNs <= this.#time.ns;
  }
  block(): void {
    if (this.dueNs > this.#time.ns) this.#time.ns = this.dueNs;
  }
}

/** The indices of those that are ready, after moving time to the first that is due. */
export function poll(time: VirtualTime, list: readonly Pollable[]): Uint32Array {
  if (!list.some((one) => one.ready())) {
    let first = list[0]?.dueNs ?? 0n;
    for (const one of list) if (one.dueNs < first) first = one.dueNs;
    if (first > time.ns) time.ns = first;
  }
  return Uint32Array.from(list.flatMap((one, index) => (one.ready() ? [index] : [])));
}

export class InputStream {
  readonly #time: VirtualTime;
  constructor(time: VirtualTime) {
    this.#time = time;
  }
  read(): never {
    throw closed();
  }
  blockingRead(): never {
    throw closed();
  }
  skip(): never {
    throw closed();
  }
  blockingSkip(): never {
    throw closed();
  }
  subscribe(): Pollable {
    return new Pollable(this.#time);
  }
}

export class OutputStream {
  readonly #time: VirtualTime;
  readonly #write: (data: Uint8Array) => void;
  constructor(time: VirtualTime, write: (data: Uint8Array) => void) {
    this.#time = time;
    this.#write = write;
  }
  checkWrite(): bigint {
    return writeBytesMax;
  }
  write(data: Uint8Array): void {
    this.#write(data);
  }
  blockingWriteAndFlush(data: Uint8Array): void {
    this.#write(data);
  }
  flush(): void {}
  blockingFlush(): void {}
  writeZeroes(): void {}
  blockingWriteZeroesAndFlush(): void {}
  subscribe(): Pollable {
    return new Pollable(this.#time);
  }
}

/** The error case of a stream at its end, as the binding expects a `result`'s error to be thrown. */
function closed(): unknown {
  return Object.assign(new Error('closed'), { payload: { tag: 'closed' } });
}
