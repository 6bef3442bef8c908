/**
 * `hash-ngram-384`: a text as 384 numbers, from nothing but its letters. No model, no network, the same everywhere.
 *
 * 1. Each word, without accents and endings, and its 3-, 4- and 5-grams are hashed to a place and a sign; the sum has length 1.
 * 2. It finds names that are spelled differently and words in other forms. It knows no synonyms and no frequencies.
 */
export const hashNgramId = 'hash-ngram-384';
export const hashNgramDimension = 384;

/** How much of a word's weight its n-grams carry beside the word itself. */
const ngramShare = 0.5;
/** Words that say little; they count a tenth. */
const little: ReadonlySet<string> = new Set(
  `a about am an and any are as at be been but by can did do does for from had has have he her him his how i if in is it its
   me my no not of on one or our she so than that the their them then there they this to up us was we were what when where
   which who why will with would you your`.split(/\s+/),
);
const endings = /(?:ings?|edly|ed|ies|es|s|ly)$/;

/** Writes the vector of `text` to `out`, which has 384 places. */
export function hashNgrams(text: string, out: Float32Array): void {
  out.fill(0);
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  for (const [word, count] of counts) addWord(out, word, weightOf(word) * (1 + Math.log(count)));
  let square = 0;
  for (const value of out) square += value * value;
  if (square === 0) return;
  const length = Math.sqrt(square);
  for (let i = 0; i < out.length; i += 1) out[i] = (out[i] ?? 0) / length;
}

/** Words in small letters without accents. */
export function wordsOf(text: string): readonly string[] {
  const folded = /^[\0-\x7f]*$/.test(text) ? text : text.normalize('NFKD').replace(/\p{M}/gu, '');
  return folded.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function weightOf(word: string): number {
  if (little.has(word)) return 0.1;
  return word.length < 3 ? 0.5 : 1;
}

function addWord(out: Float32Array, word: string, weight: number): void {
  const stem = word.length > 4 ? word.replace(endings, '') : word;
  const own = weight * Math.sqrt(1 - ngramShare);
  add(out, hashOf(stem, 0, stem.length, 0x811c9dc5), own);
  const framed = `<${word}>`;
  const grams = 3 * framed.length - 9 > 0 ? 3 * framed.length - 9 : 1;
  const each = weight * Math.sqrt(ngramShare / grams);
  for (let size = 3; size <= 5; size += 1) {
    for (let at = 0; at + size <= framed.length; at += 1) add(out, hashOf(framed, at, at + size, size), each);
  }
}

function add(out: Float32Array, hash: number, weight: number): void {
  const at = (hash >>> 1) % hashNgramDimension;
  out[at] = (out[at] ?? 0) + ((hash & 1) === 0 ? weight : -weight);
}

/** FNV-1a over the letters, and a last stir. */
function hashOf(text: string, from: number, to: number, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = from; i < to; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
