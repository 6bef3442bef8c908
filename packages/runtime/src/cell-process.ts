/**
 * One cell seen from the daemon: a child process with one channel and no way to anything else.
 *
 * 1. It starts without environment, without files but its program and the build cache, without descriptors but its channel.
 * 2. Whatever it sends or fails to send, this process goes on: malformed bytes, a death, a hang end the cell alone.
 * 3. `kill` is SIGKILL; `closed` resolves when the process is gone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Duplex } from 'node:stream';
import { type Failure, failure } from '@runloop/core';
import { type Channel, type Message, createChannel, say } from './channel.ts';
import { type Launcher, bareLauncher, giveFilter } from './launcher.ts';
import { cellHeapMib, channelBodyBytesMax, fuelPerCpuMs, longTurnNice, sharedTurnMs } from './limits.ts';
import type { PreparedComponent } from './builder-job.ts';

export type CellEvents = {
  /** Each message of the cell; after `lost` there are none. */
  readonly message: (message: Message) => void;
  readonly lost: (failure: Failure) => void;
};

export type CellStart = {
  /** Compile all of the component before saying that it is ready. */
  readonly eager?: boolean;
  /** It will serve many requests at once. */
  readonly shared?: boolean;
  /** The module whose machine code it shall answer with. */
  readonly rehearsal?: string;
};

type Holdable = { ref(): void; unref(): void };

const stderrBytesKept = 4096;

export class CellProcess {
  /** The prepared component that it is for. */
  readonly key: string;
  runs = 0;
  ready = false;
  dead = false;
  gaveWay = false;
  readonly closed: Promise<void>;
  readonly #child: ChildProcess;
  readonly #channel: Channel = createChannel(channelBodyBytesMax);
  readonly #wire: Duplex;
  #events: CellEvents | undefined;
  #waiting: (() => void)[] = [];
  #stderr = '';
  #fault: Failure | undefined;

  constructor(
    programPath: string,
    cacheDir: string,
    key: string,
    launcher: Launcher = bareLauncher,
    heapMib: number = cellHeapMib,
  ) {
    this.key = key;
    const program = [programPath, `${programPath}.js`, `${programPath}.cache`];
    const readable = [...program, `${cacheDir}/prepared/*`];
    const permissions = ['--permission', ...readable.map((path) => `--allow-fs-read=${path}`)];
    const guards = ['--disable-sigusr1', '--no-warnings', '--no-deprecation', `--max-old-space-size=${heapMib}`];
    const nodeArgs = [...permissions, ...guards, programPath];
    const { file, args, filter } = launcher.command(nodeArgs, [...program, `${cacheDir}/prepared/${key}`]);
    this.#child = spawn(file, args, {
      env: {},
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...(filter === undefined ? [] : (['pipe'] as const))],
    });
    giveFilter(this.#child, filter);
    this.#wire = this.#child.stdio[3] as Duplex;
    this.#wire.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#wire.on('error', () => {});
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      if (this.#stderr.length < stderrBytesKept) this.#stderr += chunk.toString('latin1').slice(0, stderrBytesKept);
    });
    this.closed = new Promise((resolve) => {
      const end = (): void => {
        this.lose(
          failure(
            'CellLost',
            `the cell ended unexpectedly${this.#stderr === '' ? '' : `: ${firstLine(this.#stderr)}`}`,
          ),
        );
        resolve();
      };
      this.#child.on('error', end);
      this.#child.on('close', end);
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Processor time that it has used, milliseconds; undefined where the system does not say. */
  get cpuMs(): number | undefined {
    return this.pid === undefined ? undefined : cpuMsOf(this.pid);
  }

  /** Why it is dead. */
  get fault(): Failure | undefined {
    return this.#fault;
  }

  /** Tells it its component, whose files were verified. */
  init(prepared: PreparedComponent, how: CellStart): void {
    const { files, dir, memoryBytes, fuel } = prepared;
    const { hot } = files;
    this.send(say.init, {
      v: 1,
      code: `${dir}/agent.js`,
      cache: `${dir}/agent.cache`,
      modules: `${dir}/modules.bin`,
      layout: files.layout,
      ...(hot === undefined ? {} : { hot: { module: hot.module, path: `${dir}/agent.hot` } }),
      memory_bytes_max: memoryBytes,
      fuel: String(fuel),
      eager: how.eager === true,
      ...(how.shared === true ? { turn_fuel: String(BigInt(sharedTurnMs) * BigInt(fuelPerCpuMs)) } : {}),
      ...(how.rehearsal === undefined ? {} : { rehearsal: { module: how.rehearsal } }),
    });
  }

  send(schemaId: number, payload: { readonly [key: string]: unknown }): void {
    if (this.dead) return;
    const frame = this.#channel.frame(schemaId, payload);
    if (frame.ok) this.#wire.write(frame.value);
    else this.lose(frame.error);
  }

  listen(events: CellEvents | undefined): void {
    this.#events = events;
  }

  /** Resolves when the cell says that its component stands ready, or is dead. */
  async whenReady(): Promise<void> {
    if (this.ready || this.dead) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** From now on the operating system prefers every other process to it; there is no way back. */
  giveWay(): void {
    if (this.dead) return;
    this.gaveWay = true;
    this.prefer(longTurnNice);
  }

  /** How much it gives way, as `nice` counts. */
  prefer(nice: number): void {
    if (this.#child.pid === undefined) return;
    try {
      for (const pid of family(this.#child.pid)) setPriority(pid, nice);
    } catch {
      // It ended just now, or the system does not let us: it has its deadline.
    }
  }

  kill(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
  }

  /** Whether this process stays alive for the cell: for one that works, not for a spare. */
  hold(working: boolean): void {
    for (const handle of [this.#child, this.#wire, this.#child.stderr] as readonly (Partial<Holdable> | null)[]) {
      if (working) handle?.ref?.();
      else handle?.unref?.();
    }
  }

  #receive(chunk: Buffer): void {
    if (this.dead) return;
    const { messages, fault } = this.#channel.push(chunk);
    for (const message of messages) {
      if (message.schemaId === say.hello) {
        this.ready = message.payload['ready'] === true;
        if (this.ready) this.#wake();
      }
      this.#events?.message(message);
    }
    if (fault !== undefined) this.lose(fault);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Gives it up for `why`. */
  lose(why: Failure): void {
    if (this.dead) return;
    this.dead = true;
    this.#fault = why;
    this.kill();
    this.#wake();
    this.#events?.lost(why);
  }
}

/** The kernel counts in hundredths of a second; the name in brackets may hold anything. */
function cpuMsOf(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return undefined;
  }
}

/** A process and those that it started: a launcher stays beside the cell. */
function family(pid: number): number[] {
  let children: number[] = [];
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
  } catch {
    // No such list here: then there is no such launcher either.
  }
  return [pid, ...children.flatMap(family)];
}

function firstLine(text: string): string {
  return (text.split('\n').find((line) => line.trim() !== '') ?? '').slice(0, 300);
}
