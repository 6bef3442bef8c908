/**
 * JSON values, and the one canonical text of each (RFC 8785, JCS).
 *
 * 1. Numbers are I-JSON: integers beyond ±(2^53 − 1), NaN and infinities are refused, never rounded.
 * 2. What a frame cannot carry (docs/protocol.md) has no canonical text: it is refused where it comes in, not where it is read.
 * 3. Equal values have equal canonical texts, whatever the order in which their keys were set.
 * 4. One walk writes the text; only a value that has none is walked again, to say where and why.
 */
import { jsonNameCharsMax, jsonNamesMax } from './limits.ts';
import { type Result, err, ok } from './result.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };

export type NotCanonical = { readonly type: 'NotCanonical'; readonly path: string; readonly why: string };

/** How deep a value may nest before it is refused: the same 64 as an RMP body. */
export const jsonDepthMax = 64;

/** What an event has around a value that stands in it, at most: so many levels less may that value have. */
export const eventLevelsMax = 8;

/**
 * The RFC 8785 text of `value`, or where and why it has none. `undefined` members are left out. `around` are the levels
 * that there will be around it.
 */
export function canonicalJson(value: unknown, around = 0): Result<string, NotCanonical> {
  const text = write(value, around);
  if (text !== undefined) return ok(text);
  const problem = findProblem(value, '$', 0, jsonDepthMax - around);
  return err(problem ?? { type: 'NotCanonical', path: '$', why: 'there is no value' });
}

/** Without halves of characters, which no canonical text holds: a text that was cut may end in one. */
export function wellFormed<T extends JsonValue>(value: T): T;
export function wellFormed(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value !== 'object' || value === null) return value;
  const before = Object.entries(value);
  const after = before.map(([key, item]) => [key.toWellFormed(), wellFormed(item)] as const);
  if (after.every(([key, item], at) => key === before[at]?.[0] && item === before[at]?.[1])) return value;
  return Array.isArray(value) ? after.map(([, item]) => item) : Object.fromEntries(after);
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Parses JSON text without throwing; the error is the parser's own sentence. */
export function parseJson(text: string): Result<JsonValue, string> {
  try {
    return ok(JSON.parse(text) as JsonValue);
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
}

/** Printable ASCII but for the quote and the backslash: what stands in JSON as it is. */
const plainText = /^[ !#-[\]-~]*$/;
/** Below this, putting one key after another in its place is faster than sorting them. */
const insertionKeysMax = 24;

/** The canonical text, or undefined where `findProblem` finds a problem or there is no value. */
function write(value: unknown, depth: number): string | undefined {
  if (depth > jsonDepthMax) return undefined;
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'number':
      // ECMAScript writes numbers as RFC 8785 demands; -0 becomes 0.
      return Number.isFinite(value) && (Number.isSafeInteger(value) || !Number.isInteger(value))
        ? `${value}`
        : undefined;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      break;
    default:
      return undefined;
  }
  if (value === null) return 'null';
  return Array.isArray(value)
    ? writeList(value, depth + 1)
    : writeObject(value as { readonly [key: string]: unknown }, depth + 1);
}

function quote(text: string): string | undefined {
  if (plainText.test(text)) return `"${text}"`;
  return text.isWellFormed() ? JSON.stringify(text) : undefined;
}

function writeList(list: readonly unknown[], depth: number): string | undefined {
  let text = '[';
  for (let i = 0; i < list.length; i += 1) {
    const item = write(list[i], depth);
    if (item === undefined) return undefined;
    text += i === 0 ? item : `,${item}`;
  }
  return `${text}]`;
}

function writeObject(value: { readonly [key: string]: unknown }, depth: number): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  let text = '{';
  let isFirst = true;
  for (const key of sortKeys(Object.keys(value))) {
    const member = value[key];
    const name = names.get(key) ?? nameOf(key);
    if (name === undefined) return undefined;
    if (member === undefined) {
      // Left out; but its depth counts, as that of a member that is there.
      if (depth > jsonDepthMax) return undefined;
      continue;
    }
    const item = write(member, depth);
    if (item === undefined) return undefined;
    if (!isFirst) text += ',';
    text += name + item;
    isFirst = false;
  }
  return `${text}}`;
}

/** Keys as they were written, for the same few come again and again: at most `jsonNamesMax`, each short. */
const names = new Map<string, string>();

/** `key` with its quotes and colon. */
function nameOf(key: string): string | undefined {
  if (key === '__proto__') return undefined;
  const quoted = quote(key);
  if (quoted === undefined) return undefined;
  const name = `${quoted}:`;
  if (key.length <= jsonNameCharsMax && names.size < jsonNamesMax) names.set(key, name);
  return name;
}

/** In the order of UTF-16 code units, in place. */
function sortKeys(keys: string[]): string[] {
  if (keys.length > insertionKeysMax) return keys.sort();
  for (let i = 1; i < keys.length; i += 1) {
    const key = keys[i] ?? '';
    let at = i;
    for (let before = keys[at - 1]; at > 0 && before !== undefined && before > key; before = keys[at - 1]) {
      keys[at] = before;
      at -= 1;
    }
    keys[at] = key;
  }
  return keys;
}

function findProblem(value: unknown, path: string, depth: number, most: number): NotCanonical | undefined {
  const refuse = (why: string): NotCanonical => ({ type: 'NotCanonical', path, why });
  if (depth > most) return refuse(`nested deeper than ${most}`);
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? undefined : refuse('the string holds a lone surrogate');
    case 'boolean':
    case 'undefined':
      return undefined;
    case 'number':
      if (!Number.isFinite(value)) return refuse(`${value} is not a JSON number`);
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        return refuse('an integer beyond 2^53 - 1 must travel as a string');
      }
      return undefined;
    case 'bigint':
      return refuse('a BigInt must travel as a string');
    case 'object':
      break;
    default:
      return refuse(`a ${typeof value} is not JSON`);
  }
  if (value === null) return undefined;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i += 1) {
      if (value[i] === undefined) return { type: 'NotCanonical', path: `${path}[${i}]`, why: 'undefined in a list' };
      const problem = findProblem(value[i], `${path}[${i}]`, depth + 1, most);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return refuse('only plain objects are JSON');
  for (const [key, member] of Object.entries(value)) {
    if (!key.isWellFormed()) return refuse('a key holds a lone surrogate');
    if (key === '__proto__') return refuse('a key is called __proto__, which no frame can carry');
    const problem = findProblem(member, `${path}.${key}`, depth + 1, most);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
