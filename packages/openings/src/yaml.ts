/**
 * YAML text as a tree in which each value knows where it stands.
 *
 * 1. The syntax is js-yaml's; only its parser events are used, so each node keeps its source span.
 * 2. One document, no anchors, aliases, tags or merge keys: an opening says what it means where it says it.
 *    That also makes a "billion laughs" file impossible by construction.
 * 3. A key twice in one map is an error at the second.
 */
import {
  boolCoreTag,
  EVENT_ID,
  type Event,
  floatCoreTag,
  getScalarValue,
  intCoreTag,
  NOT_RESOLVED,
  nullCoreTag,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import { type JsonValue } from '@runloop/core';
import type { Diagnostics, Span } from './diagnostic.ts';
import { yamlDepthMax } from './limits.ts';

export type Tree = MapTree | ListTree | ScalarTree;
export type MapTree = { readonly kind: 'map'; readonly span: Span; readonly entries: readonly Entry[] };
export type ListTree = { readonly kind: 'list'; readonly span: Span; readonly items: readonly Tree[] };
export type ScalarTree = {
  readonly kind: 'scalar';
  readonly span: Span;
  readonly value: string | number | boolean | null;
};
export type Entry = { readonly key: string; readonly keySpan: Span; readonly value: Tree };

/** The tree of the text, or nothing when it could not be read; what is wrong stands in `diagnostics`. */
export function parseYaml(text: string, diagnostics: Diagnostics): Tree | undefined {
  let events: Event[];
  try {
    events = parseEvents(text, { maxDepth: yamlDepthMax });
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const at = Math.min(error.mark?.position ?? text.length, text.length);
    diagnostics.error({ start: at, end: at + 1 }, `this is not YAML: ${error.reason}`);
    return undefined;
  }
  return new Builder(text, events, diagnostics).document();
}

class Builder {
  readonly #text: string;
  readonly #events: readonly Event[];
  readonly #diagnostics: Diagnostics;
  #at = 0;

  constructor(text: string, events: readonly Event[], diagnostics: Diagnostics) {
    this.#text = text;
    this.#events = events;
    this.#diagnostics = diagnostics;
  }

  document(): Tree | undefined {
    const documents = this.#events.filter((event) => event.type === EVENT_ID.DOCUMENT).length;
    if (documents > 1)
      this.#diagnostics.error({ start: 0, end: 1 }, 'an opening is one YAML document, this file holds several');
    const first = this.#events[0];
    this.#at = 1;
    const next = this.#events[1];
    if (first === undefined || next === undefined || next.type === EVENT_ID.POP) return undefined;
    return this.#node();
  }

  #node(): Tree {
    const event = this.#events[this.#at];
    this.#at += 1;
    if (event === undefined) return { kind: 'scalar', span: { start: 0, end: 0 }, value: null };
    switch (event.type) {
      case EVENT_ID.SCALAR:
        this.#refuseProperties(event);
        return this.#scalar(event);
      case EVENT_ID.MAPPING:
        this.#refuseProperties(event);
        return this.#map(event.start);
      case EVENT_ID.SEQUENCE:
        this.#refuseProperties(event);
        return this.#list(event.start);
      case EVENT_ID.ALIAS: {
        const span = { start: event.anchorStart, end: event.anchorEnd };
        this.#diagnostics.error(
          span,
          'aliases are not part of the language',
          'write the value out, or use a parameter',
        );
        return { kind: 'scalar', span, value: null };
      }
      default:
        return { kind: 'scalar', span: { start: 0, end: 0 }, value: null };
    }
  }

  #map(start: number): MapTree {
    const entries: Entry[] = [];
    const seen = new Set<string>();
    while (!this.#atPop()) {
      const keyTree = this.#node();
      const value = this.#node();
      if (keyTree.kind !== 'scalar' || typeof keyTree.value === 'object') {
        this.#diagnostics.error(keyTree.span, 'a key must be a plain word');
        continue;
      }
      const key = String(keyTree.value);
      if (key === '<<') {
        this.#diagnostics.error(keyTree.span, 'merge keys are not part of the language', 'write the keys out');
        continue;
      }
      if (key === '__proto__') {
        this.#diagnostics.error(keyTree.span, 'a key cannot be called __proto__', 'choose another name');
        continue;
      }
      if (seen.has(key)) {
        this.#diagnostics.error(keyTree.span, `the key "${key}" stands here twice`, 'keep one of the two');
        continue;
      }
      seen.add(key);
      entries.push({ key, keySpan: keyTree.span, value });
    }
    this.#at += 1;
    const last = entries.at(-1);
    return { kind: 'map', span: { start, end: last?.value.span.end ?? start + 1 }, entries };
  }

  #list(start: number): ListTree {
    const items: Tree[] = [];
    while (!this.#atPop()) items.push(this.#node());
    this.#at += 1;
    return { kind: 'list', span: { start, end: items.at(-1)?.span.end ?? start + 1 }, items };
  }

  #scalar(event: ScalarEvent): ScalarTree {
    const span = { start: Math.max(0, event.valueStart), end: Math.max(0, event.valueEnd) };
    const source = getScalarValue(this.#text, event);
    if (event.style !== SCALAR_STYLE.PLAIN) return { kind: 'scalar', span, value: source };
    return { kind: 'scalar', span, value: resolvePlain(source) };
  }

  #atPop(): boolean {
    const event = this.#events[this.#at];
    return event === undefined || event.type === EVENT_ID.POP;
  }

  #refuseProperties(event: { anchorStart: number; anchorEnd: number; tagStart: number; tagEnd: number }): void {
    if (event.anchorStart >= 0) {
      const span = { start: event.anchorStart, end: event.anchorEnd };
      this.#diagnostics.error(span, 'anchors are not part of the language', 'write the value out, or use a parameter');
    }
    if (event.tagStart >= 0) {
      this.#diagnostics.error(
        { start: event.tagStart, end: event.tagEnd },
        'tags are not part of the language',
        'remove it',
      );
    }
  }
}

/** A plain scalar by YAML 1.2's core schema. */
function resolvePlain(source: string): ScalarTree['value'] {
  for (const tag of [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag]) {
    const value: unknown = tag.resolve(source, false, tag.tagName);
    if (value !== NOT_RESOLVED) return value as ScalarTree['value'];
  }
  return source;
}

/** The plain value of a tree. */
export function toJson(tree: Tree): JsonValue {
  switch (tree.kind) {
    case 'scalar':
      return tree.value;
    case 'list':
      return tree.items.map(toJson);
    case 'map':
      // A null prototype would not be a plain object to canonical JSON; `__proto__` is set as an own key.
      return Object.fromEntries(tree.entries.map((entry) => [entry.key, toJson(entry.value)]));
  }
  return tree satisfies never;
}
