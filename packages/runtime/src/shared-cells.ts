/**
 * The shared cells of a pool: which one an attempt goes to, and when one ends.
 *
 * 1. A new one starts where there is none, or where several guests compute in each and there are fewer than
 *    `sharedCellsMax`: no two guests of one cell compute at once.
 * 2. A component that computed past its turn once gets cells of its own from then on.
 * 3. One that has served its share takes nobody any more and ends with its last attempt; all end when nothing has come
 *    for a while.
 */
import type { Clock } from '@runloop/core';
import type { CellProcess } from './cell-process.ts';
import { aloneMax, sharedCellsMax } from './limits.ts';
import type { PreparedComponent } from './builder-job.ts';
import type { Seat } from './seat.ts';
import { SharedCell } from './shared-cell.ts';

/** A new cell as soon as there is room; none where the pool closes. */
type Start = (prepared: PreparedComponent) => Promise<CellProcess | undefined>;

export class SharedCells {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #start: Start;
  readonly #cells: SharedCell[] = [];
  readonly #starting = new Map<string, Promise<SharedCell | undefined>>();
  readonly #alone = new Set<string>();
  #resting: Disposable | undefined;

  constructor(clock: Clock, idleMs: number, start: Start) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#start = start;
  }

  /** A place in a cell that holds `prepared` for attempts of `share`; undefined where the pool closes or `signal` ends it. */
  async seat(prepared: PreparedComponent, share: string, signal: AbortSignal): Promise<Seat | undefined> {
    const key = `${prepared.key} ${share}`;
    const open = this.#cells.filter((shared) => shared.key === key && shared.open);
    const [least] = open.toSorted((a, b) => a.load.computing - b.load.computing || a.load.attempts - b.load.attempts);
    const crowded = least !== undefined && least.load.computing > 1 && open.length < sharedCellsMax;
    if (crowded) void this.#begin(key, prepared);
    // One that is lost already gets its attempt all the same, which is told so.
    const shared = least ?? (await unlessAborted(this.#begin(key, prepared), signal));
    this.#rest();
    return shared?.seat(() => {
      if (shared.spent) shared.cell.kill();
    });
  }

  alone({ key }: PreparedComponent): boolean {
    return this.#alone.has(key);
  }

  avoid({ key }: PreparedComponent): void {
    const [oldest] = this.#alone;
    if (this.#alone.size >= aloneMax && oldest !== undefined) this.#alone.delete(oldest);
    this.#alone.add(key);
  }

  /** Ends those that nobody is in. */
  evictIdle(): void {
    for (const shared of this.#cells) if (shared.load.attempts === 0) shared.cell.kill();
  }

  close(): void {
    this.#resting?.[Symbol.dispose]();
  }

  #begin(key: string, prepared: PreparedComponent): Promise<SharedCell | undefined> {
    const known = this.#starting.get(key);
    if (known !== undefined) return known;
    const starting = this.#add(key, prepared).finally(() => this.#starting.delete(key));
    this.#starting.set(key, starting);
    return starting;
  }

  async #add(key: string, prepared: PreparedComponent): Promise<SharedCell | undefined> {
    const cell = await this.#start(prepared);
    if (cell === undefined) return undefined;
    const shared = new SharedCell(this.#clock, cell, key);
    this.#cells.push(shared);
    void cell.closed.then(() => this.#cells.splice(this.#cells.indexOf(shared), 1));
    return shared;
  }

  #rest(): void {
    this.#resting?.[Symbol.dispose]();
    this.#resting = this.#clock.after(this.#idleMs, () => {
      this.evictIdle();
      if (this.#cells.length > 0) this.#rest();
    });
  }
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const give = (): void => resolve(undefined);
    signal.addEventListener('abort', give, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', give));
  });
}
