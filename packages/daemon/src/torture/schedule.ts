/**
 * Decides, by a seed, what happens next: which work is done, which answer is told, when time goes on.
 *
 * 1. Nothing is chosen before everything that can go on by itself has come to rest; what is chosen happens to its end
 *    before the next is chosen. The same seed over the same work gives the same order.
 * 2. Time moves only when nothing else is left, straight to the next timer.
 * 3. Work that changes the world is a boundary: before and after each one the life that asked for it may be made to end.
 * 4. What belongs to a life that has ended never happens: its work, its timers, its answers.
 */
import { type Clock, fraction, type Random } from '@runloop/core';

/** One life of a daemon, from its start to its crash. */
export interface Life {
  readonly clock: Clock;
  readonly ended: boolean;
  /** Does `work` when it is chosen, and answers when that is over. */
  task<T>(label: string, work: () => Promise<T>): Promise<T>;
  /** The same for work that changes the world: a place to crash at. */
  boundary<T>(label: string, work: () => Promise<T>): Promise<T>;
  /** Something goes on elsewhere and will ask for something: nothing is chosen until it is disposed of. */
  busy(): Disposable;
  /** Told when the life ends. */
  onEnd(fn: () => void): void;
}

export type Crash = { readonly boundary: number; readonly when: 'before' | 'after' };
export type Boundary = { readonly life: number; readonly label: string };

type Entry = {
  readonly label: string;
  readonly order: number;
  readonly life: OneLife;
  readonly isBoundary: boolean;
  readonly perform: () => Promise<() => void>;
};
type Timer = { readonly atMs: number; readonly order: number; readonly life: OneLife; readonly fn: () => void };

/** Choices of one schedule; one that takes more goes round in circles. */
export const choicesMax = 2_000_000;

export class Schedule {
  readonly #random: Random;
  readonly #startMs: number;
  #nowMs: number;
  #order = 0;
  #busy = 0;
  #moved: (() => void) | undefined;
  #choices = 0;
  readonly #ready: Entry[] = [];
  readonly #timers = new Set<Timer>();
  #life: OneLife | undefined;
  #lives = 0;
  /** Where the present life ends, in boundaries of the whole schedule. */
  crash: Crash | undefined;
  readonly boundaries: Boundary[] = [];

  constructor(random: Random, startMs: number) {
    this.#random = random;
    this.#startMs = startMs;
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get lives(): number {
    return this.#lives;
  }

  /** Ends the present life, if there is one, and begins the next. */
  begin(): Life {
    this.end();
    this.#lives += 1;
    this.#life = new OneLife(this);
    return this.#life;
  }

  end(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    life.end();
    this.#busy = 0;
    this.#ready.splice(0);
    this.#timers.clear();
  }

  /** Lets things happen until `done`, until a crash, or until nothing can happen any more. */
  async run(done: () => boolean): Promise<'done' | 'crashed' | 'stuck'> {
    for (;;) {
      await this.#rest();
      if (this.#life === undefined) return 'crashed';
      if (done()) return 'done';
      this.#choices += 1;
      if (this.#choices > choicesMax) return 'stuck';
      const entry = this.#choose();
      if (entry !== undefined) await this.#perform(entry);
      else if (!this.#tick()) return 'stuck';
    }
  }

  add(entry: Omit<Entry, 'order'>): void {
    if (entry.life !== this.#life) return;
    this.#ready.push({ ...entry, order: (this.#order += 1) });
  }

  after(life: OneLife, delayMs: number, fn: () => void): Disposable {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: (this.#order += 1), life, fn };
    if (life === this.#life) this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  hold(life: OneLife): Disposable {
    let held = life === this.#life;
    if (held) this.#busy += 1;
    return {
      [Symbol.dispose]: () => {
        if (!held || life !== this.#life) return;
        held = false;
        this.#busy -= 1;
        this.#moved?.();
      },
    };
  }

  /** Until nothing goes on by itself: promises have settled, and what goes on elsewhere has asked for something. */
  async #rest(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#busy === 0) return;
      await new Promise<void>((resolve) => (this.#moved = resolve));
    }
  }

  #choose(): Entry | undefined {
    if (this.#ready.length === 0) return undefined;
    // By name, for what goes on elsewhere asks in an order of its own.
    this.#ready.sort((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : a.order - b.order));
    const at = Math.floor(fraction(this.#random) * this.#ready.length);
    return this.#ready.splice(at, 1)[0];
  }

  async #perform(entry: Entry): Promise<void> {
    if (!entry.isBoundary) return (await entry.perform())();
    const boundary = this.boundaries.length;
    this.boundaries.push({ life: this.#lives, label: entry.label });
    const crash = this.crash?.boundary === boundary ? this.crash.when : undefined;
    if (crash === 'before') return this.end();
    const answer = await entry.perform();
    if (crash === 'after') return this.end();
    answer();
  }

  #tick(): boolean {
    let first: Timer | undefined;
    for (const timer of this.#timers)
      if (first === undefined || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order))
        first = timer;
    if (first === undefined) return false;
    this.#timers.delete(first);
    this.#nowMs = Math.max(this.#nowMs, first.atMs);
    first.fn();
    return true;
  }
}

class OneLife implements Life {
  readonly clock: Clock;
  readonly #schedule: Schedule;
  readonly #onEnd: (() => void)[] = [];
  ended = false;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
    this.clock = {
      nowMs: () => Math.floor(schedule.nowMs),
      monotonicMs: () => schedule.monotonicMs(),
      after: (delayMs, fn) => schedule.after(this, delayMs, fn),
    };
  }

  task<T>(label: string, work: () => Promise<T>): Promise<T> {
    return this.#add(label, false, work);
  }

  boundary<T>(label: string, work: () => Promise<T>): Promise<T> {
    return this.#add(label, true, work);
  }

  busy(): Disposable {
    return this.#schedule.hold(this);
  }

  onEnd(fn: () => void): void {
    this.#onEnd.push(fn);
  }

  end(): void {
    this.ended = true;
    for (const fn of this.#onEnd) fn();
  }

  #add<T>(label: string, isBoundary: boolean, work: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const perform = (): Promise<() => void> =>
      work().then(
        (value) => () => resolve(value),
        (error: unknown) => () => reject(error),
      );
    this.#schedule.add({ label, life: this, isBoundary, perform });
    return promise;
  }
}
