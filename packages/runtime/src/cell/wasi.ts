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
import {
  InputStream,
  IoError,
  OutputStream,
  Pollable,
  type StreamName,
  VirtualTime,
  poll,
  writeBytesMax,
} from './streams.ts';

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
  readonly write: (stream: StreamName, bytes: Uint8Array) => void;
};

export type Imports = { readonly [interfaceName: string]: { readonly [name: string]: unknown } };

const nsPerMs = 1_000_000n;
const none = (): undefined => undefined;

/** `context` is asked for at each call, so that an instance can be made before its run is known. */
export function wasiImports(context: () => WasiContext): Imports {
  const time = new VirtualTime();
  return { ...commandLine(context, time), ...io(time), ...clocks(context, time), ...randomness(context), ...noFiles };
}

function commandLine(context: () => WasiContext, time: VirtualTime): Imports {
  const output = (name: StreamName): OutputStream => new OutputStream(time, (data) => context().write(name, data));
  return {
    'wasi:cli/environment': { getEnvironment: () => [], getArguments: () => [], initialCwd: none },
    'wasi:cli/exit': {
      exit: (status: { readonly tag: string }) => {
        throw new ExitRequested(status.tag === 'ok');
      },
    },
    'wasi:cli/stdin': { getStdin: () => new InputStream(time) },
    'wasi:cli/stdout': { getStdout: () => output('stdout') },
    'wasi:cli/stderr': { getStderr: () => output('stderr') },
    'wasi:cli/terminal-input': { TerminalInput: opaque() },
    'wasi:cli/terminal-output': { TerminalOutput: opaque() },
    'wasi:cli/terminal-stdin': { getTerminalStdin: none },
    'wasi:cli/terminal-stdout': { getTerminalStdout: none },
    'wasi:cli/terminal-stderr': { getTerminalStderr: none },
  };
}

function io(time: VirtualTime): Imports {
  return {
    'wasi:io/error': { Error: IoError },
    'wasi:io/poll': { Pollable, poll: (list: readonly Pollable[]) => poll(time, list) },
    'wasi:io/streams': { InputStream, OutputStream },
  };
}

function clocks(context: () => WasiContext, time: VirtualTime): Imports {
  const wall = (): { seconds: bigint; nanoseconds: number } => {
    const ms = BigInt(context().acceptedMs) + time.ns / nsPerMs;
    return { seconds: ms / 1000n, nanoseconds: Number(ms % 1000n) * 1_000_000 };
  };
  return {
    'wasi:clocks/monotonic-clock': {
      now: () => time.ns,
      resolution: () => nsPerMs,
      subscribeDuration: (ns: bigint) => new Pollable(time, time.ns + ns),
      subscribeInstant: (ns: bigint) => new Pollable(time, ns),
    },
    'wasi:clocks/wall-clock': { now: wall, resolution: () => ({ seconds: 0n, nanoseconds: 1_000_000 }) },
  };
}

function randomness(context: () => WasiContext): Imports {
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
  return {
    'wasi:random/random': { getRandomBytes: bytes, getRandomU64: u64 },
    'wasi:random/insecure': { getInsecureRandomBytes: bytes, getInsecureRandomU64: u64 },
    'wasi:random/insecure-seed': { insecureSeed: () => [u64(), u64()] },
  };
}

/** A resource that nobody can get hold of: the binding only asks for its class. */
function opaque(): new () => object {
  return class Opaque {
    readonly opaque = true;
  };
}

const noFiles: Imports = {
  'wasi:filesystem/preopens': { getDirectories: () => [] },
  'wasi:filesystem/types': { Descriptor: opaque(), DirectoryEntryStream: opaque(), filesystemErrorCode: none },
};
