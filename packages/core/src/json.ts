/**
 * JSON values, and the one canonical text of each (RFC 8785, JCS).
 *
 * 1. Numbers are I-JSON: integers beyond ±(2^53 − 1), NaN and infinities are refused, never rounded.
 * 2. What a frame cannot carry (docs/protocol.md) has no canonical text: it is refused where it comes in, not where it is read.
 * 3. Equal values have equal canonical texts, whatever the order in which their keys were set.
 */
import canonicalize from 'canonicalize';
import { type Result, err, ok } from './result.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };

export type NotCanonical = { readonly type: 'NotCanonical'; readonly path: string; readonly why: string };

/** How deep a value may nest before it is refused: the same 64 as an RMP body. */
export const jsonDepthMax = 64;

/** The RFC 8785 text of `value`, or where and why it has none. `undefined` members are left out. */
export function canonicalJson(value: unknown): Result<string, NotCanonical> {
  const problem = findProblem(value, '$', 0);
  if (problem !== undefined) return err(problem);
  const text = canonicalize(value);
  if (text === undefined) return err({ type: 'NotCanonical', path: '$', why: 'there is no value' });
  return ok(text);
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

function findProblem(value: unknown, path: string, depth: number): NotCanonical | undefined {
  const refuse = (why: string): NotCanonical => ({ type: 'NotCanonical', path, why });
  if (depth > jsonDepthMax) return refuse(`nested deeper than ${jsonDepthMax}`);
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
      const problem = findProblem(value[i], `${path}[${i}]`, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return refuse('only plain objects are JSON');
  for (const [key, member] of Object.entries(value)) {
    if (!key.isWellFormed()) return refuse('a key holds a lone surrogate');
    if (key === '__proto__') return refuse('a key is called __proto__, which no frame can carry');
    const problem = findProblem(member, `${path}.${key}`, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
