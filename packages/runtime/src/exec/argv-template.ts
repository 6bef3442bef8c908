/**
 * Templates of command lines: literal arguments, and placeholders that take one whole argument each.
 *
 * 1. `{name}`, `{name:int}`, `{name:word}` and `{name:path}`: never empty, never beginning with `-`, no control character.
 *    An option can therefore only be one that the template spells out.
 * 2. A placeholder inside a longer argument (`--file={path}`) is an error of the template, not a literal that never matches.
 * 3. Among the further arguments (`more`) alone one may follow the option that it belongs to: `--since={text}`, `-n{n:int}`.
 */

/** Commands that one line of policy.caps grants. */
export type ExecGrant = {
  readonly command: string;
  readonly argv: readonly string[];
  /** What each further argument may be. */
  readonly more?: readonly string[];
  /** It runs where it can only read, so nobody is asked. */
  readonly reads?: true;
};

const placeholder = /^\{[a-z][a-z0-9_]*(?::(int|word|path))?\}$/;
const embedded = /\{[a-z][a-z0-9_]*(?::[^{}]*)?\}/;

/** Why it is no template, if it is none. */
export function templateFault(part: string): string | undefined {
  if (!embedded.test(part) || placeholder.test(part)) return undefined;
  return `"${part}": a placeholder is one whole argument: {name}, {name:int}, {name:word} or {name:path}`;
}

const glued = /^(--?[A-Za-z0-9][A-Za-z0-9-]*=?|-)(\{[a-z][a-z0-9_]*(?::(?:int|word|path))?\})$/;

/** The same of one of `more`. */
export function moreFault(part: string): string | undefined {
  return glued.test(part) ? undefined : templateFault(part);
}

/** Whether `actual` may be one of the further arguments, of which `part` is one. */
export function fitsMore(part: string, actual: string): boolean {
  const [, option = '', value = part] = glued.exec(part) ?? [];
  return actual.startsWith(option) && fits(value, actual.slice(option.length));
}

/** The name of a placeholder; undefined for a literal. */
export function placeholderName(part: string): string | undefined {
  return placeholder.test(part) ? part.slice(1, -1).split(':')[0] : undefined;
}

/** Whether `actual` may stand where the template says `part`. */
export function fits(part: string, actual: string): boolean {
  const found = placeholder.exec(part);
  if (found === null) return part === actual;
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (actual === '' || actual.startsWith('-') || /[\u0000-\u001f\u007f]/.test(actual)) return false;
  switch (found[1]) {
    case 'int':
      return /^\d{1,15}$/.test(actual);
    case 'word':
      return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(actual);
    case 'path':
      return !actual.split('/').includes('..') && !/^[^/]*:/.test(actual);
    default:
      return true;
  }
}
