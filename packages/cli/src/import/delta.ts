/**
 * What an import hands over: a delta with its place in the file, or why there is none.
 */
import { digestJson, type JsonObject } from '@runloop/core';

export type Delta = { readonly kind: string; readonly payload: JsonObject; readonly dedupe_key: string };
/** `place` is for people: `line 7`, `card 3`, a file's name. */
export type Read = { readonly place: string } & ({ readonly delta: Delta } | { readonly problem: string });

/** Bytes of one file. */
export const importBytesMax: number = 512 * 1024 * 1024 - 1024;

/** The text of a file in UTF-8, or in UTF-16 by its mark; nothing where it is neither: its letters would come in damaged. */
export function decoded(bytes: Uint8Array): string | undefined {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export const undecoded = 'it is neither UTF-8 nor UTF-16 text; save it as UTF-8';

/** Without a byte order mark, and with line ends of one kind. */
export function plainText(text: string): string {
  return text.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n');
}

/** The same content under the same kind is written once, however often it is imported. */
export function deltaOf(kind: string, payload: JsonObject): Delta {
  return { kind, payload, dedupe_key: `import/${digestJson({ kind, payload })}` };
}

/** Text as a member of an entity's name: letters and digits of any script, lower case. */
export function slugOf(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 80);
}

/** A person's entity: the name, and of the address so much that two of one name stay two. */
export function contactOf(name: string | undefined, email: string | undefined): string {
  const known = slugOf(name ?? '') || slugOf(email?.split('@')[0] ?? '');
  return email === undefined ? `contact:${known}` : `contact:${known}-${digestJson(email.toLowerCase()).slice(0, 6)}`;
}

/** A contact from what a file says of somebody; a problem where it says neither a name nor an address. */
export function contactDelta(place: string, members: { readonly [name: string]: string | undefined }): Read {
  const given = Object.entries(members).flatMap(([name, value]) => {
    const text = value?.trim() ?? '';
    return text === '' ? [] : [[name, text] as const];
  });
  const { name, email, ...rest } = Object.fromEntries(given);
  if (name === undefined && email === undefined) return { place, problem: 'it has neither a name nor an address' };
  const known = { ...(name === undefined ? {} : { name }), ...(email === undefined ? {} : { email }) };
  const payload = { contact: contactOf(name, email), ...known, ...rest, confidence: 1, trust: 'trusted' };
  return { place, delta: deltaOf('contact.upserted', payload) };
}
