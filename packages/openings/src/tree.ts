/**
 * What both surfaces of the language yield: values that know where they stand.
 *
 * 1. A plain word means the same in both: YAML 1.2's core schema.
 * 2. Numbers are JSON's, integers exact: what a number cannot hold is an error, never another number.
 */
import { boolCoreTag, floatCoreTag, intCoreTag, NOT_RESOLVED, nullCoreTag } from 'js-yaml';
import type { JsonValue } from '@runloop/core';
import type { Diagnostics, Span } from './diagnostic.ts';

export type Tree = MapTree | ListTree | ScalarTree;
export type MapTree = { readonly kind: 'map'; readonly span: Span; readonly entries: readonly Entry[] };
export type ListTree = { readonly kind: 'list'; readonly span: Span; readonly items: readonly Tree[] };
export type Scalar = string | number | boolean | null;
export type ScalarTree = { readonly kind: 'scalar'; readonly span: Span; readonly value: Scalar };
/** What stands behind a `#`, for whoever writes the file anew. */
export type Comment = { readonly start: number; readonly text: string };
export type Entry = { readonly key: string; readonly keySpan: Span; readonly value: Tree };

/** What stands without quotes. */
export function plainScalar(source: string, span: Span, diagnostics: Diagnostics): ScalarTree {
  const value = resolvePlain(source);
  if (typeof value === 'number' && !isExact(value)) {
    const help = `for the text itself write "${source}"`;
    diagnostics.error(span, `${source} cannot be held exactly as a number`, help);
    return { kind: 'scalar', span, value: source };
  }
  return { kind: 'scalar', span, value };
}

function isExact(value: number): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

export function resolvePlain(source: string): Scalar {
  for (const tag of [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag]) {
    const value: unknown = tag.resolve(source, false, tag.tagName);
    if (value !== NOT_RESOLVED) return value as Scalar;
  }
  return source;
}

/** Takes the entries of one map as they come, and refuses the keys that no opening can have. */
export class Entries {
  readonly list: Entry[] = [];
  readonly #seen = new Set<string>();
  readonly #diagnostics: Diagnostics;

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics;
  }

  add(entry: Entry): void {
    const { key, keySpan } = entry;
    if (key === '<<') this.#diagnostics.error(keySpan, 'merge keys are not part of the language', 'write the keys out');
    else if (key === '__proto__')
      this.#diagnostics.error(keySpan, 'a key cannot be called __proto__', 'choose another name');
    else if (this.#seen.has(key))
      this.#diagnostics.error(keySpan, `the key "${key}" stands here twice`, 'keep one of the two');
    else {
      this.#seen.add(key);
      this.list.push(entry);
    }
  }
}

/** The plain value of a tree. */
export function toJson(tree: Tree): JsonValue {
  switch (tree.kind) {
    case 'scalar':
      return tree.value;
    case 'list':
      return tree.items.map(toJson);
    case 'map':
      // A null prototype would not be a plain object to canonical JSON.
      return Object.fromEntries(tree.entries.map((entry) => [entry.key, toJson(entry.value)]));
  }
  return tree satisfies never;
}
