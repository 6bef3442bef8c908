/**
 * Makes text from outside safe to show on a terminal.
 *
 * 1. The result holds no C0, C1 or DEL character but newline (and that only where asked for).
 * 2. Bidirectional and zero-width characters are written out as \u{…}, so that what is shown is what is there.
 */
// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const hidden =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\u{e0000}-\u{e007f}]/gu;

/** One line: newlines and tabs are escaped too. */
export function showLine(text: string): string {
  return text.replace(hidden, escapeOne);
}

/** Several lines: newlines stay, tabs become two spaces. */
export function showText(text: string): string {
  return text.replace(hidden, (char) => (char === '\n' ? '\n' : char === '\t' ? '  ' : escapeOne(char)));
}

/** JSON text as it may go to a terminal: what is hidden is written as \uXXXX, which means the same to every reader. */
export function showJson(json: string): string {
  return json.replace(hidden, (char) =>
    char === '\n'
      ? char
      : [...Array(char.length).keys()].map((i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  );
}

function escapeOne(char: string): string {
  if (char === '\n') return '\\n';
  if (char === '\t') return '\\t';
  if (char === '\r') return '\\r';
  return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
}

/** The candidate nearest to `word` by edit distance, if it is near enough to be what was meant. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate, bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitute = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitute, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? limit;
}
