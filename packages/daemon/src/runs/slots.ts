/**
 * The machine's slots for running nodes, shared fairly: round-robin over runs, then over their nodes.
 *
 * 1. At most `slotsMax` nodes run at once, but for nodes that a restart finds running: they go on at once and are counted.
 * 2. At most `waitingMax` wait; a run that would put more there is refused when it is submitted.
 * 3. Priority first (9 to 0), then the run that was served longest ago.
 */
export type Grant = () => boolean;

type Waiting = { readonly run: string; readonly priority: number; served: number; readonly grants: Grant[] };

export class Slots {
  readonly #slotsMax: number;
  readonly waitingMax: number;
  readonly #waiting = new Map<string, Waiting>();
  #used = 0;
  #turn = 0;
  #count = 0;

  constructor(slotsMax: number, waitingMax: number) {
    this.#slotsMax = slotsMax;
    this.waitingMax = waitingMax;
  }

  get used(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#count;
  }

  /** Takes a slot whatever the limit says: for what already runs. */
  take(): void {
    this.#used += 1;
  }

  /**
   * Calls `grant` when there is a slot, at once where there is one. A grant that answers false did not need it any more.
   */
  request(run: string, priority: number, grant: Grant): void {
    let entry = this.#waiting.get(run);
    if (entry === undefined) this.#waiting.set(run, (entry = { run, priority, served: this.#turn, grants: [] }));
    entry.grants.push(grant);
    this.#count += 1;
    this.#serve();
  }

  release(): void {
    this.#used -= 1;
    this.#serve();
  }

  /** Forgets what a run still waits for. */
  forget(run: string): void {
    this.#count -= this.#waiting.get(run)?.grants.length ?? 0;
    this.#waiting.delete(run);
  }

  #serve(): void {
    while (this.#used < this.#slotsMax) {
      const next = this.#next();
      if (next === undefined) return;
      const grant = next.grants.shift();
      this.#count -= 1;
      this.#turn += 1;
      next.served = this.#turn;
      if (next.grants.length === 0) this.#waiting.delete(next.run);
      this.#used += 1;
      if (grant?.() !== true) this.#used -= 1;
    }
  }

  #next(): Waiting | undefined {
    let best: Waiting | undefined;
    for (const entry of this.#waiting.values()) {
      if (
        best === undefined ||
        entry.priority > best.priority ||
        (entry.priority === best.priority && entry.served < best.served)
      )
        best = entry;
    }
    return best;
  }
}
