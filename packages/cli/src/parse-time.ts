/** A moment as people type it: how long ago, a day, or a day and a time. */
import { err, failure, type Failure, ok, type Result } from '@runloop/core';

const units: { readonly [unit: string]: number } = { m: 60, h: 3600, d: 86_400, w: 604_800 };
const dayMs = 86_400_000;

/** The time that `7d` or a date means: of a day, its beginning (UTC). */
export function sinceOf(given: string | undefined, nowMs: number, option = '--since'): Result<number, Failure> {
  if (given === undefined) return ok(0);
  const [, count, unit] = /^(\d{1,6})([mhdw])$/.exec(given) ?? [];
  if (count !== undefined) return ok(Math.max(0, nowMs - Number(count) * (units[unit ?? ''] ?? 0) * 1000));
  const date = isDay(given.slice(0, 10)) ? Date.parse(given) : NaN;
  if (Number.isFinite(date)) return ok(Math.max(0, date));
  return err(
    failure('Usage', `${option} ${given}: neither a span of time nor a date`, {
      hint: 'for example: 24h, 7d, 2026-11-01',
    }),
  );
}

/** The same, of a day its end: what was known on it. */
export function asOfTime(given: string, nowMs: number, option: string): Result<number, Failure> {
  const at = sinceOf(given, nowMs, option);
  return at.ok && /^\d{4}-\d\d-\d\d$/.test(given) ? ok(at.value + dayMs - 1) : at;
}

/** The 31st of February is none, though it can be parsed. */
function isDay(day: string): boolean {
  const at = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(day) : NaN;
  return Number.isFinite(at) && new Date(at).toISOString().startsWith(day);
}
