/** A moment as people type it: a day, a day and a time (of this machine's zone where none is named), or how long ago. */
const units: { readonly [unit: string]: number } = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Milliseconds since 1970. A day alone is its end: what was known on it. */
export function parseTime(text: string, nowMs: number): number | undefined {
  const past = /^(\d{1,6})\s*([smhdw])(?:\s+ago)?$/.exec(text);
  if (past !== null) return nowMs - Number(past[1]) * (units[past[2] ?? ''] ?? 0);
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return checked(Date.parse(`${text}T23:59:59.999`));
  return /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(text) ? checked(Date.parse(text)) : undefined;
}

function checked(ms: number): number | undefined {
  return Number.isNaN(ms) || ms < 0 ? undefined : ms;
}
