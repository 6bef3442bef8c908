/**
 * Numbers of many documents side by side in typed arrays, and names as numbers: a tenth of what as many objects would take.
 */
/** Names as small numbers. */
export class Names {
  readonly #codes = new Map<string, number>();

  codeOf(name: string): number {
    const known = this.#codes.get(name);
    if (known !== undefined) return known;
    this.#codes.set(name, this.#codes.size);
    return this.#codes.size - 1;
  }

  codesOf(pick: (name: string) => boolean): ReadonlySet<number> {
    return new Set([...this.#codes].filter(([name]) => pick(name)).map(([, code]) => code));
  }
}

type Numbers = Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** A typed array that grows. */
export class Column<T extends Numbers> {
  readonly #make: new (length: number) => T;
  values: T;
  length = 0;

  constructor(make: new (length: number) => T) {
    this.#make = make;
    this.values = new make(256);
  }

  push(value: number): number {
    if (this.length === this.values.length) {
      const larger = new this.#make(Math.ceil(this.length * 1.5));
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length] = value;
    this.length += 1;
    return this.length - 1;
  }

  at(index: number): number {
    return this.values[index] ?? Number.NaN;
  }

  set(index: number, value: number): void {
    this.values[index] = value;
  }

  /** Position of a value in a column that only rises. */
  search(value: number): number | undefined {
    let [low, high] = [0, this.length - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const here = this.at(middle);
      if (here === value) return middle;
      if (here < value) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }
}
