/**
 * A cell that serves many attempts of one component at once, and what each of them sees of it.
 *
 * 1. Only attempts with the same key share it: component, limits, capabilities, owner and labels.
 * 2. A guest that computes past its turn is stopped by its fuel inside the cell. Where even that does not end its turn,
 *    the cell uses the processor for `sharedTurnMsMax` without a word, and is killed. One that merely gets no processor,
 *    because the machine is busy, is not.
 * 3. What is lost with it was nobody's fault but one's: all of its attempts are told to run again elsewhere.
 */
import type { Clock, Failure } from '@runloop/core';
import type { CellEvents, CellProcess } from './cell-process.ts';
import { say } from './channel.ts';
import { sharedAttemptsMax, sharedRunsMax, sharedTurnMsMax } from './limits.ts';
import type { Seat } from './seat.ts';

export class SharedCell {
  readonly key: string;
  readonly #clock: Clock;
  readonly #cell: CellProcess;
  readonly #seats = new Map<number, SharedSeat>();
  readonly #computing = new Set<SharedSeat>();
  /** Guests that were given up while they computed, and that the cell has not put away yet. */
  readonly #gone = new Set<number>();
  #next = 0;
  #watch: Disposable | undefined;

  constructor(clock: Clock, cell: CellProcess, key: string) {
    this.#clock = clock;
    this.#cell = cell;
    this.key = key;
    cell.listen({
      message: (message) => {
        const slot = message.payload['slot'];
        if (typeof slot === 'number') {
          this.#gone.delete(slot);
          this.#seats.get(slot)?.events?.message(message);
        }
        this.#heard();
      },
      lost: (why) => {
        this.#watch?.[Symbol.dispose]();
        for (const seat of this.#seats.values()) seat.events?.lost(why);
      },
    });
  }

  get cell(): CellProcess {
    return this.#cell;
  }

  /** Attempts that are in it, and those of them that do not wait for the host. */
  get load(): { readonly attempts: number; readonly computing: number } {
    return { attempts: this.#seats.size, computing: this.#computing.size };
  }

  get open(): boolean {
    return !this.#cell.dead && this.#seats.size < sharedAttemptsMax && this.#next < sharedRunsMax;
  }

  /** Whether nobody is in it and nobody may come in any more. */
  get spent(): boolean {
    return this.#seats.size === 0 && this.#next >= sharedRunsMax;
  }

  seat(left: () => void): Seat {
    this.#next += 1;
    const seat = new SharedSeat(this, this.#next, (inOrder) => {
      this.#seats.delete(seat.slot);
      if (!inOrder && this.#computing.has(seat)) this.#gone.add(seat.slot);
      this.turn(seat, false);
      left();
    });
    this.#seats.set(seat.slot, seat);
    this.#cell.runs += 1;
    this.#cell.hold(true);
    return seat;
  }

  /** Marks that the guest of `seat` computes, or waits. */
  turn(seat: SharedSeat, computes: boolean): void {
    if (computes) this.#computing.add(seat);
    else this.#computing.delete(seat);
    if (this.#busy && this.#watch === undefined) this.#heard();
    if (this.#seats.size === 0) this.#cell.hold(false);
  }

  get #busy(): boolean {
    return this.#computing.size > 0 || this.#gone.size > 0;
  }

  /** The cell is alive as long as it says something; it is silent only while one guest computes. */
  #heard(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    if (!this.#busy || this.#cell.dead) return;
    this.#look(this.#cell.cpuMs ?? 0);
  }

  #look(cpuMs: number): void {
    this.#watch = this.#clock.after(sharedTurnMsMax, () => {
      this.#watch = undefined;
      if (!this.#busy || this.#cell.dead) return;
      const used = (this.#cell.cpuMs ?? Infinity) - cpuMs;
      if (this.#cell.ready && used >= sharedTurnMsMax) this.#cell.kill();
      else this.#look(this.#cell.ready ? cpuMs : (this.#cell.cpuMs ?? 0));
    });
  }
}

class SharedSeat implements Seat {
  readonly shared = true;
  readonly ready = true;
  readonly slot: number;
  events: CellEvents | undefined;
  readonly #shared: SharedCell;
  readonly #left: (inOrder: boolean) => void;

  constructor(shared: SharedCell, slot: number, left: (inOrder: boolean) => void) {
    this.#shared = shared;
    this.slot = slot;
    this.#left = left;
  }

  get dead(): boolean {
    return this.#shared.cell.dead;
  }

  get fault(): Failure | undefined {
    return this.#shared.cell.fault;
  }

  send(schemaId: number, payload: { readonly [key: string]: unknown }): void {
    this.#shared.cell.send(schemaId, { ...payload, slot: this.slot });
  }

  listen(events: CellEvents | undefined): void {
    this.events = events;
  }

  beginTurn(): void {
    this.#shared.turn(this, true);
  }

  endTurn(): void {
    this.#shared.turn(this, false);
  }

  leave(reusable: boolean): void {
    this.events = undefined;
    if (!reusable) this.send(say.hostanswer, { v: 1, gone: true });
    this.#left(reusable);
  }
}
