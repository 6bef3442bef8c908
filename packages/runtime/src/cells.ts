/**
 * The pool of cells: prepares components, keeps spares warm, runs attempts.
 *
 * 1. A cell serves one attempt at a time, and only attempts of the component that it was told (A7).
 * 2. After a trap, a limit, a kill or a suspension a cell is thrown away; after an orderly end a trusted bundle's cell
 *    makes a fresh instance and stands ready again, at most `cellRunsMax` times, unless it had to give way.
 * 3. Attempts of trusted bundles with the same `share` run in one cell, each in an instance of its own; one that computes
 *    for long is suspended as `elsewhere`, for a cell of its own.
 * 4. A bundle that is not trusted runs in bubblewrap, in a cell that serves nothing else, or not at all, unless
 *    the operator allows it without where bubblewrap cannot run.
 * 5. At most `cellsMax` processes are alive; more attempts wait. `close` leaves no process.
 */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  type Clock,
  type Failure,
  type Log,
  type Random,
  type Result,
  err,
  failure,
  ok,
  joinSignals,
} from '@runloop/core';
import { type Attempt, runAttempt } from './attempt.ts';
import type { Bundle } from './bundle.ts';
import { CellProcess, type CellStart } from './cell-process.ts';
import type { HostKey } from './keys.ts';
import { type Launcher, bareLauncher, bubblewrap } from './launcher.ts';
import { type AgentLimits, aloneNice, cellRunsMax, cellsMax, sharedHeapMib, spareIdleMs, sparesMax } from './limits.ts';
import type { AgentRequest, AttemptFailureCode, AttemptOutcome, HostCalls, RunIdentity } from './outcome.ts';
import type { PreparedComponent } from './builder-job.ts';
import { createPreparedCache } from './prepared.ts';
import { OwnSeat } from './seat.ts';
import { SharedCells } from './shared-cells.ts';

export type CellsDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hostKey: HostKey;
};
export type CellsOptions = {
  readonly cacheDir: string;
  /** Cells kept ready for each component that was used, besides those in use; 0 for none. */
  readonly spares: number;
  /** How long spares stay when nothing runs, milliseconds. */
  readonly spareIdleMs?: number;
  readonly cellsMax?: number;
  /** Absolute path of bubblewrap, in which cells of signers that are not trusted run. */
  readonly bwrap?: string;
  /** Whether they may run without it on a host where it cannot run. */
  readonly allowWeak?: () => boolean;
};

export type Invocation = {
  readonly bundle: Bundle;
  readonly run: RunIdentity;
  readonly request: AgentRequest;
  /** Effective limits; those of the bundle's own capabilities where left out. */
  readonly limits?: AgentLimits;
  /** Wall milliseconds that are left, where some were used before. */
  readonly leftMs?: number;
  /** What invocations must have in common, beside the component, to run in one cell; none for a cell of its own. */
  readonly share?: string;
};

export interface Cells extends AsyncDisposable {
  run(invocation: Invocation, host: HostCalls, signal: AbortSignal): Promise<AttemptOutcome>;
  /** Prepares the component and has a cell stand ready. */
  warm(bundle: Bundle, limits?: AgentLimits): Promise<Result<void, Failure>>;
  /** Why bundles that are not trusted cannot be confined on this host, if so. */
  confinement(): Promise<Failure | undefined>;
  stats(): { readonly alive: number; readonly spare: number; readonly waiting: number; readonly started: number };
  /** Processes that are alive, oldest first. */
  pids(): readonly number[];
  close(): Promise<void>;
}

export function createCells(deps: CellsDeps, options: CellsOptions): Cells {
  return new CellPool(deps, options);
}

const nothingUsed = {
  wall_ms: 0,
  fuel: 0,
  memory_bytes: 0,
  hostcalls: 0,
  output_bytes: 0,
  log_bytes_dropped: 0,
} as const;

class CellPool implements Cells {
  readonly #deps: CellsDeps;
  readonly #options: CellsOptions & { readonly cellsMax: number };
  readonly #cache: ReturnType<typeof createPreparedCache>;
  readonly #alive = new Set<CellProcess>();
  /** Ready or becoming ready, oldest first. */
  readonly #spares: CellProcess[] = [];
  #resting: Disposable | undefined;
  readonly #queue: (() => void)[] = [];
  readonly #confined: Launcher;
  readonly #shared: SharedCells;
  #program: string | undefined;
  /** Bubblewrap cannot run here; only where that is allowed does anything untrusted get as far as a cell. */
  #isWeak = false;
  #started = 0;
  #closed = false;

  constructor(deps: CellsDeps, options: CellsOptions) {
    this.#deps = deps;
    this.#options = {
      ...options,
      cacheDir: resolve(options.cacheDir),
      cellsMax: Math.min(options.cellsMax ?? cellsMax, cellsMax),
    };
    this.#confined = bubblewrap(deps, options.bwrap ?? '/usr/bin/bwrap');
    this.#cache = createPreparedCache(deps, this.#options.cacheDir, () =>
      this.#isWeak ? bareLauncher : this.#confined,
    );
    this.#shared = new SharedCells(deps.clock, this.#options.spareIdleMs ?? spareIdleMs, async (prepared) => {
      if (!(await this.#makeRoom())) return undefined;
      const cell = this.#start(prepared, true, sharedHeapMib);
      await this.#tell(cell, prepared, { shared: true });
      return cell;
    });
  }

  async run(invocation: Invocation, host: HostCalls, signal: AbortSignal): Promise<AttemptOutcome> {
    const { bundle } = invocation;
    const limits = invocation.limits ?? bundle.caps.limits;
    if (signal.aborted) return { type: 'cancelled', usage: nothingUsed };
    const prepared = await this.#prepare(bundle, limits);
    if (!prepared.ok) {
      const { code, message, hint } = prepared.error;
      const reason = hint === undefined ? message : `${message} (${hint})`;
      return { type: 'failed', code: preparationCode(code), reason, retryable: false, usage: nothingUsed };
    }
    const { clock } = this.#deps;
    const wallMs = Math.min(invocation.run.deadline_ms, limits.wall_ms);
    const endMs = clock.monotonicMs() + Math.min(wallMs, invocation.leftMs ?? wallMs);
    // Waiting for a cell is time of the attempt; preparing its component for the first time is not.
    const late = new AbortController();
    using _timer = clock.after(endMs - clock.monotonicMs(), () => late.abort());
    using waiting = joinSignals(signal, late.signal);
    const waits = waiting.signal;
    const attempt: Attempt = { bundle, run: invocation.run, request: invocation.request, limits, wallMs, endMs };
    if (invocation.share !== undefined && bundle.trusted && !this.#shared.alone(prepared.value)) {
      const seat = await this.#shared.seat(prepared.value, invocation.share, waits);
      if (seat === undefined) return unseated(late.signal, wallMs);
      const { outcome } = await runAttempt(clock, seat, attempt, host, signal);
      if (outcome.type === 'suspended' && outcome.reason === 'elsewhere') this.#shared.avoid(prepared.value);
      return outcome;
    }
    const cell = await this.#acquire(prepared.value, bundle.trusted, waits);
    if (cell === undefined) return unseated(late.signal, wallMs);
    // It is known to compute for long: what answers soon goes first.
    if (this.#shared.alone(prepared.value)) cell.prefer(aloneNice);
    cell.runs += 1;
    cell.hold(true);
    const seat = new OwnSeat(clock, cell);
    const { outcome, reusable } = await runAttempt(clock, seat, attempt, host, signal);
    cell.hold(false);
    const keep = reusable && bundle.trusted && !cell.gaveWay && cell.runs < cellRunsMax;
    this.#release(cell, keep, bundle.trusted, prepared.value);
    return outcome;
  }

  async warm(bundle: Bundle, limits: AgentLimits = bundle.caps.limits): Promise<Result<void, Failure>> {
    const prepared = await this.#prepare(bundle, limits);
    if (!prepared.ok) return prepared;
    // One that is not trusted gets a cell of its own at each run.
    if (!bundle.trusted) return ok(undefined);
    const cell = this.#spares.find((spare) => spare.key === prepared.value.key) ?? this.#spare(prepared.value);
    cell?.hold(true);
    await cell?.whenReady();
    cell?.hold(false);
    return cell?.dead === true ? err(failure('CellLost', 'the cell ended while it got ready')) : ok(undefined);
  }

  stats(): { readonly alive: number; readonly spare: number; readonly waiting: number; readonly started: number } {
    return { alive: this.#alive.size, spare: this.#spares.length, waiting: this.#queue.length, started: this.#started };
  }

  pids(): readonly number[] {
    return [...this.#alive].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#shared.close();
    this.#resting?.[Symbol.dispose]();
    for (const cell of this.#alive) {
      cell.hold(true);
      cell.kill();
    }
    for (const next of this.#queue.splice(0)) next();
    await Promise.all([...this.#alive].map((cell) => cell.closed));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  confinement(): Promise<Failure | undefined> {
    return this.#confined.refusal();
  }

  async #prepare(bundle: Bundle, limits: AgentLimits): Promise<Result<PreparedComponent, Failure>> {
    const refusal = bundle.trusted ? undefined : await this.#confined.refusal();
    if (refusal !== undefined) {
      if (this.#options.allowWeak?.() !== true) return err(refusal);
      this.#isWeak = true;
      const { name, signer } = bundle;
      this.#deps.log.log('warn', 'an untrusted agent runs without namespaces, as allow_weak says', {
        agent: name,
        signer,
      });
    }
    if (this.#program === undefined) {
      await mkdir(this.#options.cacheDir, { recursive: true, mode: 0o700 });
      const program = await this.#cache.cellProgram();
      if (!program.ok) return program;
      this.#program = program.value;
    }
    return this.#cache.get(bundle, limits);
  }

  /** A cell that holds `prepared`: a spare, or a new one as soon as there is room. */
  async #acquire(prepared: PreparedComponent, trusted: boolean, signal: AbortSignal): Promise<CellProcess | undefined> {
    for (;;) {
      if (this.#closed || signal.aborted) return undefined;
      // One that only makes a fresh instance is ready sooner than a new one; one that still compiles is not.
      const soon = (spare: CellProcess): boolean => spare.ready || spare.runs > 0;
      const at = this.#spares.findIndex((spare) => trusted && spare.key === prepared.key && !spare.dead && soon(spare));
      const spare = at < 0 ? undefined : this.#spares.splice(at, 1)[0];
      if (spare !== undefined) {
        spare.hold(true);
        await spare.whenReady();
        if (!spare.dead) return spare;
        continue;
      }
      if (this.#hasRoom()) {
        const cell = this.#start(prepared, trusted);
        await this.#tell(cell, prepared, {});
        return cell;
      }
      await this.#room(signal);
    }
  }

  /** Whether another cell may start; what stands idle goes first. */
  #hasRoom(): boolean {
    if (this.#alive.size >= this.#options.cellsMax) this.#evictSpare();
    if (this.#alive.size >= this.#options.cellsMax) this.#shared.evictIdle();
    return this.#alive.size < this.#options.cellsMax;
  }

  async #makeRoom(): Promise<boolean> {
    while (!this.#closed) {
      if (this.#hasRoom()) return true;
      await this.#room();
    }
    return false;
  }

  #start(prepared: PreparedComponent, trusted: boolean, heapMib?: number): CellProcess {
    const launcher = trusted || this.#isWeak ? bareLauncher : this.#confined;
    const cell = new CellProcess(this.#program ?? '', this.#options.cacheDir, prepared.key, launcher, heapMib);
    this.#started += 1;
    this.#alive.add(cell);
    cell.hold(false);
    void cell.closed.then(() => {
      this.#alive.delete(cell);
      const at = this.#spares.indexOf(cell);
      if (at >= 0) this.#spares.splice(at, 1);
      this.#queue.shift()?.();
    });
    return cell;
  }

  /** Its component's files are verified while it starts. */
  async #tell(cell: CellProcess, prepared: PreparedComponent, how: CellStart): Promise<void> {
    const problem = await this.#cache.verify(prepared);
    if (problem === undefined) cell.init(prepared, how);
    else cell.lose(problem);
  }

  #spare(prepared: PreparedComponent): CellProcess | undefined {
    if (this.#closed) return undefined;
    if (this.#spares.length >= sparesMax) this.#evictSpare();
    if (this.#alive.size >= this.#options.cellsMax) return undefined;
    const cell = this.#start(prepared, true);
    this.#spares.push(cell);
    void this.#tell(cell, prepared, { eager: true });
    this.#rest();
    return cell;
  }

  /** Spares cost memory: when nothing has run for a while they end. */
  #rest(): void {
    this.#resting?.[Symbol.dispose]();
    this.#resting = this.#deps.clock.after(this.#options.spareIdleMs ?? spareIdleMs, () => {
      while (this.#spares.length > 0) this.#evictSpare();
    });
  }

  #evictSpare(): void {
    this.#spares.shift()?.kill();
  }

  #release(cell: CellProcess, keep: boolean, trusted: boolean, prepared: PreparedComponent): void {
    const ready = (): number => this.#spares.filter((spare) => spare.key === prepared.key).length;
    if (
      keep &&
      !this.#closed &&
      ready() < Math.max(1, this.#options.spares) &&
      this.#spares.length < sparesMax &&
      !cell.dead
    ) {
      this.#spares.push(cell);
      this.#queue.shift()?.();
      this.#rest();
    } else {
      cell.kill();
    }
    if (trusted && ready() < this.#options.spares && this.#queue.length === 0) this.#spare(prepared);
  }

  #room(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        signal?.removeEventListener('abort', go);
        resolve();
      };
      signal?.addEventListener('abort', go, { once: true });
      this.#queue.push(go);
    });
  }
}

/** There was no cell for it in time, or at all any more. */
function unseated(late: AbortSignal, wallMs: number): AttemptOutcome {
  if (!late.aborted) return { type: 'cancelled', usage: nothingUsed };
  const reason = `the agent did not finish within ${wallMs} ms: it waited for a cell`;
  return { type: 'failed', code: 'DeadlineExceeded', reason, retryable: true, usage: nothingUsed };
}

function preparationCode(code: Failure['code']): AttemptFailureCode {
  return code === 'InvalidBundle' || code === 'DigestMismatch' ? code : 'Internal';
}
