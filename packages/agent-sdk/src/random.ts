/**
 * Fractions in [0, 1) from the run's seed: sfc32 over FNV-1a of the text. Not for keys.
 */
export function seededFractions(seed: string): () => number {
  let [a, b, c, d] = [0, 1, 2, 3].map((salt) => fnv1a(`${salt}:${seed}`)) as [number, number, number, number];
  const next = (): number => {
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i += 1) next();
  return () => next() / 2 ** 32;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}
