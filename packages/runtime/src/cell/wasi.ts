/**
 * The WASI 0.2 host of a cell: nothing from outside, everything from the run.
 *
 * 1. No environment, no arguments, no working directory, no preopened directory, no terminal; standard input is empty.
 * 2. Wall time stands at the run's accepted time, monotonic time advances by sleeps only, randomness comes from the seed.
 * 3. `exit` ends the instance alone; standard output and error go to the run's log, cut at its limit.
 *
 * It deliberately has no sockets, and no files: file calls will be host calls to whoever holds the directories.
 */
import { seededRandom } from '@runloop/core';

export class ExitRequested extends Error {
  readonly succeeded: boolean;
  constructor(succeeded: boolean) {
    super(succeeded ? 'the agent called exit' : 'the agent called exit with a failure');
    this.succeeded = succeeded;
  }
}

export type WasiContext = {
  readonly seed: Uint8Array;
  readonly acceptedMs: number;
  readonly write: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;
};

export type Imports = { readonly [interfaceName: string]: { readonly [name: string]: unknown } };

const nsPerMs = 1_000_000n;
const writeBytesMax = 65_536n;

/** `context` is asked for at each call, so that an instance can be made before its run is known. */
export function wasiImports(context: () => WasiContext): Imports {
  let monotonicNs = 0n;
  let random = seededRandom(new Uint8Array(32));
  let seededBy: Uint8Array | undefined;
  const stream = (): ReturnType<typeof seededRandom> => {
    const { seed } = context();
    if (seed !== seededBy) {
      random = seededRandom(seed);
      seededBy = seed;
    }
    return random;
  };
  const u64 = (): bigint => new DataView(stream().bytes(8).buffer).getBigUint64(0);
  const bytes = (length: bigint): Uint8Array => stream().bytes(Number(length > writeBytesMax ? writeBytesMax : length));

  class IoError {
    toDebugString(): string {
      return 'closed';
    }
  }
  class Pollable {
    readonly dueNs: bigint;
    constructor(dueNs = 0n) {
      this.dueNs = dueNs;
    }
    ready(): boolean {
      return this.dueNs <= monotonicNs;
    }
    block(): void {
      if (this.dueNs > monotonicNs) monotonicNs = this.dueNs;
    }
  }
  class InputStream {
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
      return new Pollable();
    }
  }
  class OutputStream {
    readonly name: 'stdout' | 'stderr';
    constructor(name: 'stdout' | 'stderr') {
      this.name = name;
    }
    checkWrite(): bigint {
      return writeBytesMax;
    }
    write(data: Uint8Array): void {
      context().write(this.name, data);
    }
    blockingWriteAndFlush(data: Uint8Array): void {
      context().write(this.name, data);
    }
    flush(): void {}
    blockingFlush(): void {}
    writeZeroes(): void {}
    blockingWriteZeroesAndFlush(): void {}
    subscribe(): Pollable {
      return new Pollable();
    }
  }
  class Descriptor {}
  class DirectoryEntryStream {}
  class TerminalInput {}
  class TerminalOutput {}
  const poll = (list: readonly Pollable[]): Uint32Array => {
    if (!list.some((one) => one.ready())) {
      let first = list[0]?.dueNs ?? 0n;
      for (const one of list) if (one.dueNs < first) first = one.dueNs;
      if (first > monotonicNs) monotonicNs = first;
    }
    return Uint32Array.from(list.flatMap((one, index) => (one.ready() ? [index] : [])));
  };
  const wallClock = (): { seconds: bigint; nanoseconds: number } => {
    const ms = BigInt(context().acceptedMs) + monotonicNs / nsPerMs;
    return { seconds: ms / 1000n, nanoseconds: Number(ms % 1000n) * 1_000_000 };
  };
  const none = (): undefined => undefined;
  return {
    'wasi:cli/environment': { getEnvironment: () => [], getArguments: () => [], initialCwd: none },
    'wasi:cli/exit': {
      exit: (status: { readonly tag: string }) => {
        throw new ExitRequested(status.tag === 'ok');
      },
    },
    'wasi:cli/stdin': { getStdin: () => new InputStream() },
    'wasi:cli/stdout': { getStdout: () => new OutputStream('stdout') },
    'wasi:cli/stderr': { getStderr: () => new OutputStream('stderr') },
    'wasi:cli/terminal-input': { TerminalInput },
    'wasi:cli/terminal-output': { TerminalOutput },
    'wasi:cli/terminal-stdin': { getTerminalStdin: none },
    'wasi:cli/terminal-stdout': { getTerminalStdout: none },
    'wasi:cli/terminal-stderr': { getTerminalStderr: none },
    'wasi:clocks/monotonic-clock': {
      now: () => monotonicNs,
      resolution: () => nsPerMs,
      subscribeDuration: (ns: bigint) => new Pollable(monotonicNs + ns),
      subscribeInstant: (ns: bigint) => new Pollable(ns),
    },
    'wasi:clocks/wall-clock': { now: wallClock, resolution: () => ({ seconds: 0n, nanoseconds: 1_000_000 }) },
    'wasi:filesystem/preopens': { getDirectories: () => [] },
    'wasi:filesystem/types': { Descriptor, DirectoryEntryStream, filesystemErrorCode: none },
    'wasi:io/error': { Error: IoError },
    'wasi:io/poll': { Pollable, poll },
    'wasi:io/streams': { InputStream, OutputStream },
    'wasi:random/random': { getRandomBytes: bytes, getRandomU64: u64 },
    'wasi:random/insecure': { getInsecureRandomBytes: bytes, getInsecureRandomU64: u64 },
    'wasi:random/insecure-seed': { insecureSeed: () => [u64(), u64()] },
  };
}

/** The error case of a stream at its end, as the binding expects a `result`'s error to be thrown. */
function closed(): unknown {
  return Object.assign(new Error('closed'), { payload: { tag: 'closed' } });
}
