/**
 * What two lists of grants have in common, for each kind of grant: the part of `narrow` that knows patterns.
 *
 * 1. The result never covers what either list does not cover, as kernel/grants.ts judges it.
 * 2. Where an exact answer would need a pattern that the grammar has not, the result is smaller, never larger.
 */
import type { ExecGrant } from '../exec/argv-template.ts';

/** Glob of `*` alone, in time linear in both texts for one star. */
export function matches(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  const first = parts[0] ?? '';
  if (parts.length === 1) return pattern === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  const last = parts.at(-1) ?? '';
  return text.length - at >= last.length && text.endsWith(last);
}

/** Every pair's intersection, without those that another one covers. */
function pairs<T>(
  a: readonly T[],
  b: readonly T[],
  meet: (x: T, y: T) => readonly T[],
  covers: (x: T, y: T) => boolean,
): readonly T[] {
  const found = a.flatMap((x) => b.flatMap((y) => meet(x, y)));
  return found.filter(
    (one, at) => !found.some((other, i) => i !== at && covers(other, one) && (i < at || !covers(one, other))),
  );
}

export function commonTexts(a: readonly string[], b: readonly string[]): readonly string[] {
  return a.filter((item) => b.includes(item));
}

/** Globs of `*`. A glob covers another one when it matches its text: its stars then take the other's stars whole. */
export function commonGlobs(a: readonly string[], b: readonly string[]): readonly string[] {
  return pairs(a, b, globsMeet, matches);
}

function globsMeet(x: string, y: string): readonly string[] {
  if (matches(x, y)) return [y];
  if (matches(y, x)) return [x];
  const [head, tail] = endsOf(x, y) ?? endsOf(y, x) ?? [];
  if (head === undefined || tail === undefined) return [];
  // `ab*` and `*bc` meet in `ab*bc`, and in `abc`, where the two overlap.
  const overlaps: string[] = [];
  for (let shared = 1; shared <= Math.min(head.length, tail.length); shared += 1)
    if (head.endsWith(tail.slice(0, shared))) overlaps.push(head + tail.slice(shared));
  return [`${head}*${tail}`, ...overlaps];
}

/** `head*` and `*tail`, each with its one star at the end and at the beginning. */
function endsOf(x: string, y: string): readonly [string, string] | undefined {
  const head = x.endsWith('*') ? x.slice(0, -1) : undefined;
  const tail = y.startsWith('*') ? y.slice(1) : undefined;
  return head === undefined || tail === undefined || `${head}${tail}`.includes('*') ? undefined : [head, tail];
}

/** Hosts: a text, or `*.` and a suffix. */
export function commonHosts(a: readonly string[], b: readonly string[]): readonly string[] {
  return pairs(a, b, (x, y) => (hostCovers(x, y) ? [y] : hostCovers(y, x) ? [x] : []), hostCovers);
}

function hostCovers(x: string, y: string): boolean {
  if (x === y) return true;
  return x.startsWith('*.') && y.endsWith(x.slice(1)) && !y.includes('/');
}

/** Argument by argument: a placeholder gives way to what may fill it. Reading unasked and being asked have nothing in common. */
export function commonExec(a: readonly ExecGrant[], b: readonly ExecGrant[]): readonly ExecGrant[] {
  const same = (x: ExecGrant, y: ExecGrant): boolean => JSON.stringify(x) === JSON.stringify(y);
  return pairs(a, b, execMeet, same);
}

function execMeet(x: ExecGrant, y: ExecGrant): readonly ExecGrant[] {
  if (x.command !== y.command || x.argv.length !== y.argv.length || x.reads !== y.reads) return [];
  const argv: string[] = [];
  for (const [i, mine] of x.argv.entries()) {
    const other = y.argv[i] ?? '';
    if (mine === other) argv.push(mine);
    else if (fills(mine, other)) argv.push(mine);
    else if (fills(other, mine)) argv.push(other);
    else return [];
  }
  const more = commonTexts(x.more ?? [], y.more ?? []);
  return [{ command: x.command, argv, ...(more.length === 0 ? {} : { more }), ...(x.reads ? { reads: true } : {}) }];
}

/** A placeholder takes each text that is neither empty nor an option; another placeholder is such a text. */
function fills(text: string, template: string): boolean {
  return /^\{[a-z][a-z0-9_]*\}$/.test(template) && text !== '' && !text.startsWith('-');
}
