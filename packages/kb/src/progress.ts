/**
 * How far long work has come, in memory that threads share: whoever shows it need not ask the thread that is busy.
 */
export type ProgressShown = { readonly what: string; readonly done: number; readonly total: number };

/** Two 32-bit counts: done and total. */
export type ProgressCounts = Int32Array;

export interface Progress {
  readonly counts: ProgressCounts;
  /** What is under way, or nothing. */
  shown(): ProgressShown | undefined;
  /** Says that this is under way until the result is there. */
  during<T>(what: string, work: () => Promise<T>): Promise<T>;
}

export function createProgress(): Progress {
  const counts: ProgressCounts = new Int32Array(new SharedArrayBuffer(8));
  let what: string | undefined;
  return {
    counts,
    shown: () =>
      what === undefined ? undefined : { what, done: Atomics.load(counts, 0), total: Atomics.load(counts, 1) },
    async during(named, work) {
      tell(counts, 0, 0);
      what = named;
      try {
        return await work();
      } finally {
        what = undefined;
      }
    },
  };
}

export function tell(counts: ProgressCounts | undefined, done: number, total?: number): void {
  if (counts === undefined) return;
  Atomics.store(counts, 0, done);
  if (total !== undefined) Atomics.store(counts, 1, total);
}
