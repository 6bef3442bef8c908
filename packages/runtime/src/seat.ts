/**
 * Where an attempt runs, as the attempt sees it: a cell of its own, or one place of a shared cell.
 */
import type { Clock, Failure } from '@runloop/core';
import type { CellEvents, CellProcess } from './cell-process.ts';
import { turnMsMax } from './limits.ts';

export interface Seat {
  /** Others run beside it: when it is lost or computes for too long, the attempt is run again elsewhere. */
  readonly shared: boolean;
  readonly dead: boolean;
  readonly fault: Failure | undefined;
  /** Whether the guest computes as soon as it is asked; otherwise it does when the cell says hello. */
  readonly ready: boolean;
  send(schemaId: number, payload: { readonly [key: string]: unknown }): void;
  listen(events: CellEvents | undefined): void;
  beginTurn(): void;
  endTurn(): void;
  /** The attempt is over; `reusable` says that its instance ended in order. */
  leave(reusable: boolean): void;
}

/** A whole cell. A guest that computes for long gives way, so that the others and this process do not wait for it. */
export class OwnSeat implements Seat {
  readonly shared = false;
  readonly #clock: Clock;
  readonly #cell: CellProcess;
  #turn: Disposable | undefined;

  constructor(clock: Clock, cell: CellProcess) {
    this.#clock = clock;
    this.#cell = cell;
  }

  get dead(): boolean {
    return this.#cell.dead;
  }

  get fault(): Failure | undefined {
    return this.#cell.fault;
  }

  get ready(): boolean {
    return this.#cell.ready;
  }

  send(schemaId: number, payload: { readonly [key: string]: unknown }): void {
    this.#cell.ready = false;
    this.#cell.send(schemaId, { ...payload, slot: 0 });
  }

  listen(events: CellEvents | undefined): void {
    this.#cell.listen(events);
  }

  beginTurn(): void {
    this.endTurn();
    this.#turn = this.#clock.after(turnMsMax, () => this.#cell.giveWay());
  }

  endTurn(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
  }

  leave(reusable: boolean): void {
    this.endTurn();
    this.#cell.listen(undefined);
    if (!reusable) this.#cell.kill();
  }
}
