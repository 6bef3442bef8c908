/**
 * The running time that a run, and each opening nested in it, has left.
 *
 * Time counts while the run is running; that of a nested opening from the start of its first node to the end of its last.
 */
import type { Clock } from '@runloop/core';
import { groupIdsOf } from '@runloop/openings';
import type { RunDriver } from './driver.ts';

export class Deadline implements Disposable {
  readonly #clock: Clock;
  readonly #driver: RunDriver;
  /** Time limits by nested opening; `undefined` is the run itself. */
  readonly #limits = new Map<string | undefined, number>();
  #timer: Disposable | undefined;

  constructor(clock: Clock, driver: RunDriver) {
    this.#clock = clock;
    this.#driver = driver;
    const { policy, groups = [] } = driver.state.opening;
    for (const { id, timeout_ms } of [{ id: undefined, timeout_ms: policy.timeout_ms }, ...groups])
      if (timeout_ms !== undefined) this.#limits.set(id, timeout_ms);
  }

  /** What a node may take, by the run and the openings that it stands in. */
  leftMs(node: string): number {
    return Math.min(...[undefined, ...groupIdsOf(node)].map((group) => this.#leftOf(group)));
  }

  /** Sends the signal when the first of them is over. */
  arm(): void {
    this.#timer?.[Symbol.dispose]();
    let first: string | undefined;
    let left = Infinity;
    for (const group of this.#limits.keys()) {
      const its = this.#leftOf(group);
      if (its < left) [first, left] = [group, its];
    }
    if (left === Infinity) return;
    this.#timer = this.#clock.after(left, () => {
      if (this.#driver.state.phase !== 'running') return;
      if (this.#leftOf(first) > 1) this.arm();
      else this.#driver.send(first === undefined ? { type: 'deadline' } : { type: 'deadline', group: first });
    });
  }

  /** Infinity where there is no limit, or where nothing runs that it is for. */
  #leftOf(group: string | undefined): number {
    const limit = this.#limits.get(group);
    const { state } = this.#driver;
    const at = group === undefined ? { startedMs: 0, left: 1 } : state.groups.get(group);
    if (limit === undefined || at?.startedMs === undefined || at.left === 0) return Infinity;
    const sinceLast = state.phase === 'running' ? Math.max(0, this.#driver.nowMs() - state.lastTsMs) : 0;
    return Math.max(1, limit - (state.activeMs - at.startedMs) - sinceLast);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }
}
