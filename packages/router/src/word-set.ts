/**
 * A set of words written as text, made when it is first asked: a process that routes one line needs few of them.
 */
export type WordSet = { readonly has: (word: string) => boolean };

export function words(text: string): readonly string[] {
  return text
    .replaceAll('\n', ' ')
    .split(' ')
    .filter((word) => word !== '');
}

export function wordSet(text: string): WordSet {
  let set: ReadonlySet<string> | undefined;
  return { has: (word) => (set ??= new Set(words(text))).has(word) };
}
