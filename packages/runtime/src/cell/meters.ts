/**
 * What an instance has used: its fuel counters and its memories, found once.
 *
 * 1. Each counter starts at the whole allowance. Where cells are shared, the guest gets it in portions of one turn; what is
 *    left of a portion is put back when the guest waits for its host.
 */
import { fuelExport } from '../wasm/instrument.ts';

export type FuelState = 'left' | 'over_turn' | 'out';

type Counter = { readonly global: WebAssembly.Global; left: bigint; given: bigint };

export class Meters {
  readonly #counters: readonly Counter[];
  readonly #memories: ReadonlySet<WebAssembly.Memory>;
  readonly #allowance: bigint;
  readonly #turn: bigint;

  constructor(parts: readonly WebAssembly.Instance[], allowance: bigint, turn: bigint = allowance) {
    const exported = parts.flatMap((part) => Object.entries(part.exports));
    this.#memories = new Set(exported.map(([, value]) => value).filter((value) => value instanceof WebAssembly.Memory));
    this.#counters = exported.flatMap(([name, value]) =>
      name === fuelExport && value instanceof WebAssembly.Global
        ? [{ global: value, left: value.value as bigint, given: value.value as bigint }]
        : [],
    );
    this.#allowance = allowance;
    this.#turn = turn;
  }

  beginTurn(): void {
    for (const counter of this.#counters) {
      counter.given = counter.left < this.#turn ? counter.left : this.#turn;
      counter.global.value = counter.given;
    }
  }

  endTurn(): void {
    for (const counter of this.#counters) {
      counter.left -= counter.given - (counter.global.value as bigint);
      counter.given = counter.global.value as bigint;
    }
  }

  /** Units that were used by now. */
  get fuel(): number {
    return Number(
      this.#counters.reduce(
        (sum, { left, given, global }) => sum + this.#allowance - left + given - (global.value as bigint),
        0n,
      ),
    );
  }

  get state(): FuelState {
    const empty = this.#counters.find(({ global }) => (global.value as bigint) < 0n);
    if (empty === undefined) return 'left';
    return empty.left > empty.given ? 'over_turn' : 'out';
  }

  get memoryBytes(): number {
    let bytes = 0;
    for (const memory of this.#memories) bytes += memory.buffer.byteLength;
    return bytes;
  }
}
