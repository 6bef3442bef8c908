/**
 * What a model says while it says it: passed on to whoever looks, kept by nobody.
 *
 * 1. Whole words only: a secret that comes in two pieces is scrubbed like one that comes in one.
 * 2. Bounded: of one call the first part is passed on; the answer itself stands on the ledger, whole.
 */

/** Of one call, and of one word that does not end. */
export const deltaCharsMax: number = 256 * 1024;
export const wordCharsMax: number = 32 * 1024;

export type Deltas = { readonly push: (text: string) => void; readonly end: () => void };

export function createDeltas(scrub: (text: string) => string, say: (text: string) => void): Deltas {
  let held = '';
  let left = deltaCharsMax;
  const tell = (text: string): void => {
    if (text !== '') say(scrub(text));
  };
  return {
    push(text) {
      const taken = text.slice(0, left);
      left -= taken.length;
      held += taken;
      const end = held.search(/\s\S*$/) + 1;
      if (end === 0 && held.length <= wordCharsMax) return;
      // A word of that length is shown to nobody.
      tell(end === 0 ? '…' : held.slice(0, end));
      held = held.slice(end === 0 ? held.length : end);
    },
    end: () => tell(held),
  };
}
