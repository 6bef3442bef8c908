/**
 * The WASI 0.2 host of a cell: nothing from outside, everything from the run.
 *
 * 1. No environment, no arguments, no working directory, no terminal; standard input is a program's request, or empty.
 * 2. Wall time stands at the run's accepted time, monotonic time advances by sleeps only, randomness comes from the seed.
 *    With the grant `time` each reading of a clock and each sleep is a host call, so that a tape can give it again.
 * 3. `exit` ends the instance alone; standard output and error go to the run's log, cut at its limit.
 *
 * It deliberately has no sockets, and holds no files: file calls are host calls to whoever holds the directories.
 */
import { seededRandom } from '@runloop/core';
import { Descriptor, DirectoryEntryStream, FileSystem, type FilesContext } from './files.ts';
import {
  BytesInput,
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

export type WasiContext = FilesContext & {
  /** Clocks are real: asked of the host. */
  readonly time: boolean;
  readonly seed: Uint8Array;
  readonly acceptedMs: number;
  /** Standard input, and how far it was read. */
  readonly stdin: { readonly bytes: Uint8Array; at: number };
  readonly write: (stream: StreamName, bytes: Uint8Array) => void;
};

export type Imports = { readonly [interfaceName: string]: { readonly [name: string]: unknown } };

const nsPerMs = 1_000_000n;
const none = (): undefined => undefined;

/** `context` is asked for at each call, so that an instance can be made before its run is known. */
export function wasiImports(context: () => WasiContext): Imports {
  const time = new VirtualTime();
  time.real = () => (context().time ? realTime(context(), time) : undefined);
  return {
    ...commandLine(context, time),
    ...io(time),
    ...clocks(context, time),
    ...randomness(context),
    ...files(context, time),
  };
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
    'wasi:cli/stdin': { getStdin: () => new BytesInput(time, () => context().stdin) },
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

type Instant = { readonly seconds: bigint; readonly nanoseconds: number };

function clocks(context: () => WasiContext, time: VirtualTime): Imports {
  const instant = (ms: bigint): Instant => ({ seconds: ms / 1000n, nanoseconds: Number(ms % 1000n) * 1_000_000 });
  const wall = (): Instant | Promise<Instant> => {
    if (!context().time) return instant(BigInt(context().acceptedMs) + time.ns / nsPerMs);
    return readClock(context(), time, 'clock.now', {}).then((ms) => instant(BigInt(ms)));
  };
  const now = (): bigint | Promise<bigint> =>
    time
      .real()?.()
      .then(() => time.ns) ?? time.ns;
  return {
    'wasi:clocks/monotonic-clock': {
      now,
      resolution: () => nsPerMs,
      subscribeDuration: (ns: bigint) =>
        time
          .real()?.()
          .then(() => new Pollable(time, time.ns + ns)) ?? new Pollable(time, time.ns + ns),
      subscribeInstant: (ns: bigint) => new Pollable(time, ns),
    },
    'wasi:clocks/wall-clock': { now: wall, resolution: () => ({ seconds: 0n, nanoseconds: 1_000_000 }) },
  };
}

/** Milliseconds of one sleep that the host takes. */
const sleepMsMax = 3_600_000;

function realTime(context: WasiContext, time: VirtualTime): (untilNs?: bigint) => Promise<void> {
  return async (untilNs) => {
    if (untilNs === undefined) await readClock(context, time, 'clock.now', {});
    else
      while (time.ns < untilNs) {
        const ms = Math.min(sleepMsMax, Math.ceil(Number(untilNs - time.ns) / 1e6));
        await readClock(context, time, 'clock.sleep', { ms });
      }
  };
}

/** The wall clock; the monotonic one is noted in `time`, where it never goes back. */
async function readClock(
  context: WasiContext,
  time: VirtualTime,
  op: string,
  args: { readonly [key: string]: unknown },
): Promise<number> {
  const { wall_ms, monotonic_ms } = (await context.ask(op, args)) as { wall_ms: number; monotonic_ms: number };
  const ns = BigInt(Math.round(monotonic_ms * 1e6));
  if (ns > time.ns) time.ns = ns;
  return wall_ms;
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

function files(context: () => WasiContext, time: VirtualTime): Imports {
  const system = new FileSystem(context, time);
  return {
    'wasi:filesystem/preopens': { getDirectories: () => system.preopened() },
    'wasi:filesystem/types': {
      Descriptor,
      DirectoryEntryStream,
      filesystemErrorCode: (error: IoError) => error.fault,
    },
  };
}
