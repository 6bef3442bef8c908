/**
 * Entries of the allowlist and the denylist: the first words of a line, `*` for any part of one.
 *
 * `git push --force` matches that line and whatever follows it; `rm *` any rm with an operand.
 */
export function matches(entry: string, line: string): boolean {
  const wanted = entry.trim().split(/\s+/);
  const words = line.trim().split(/\s+/, wanted.length);
  if (entry.trim() === '' || words.length < wanted.length) return false;
  return wanted.every((pattern, index) => glob(pattern, words[index] ?? ''));
}

function glob(pattern: string, word: string): boolean {
  const [head = '', ...parts] = pattern.split('*');
  if (parts.length === 0) return word === pattern;
  if (!word.startsWith(head)) return false;
  let at = head.length;
  const tail = parts.pop() ?? '';
  for (const part of parts) {
    const found = word.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return word.length - tail.length >= at && word.endsWith(tail);
}
