/**
 * The resources of wasi:io for one instance: polling over virtual time, input that is there already, output that goes to the run's log.
 *
 * 1. Nobody waits in virtual time: blocking on a pollable moves the instance's monotonic time to the moment that it is due.
 *    With a real clock the host is asked to wait.
 */
export type StreamName = 'stdout' | 'stderr';

export const writeBytesMax = 65_536n;

export class IoError {
  /** The WASI code of the file call that failed. */
  readonly fault: string | undefined;
  constructor(fault?: string) {
    this.fault = fault;
  }
  toDebugString(): string {
    return this.fault ?? 'closed';
  }
}

/** What the instance knows of monotonic time; with a real clock, what that said last. */
export class VirtualTime {
  ns = 0n;
  /** Reads the real clock, or waits until it says `untilNs`; undefined where time is virtual. */
  real: () => ((untilNs?: bigint) => Promise<void>) | undefined = () => undefined;
}

export class Pollable {
  readonly #time: VirtualTime;
  readonly dueNs: bigint;
  constructor(time: VirtualTime, dueNs = 0n) {
    this.#time = time;
    this.dueNs = dueNs;
  }
  get isDue(): boolean {
    return this.dueNs <= this.#time.ns;
  }
  ready(): boolean | Promise<boolean> {
    const real = this.isDue ? undefined : this.#time.real();
    return real === undefined ? this.isDue : real().then(() => this.isDue);
  }
  block(): void | Promise<void> {
    if (this.isDue) return undefined;
    return waitUntil(this.#time, this.dueNs);
  }
}

function waitUntil(time: VirtualTime, dueNs: bigint): void | Promise<void> {
  const real = time.real();
  if (real === undefined) time.ns = dueNs;
  else return real(dueNs);
}

/** The indices of those that are ready, after waiting for the first that is due. */
export function poll(time: VirtualTime, list: readonly Pollable[]): Uint32Array | Promise<Uint32Array> {
  const due = (): Uint32Array => Uint32Array.from(list.flatMap((one, index) => (one.isDue ? [index] : [])));
  if (list.length === 0 || list.some((one) => one.isDue)) return due();
  const first = list.reduce((least, { dueNs }) => (dueNs < least ? dueNs : least), list[0]?.dueNs ?? 0n);
  const waited = waitUntil(time, first);
  return waited === undefined ? due() : waited.then(due);
}

export class InputStream {
  readonly #time: VirtualTime;
  constructor(time: VirtualTime) {
    this.#time = time;
  }
  read(_length?: bigint): Uint8Array | Promise<Uint8Array> {
    throw closed();
  }
  blockingRead(_length?: bigint): Uint8Array | Promise<Uint8Array> {
    throw closed();
  }
  skip(_length?: bigint): bigint | Promise<bigint> {
    throw closed();
  }
  blockingSkip(_length?: bigint): bigint | Promise<bigint> {
    throw closed();
  }
  subscribe(): Pollable {
    return new Pollable(this.#time);
  }
}

/** Bytes that are there already. `from` says which and how far they were read, for all streams over them. */
export class BytesInput extends InputStream {
  readonly #from: () => { readonly bytes: Uint8Array; at: number };
  constructor(time: VirtualTime, from: () => { readonly bytes: Uint8Array; at: number }) {
    super(time);
    this.#from = from;
  }
  override read(length: bigint = writeBytesMax): Uint8Array {
    const from = this.#from();
    if (from.at >= from.bytes.length) throw closed();
    const begin = from.at;
    from.at = Math.min(from.bytes.length, begin + Number(length < writeBytesMax ? length : writeBytesMax));
    return from.bytes.slice(begin, from.at);
  }
  override blockingRead(length?: bigint): Uint8Array {
    return this.read(length);
  }
  override skip(length?: bigint): bigint {
    return BigInt(this.read(length).length);
  }
  override blockingSkip(length?: bigint): bigint {
    return this.skip(length);
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
  write(data: Uint8Array): void | Promise<void> {
    this.#write(data);
  }
  blockingWriteAndFlush(data: Uint8Array): void | Promise<void> {
    this.#write(data);
  }
  flush(): void {}
  blockingFlush(): void {}
  writeZeroes(_length: bigint): void | Promise<void> {}
  blockingWriteZeroesAndFlush(_length: bigint): void | Promise<void> {}
  subscribe(): Pollable {
    return new Pollable(this.#time);
  }
}

/** The error case of a stream at its end, as the binding expects a `result`'s error to be thrown. */
function closed(): unknown {
  return Object.assign(new Error('closed'), { payload: { tag: 'closed' } });
}
