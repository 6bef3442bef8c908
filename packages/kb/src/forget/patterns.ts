/**
 * Whether a text holds one of many patterns. One pass over the text, however many patterns there are: an entity with
 * thousands of notes has as many.
 *
 * 1. A pattern of digits alone is found as a whole number only: `1234567` is not in `12345678`.
 * 2. Patterns have five characters or more.
 */

const headChars = 5;
const slots = 0x1_0000;
const base = 31;
const baseOfFirst = base ** headChars;

export function holdsAny(patterns: Iterable<string>): (text: string) => boolean {
  const all = [...patterns];
  const numbers = new Set(all.filter((pattern) => /^\d+$/.test(pattern)));
  const sorted = withoutPrefixes(all.filter((pattern) => !numbers.has(pattern)).sort());
  const longest = sorted.reduce((most, { length }) => Math.max(most, length), 0);
  const heads = new Uint8Array(slots);
  for (const pattern of sorted) heads[slotOf(pattern)] = 1;
  const begins = (text: string, at: number): boolean => {
    const found = lastUpTo(sorted, text.slice(at, at + longest));
    return found !== undefined && text.startsWith(found, at);
  };
  return (text) => {
    if (numbers.size > 0 && text.match(/\d+/g)?.some((number) => numbers.has(number)) === true) return true;
    if (sorted.length === 0 || text.length < headChars) return false;
    let slot = slotOf(text);
    for (let at = 0; ; at += 1) {
      if (heads[slot] === 1 && begins(text, at)) return true;
      const next = at + headChars;
      if (next >= text.length) return false;
      slot = (slot * base + text.charCodeAt(next) - text.charCodeAt(at) * baseOfFirst) & (slots - 1);
    }
  };
}

/** What begins with another pattern need not be looked for. Of what is left, only the last up to a text can begin it. */
function withoutPrefixes(sorted: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (const pattern of sorted) {
    if (pattern.length < headChars) throw new Error(`assumed ${headChars} characters or more`);
    const last = kept.at(-1);
    if (last === undefined || !pattern.startsWith(last)) kept.push(pattern);
  }
  return kept;
}

function lastUpTo(sorted: readonly string[], text: string): string | undefined {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') <= text) low = middle + 1;
    else high = middle;
  }
  return sorted[low - 1];
}

function slotOf(text: string): number {
  let slot = 0;
  for (let i = 0; i < headChars; i += 1) slot = (slot * base + text.charCodeAt(i)) & (slots - 1);
  return slot;
}
