/**
 * A row of a bench: one number, its floor or peer from the same run, and what it should reach.
 */
export type BenchRow = {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly floor?: number;
  readonly ratio?: number;
  /** `<= 1.5` or `>= 0.5`: of the ratio where there is one and the goal ends in `x`, of the value otherwise. */
  readonly goal?: string;
};

export const median = (values: readonly number[]): number => percentile(values, 0.5);

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
