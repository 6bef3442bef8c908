/**
 * The few largest of many scores, in a heap whose least one stands first: most of the many are turned away by one comparison.
 */
export class Best {
  readonly #max: number;
  readonly #heap: { readonly position: number; readonly score: number }[] = [];
  /** A score that is not larger changes nothing. */
  least: number;

  constructor(max: number, least: number) {
    this.#max = max;
    this.least = least;
  }

  add(position: number, score: number): void {
    const heap = this.#heap;
    if (heap.length < this.#max) {
      heap.push({ position, score });
      if (heap.length === this.#max) {
        heap.sort((a, b) => a.score - b.score);
        this.least = heap[0]?.score ?? this.least;
      }
      return;
    }
    let at = 0;
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
      const child = right !== undefined && left !== undefined && right.score < left.score ? right : left;
      if (child === undefined || child.score >= score) break;
      heap[at] = child;
      at = child === left ? 2 * at + 1 : 2 * at + 2;
    }
    heap[at] = { position, score };
    this.least = heap[0]?.score ?? this.least;
  }

  positions(): readonly number[] {
    return this.#heap.map(({ position }) => position);
  }
}
