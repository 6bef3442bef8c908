/**
 * Reads a positioned tree into typed values, one field at a time, and says at the exact place what does not fit.
 *
 * A reader returns `undefined` where the field is absent or wrong; wrong has been reported.
 */
import { nearest } from '@runloop/core';
import type { Diagnostics, Span } from './diagnostic.ts';
import type { Entry, ListTree, MapTree, ScalarTree, Tree } from './tree.ts';

export class Shape {
  readonly #diagnostics: Diagnostics;

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics;
  }

  /** The tree as a map whose keys are all known; unknown ones are errors that name the nearest. */
  map(tree: Tree, what: string, known: readonly string[]): MapTree | undefined {
    const map = this.anyMap(tree, what);
    for (const entry of map?.entries ?? []) {
      if (known.includes(entry.key)) continue;
      const near = nearest(entry.key, known);
      const help = near === undefined ? `known here: ${known.join(', ')}` : `did you mean "${near}"?`;
      this.#diagnostics.error(entry.keySpan, `unknown key "${entry.key}" in ${what}`, help);
    }
    return map;
  }

  anyMap(tree: Tree, what: string): MapTree | undefined {
    if (tree.kind === 'map') return tree;
    this.#diagnostics.error(tree.span, `${what} must be a map, this is ${describe(tree)}`);
    return undefined;
  }

  list(tree: Tree, what: string): ListTree | undefined {
    if (tree.kind === 'list') return tree;
    this.#diagnostics.error(tree.span, `${what} must be a list, this is ${describe(tree)}`);
    return undefined;
  }

  string(tree: Tree, what: string): string | undefined {
    if (tree.kind === 'scalar' && typeof tree.value === 'string') return tree.value;
    const help = tree.kind === 'scalar' && tree.value !== null ? `put it in quotes: "${tree.value}"` : undefined;
    this.#diagnostics.error(tree.span, `${what} must be a string, this is ${describe(tree)}`, help);
    return undefined;
  }

  boolean(tree: Tree, what: string): boolean | undefined {
    if (tree.kind === 'scalar' && typeof tree.value === 'boolean') return tree.value;
    this.#diagnostics.error(tree.span, `${what} must be true or false, this is ${describe(tree)}`);
    return undefined;
  }

  number(tree: Tree, what: string, range: { min: number; max: number; integer: boolean }): number | undefined {
    const value = tree.kind === 'scalar' ? tree.value : undefined;
    const kind = range.integer ? 'a whole number' : 'a number';
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.#diagnostics.error(tree.span, `${what} must be ${kind}, this is ${describe(tree)}`);
      return undefined;
    }
    if (range.integer && !Number.isSafeInteger(value)) {
      this.#diagnostics.error(tree.span, `${what} must be ${kind}, this is ${value}`);
      return undefined;
    }
    if (value < range.min || value > range.max) {
      const bound = value < range.min ? `must not be less than ${range.min}` : `must not be more than ${range.max}`;
      this.#diagnostics.error(tree.span, `${what} ${bound}, this is ${value}`);
      return undefined;
    }
    return value;
  }

  strings(tree: Tree, what: string): readonly { value: string; span: Span }[] {
    return (this.list(tree, what)?.items ?? []).flatMap((item) => {
      const value = this.string(item, `each of ${what}`);
      return value === undefined ? [] : [{ value, span: item.span }];
    });
  }
}

export function entryOf(map: MapTree, key: string): Entry | undefined {
  return map.entries.find((entry) => entry.key === key);
}

function describe(tree: Tree): string {
  switch (tree.kind) {
    case 'map':
      return 'a map';
    case 'list':
      return 'a list';
    case 'scalar':
      return describeScalar(tree);
  }
  return tree satisfies never;
}

function describeScalar({ value }: ScalarTree): string {
  if (value === null) return 'empty';
  return typeof value === 'string' ? `the string "${value.slice(0, 40)}"` : `the ${typeof value} ${value}`;
}
