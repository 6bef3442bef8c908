/**
 * YAML text as a tree in which each value knows where it stands.
 *
 * 1. The syntax is js-yaml's; only its parser events are used, so each node keeps its source span.
 * 2. One document, no anchors, aliases, tags or merge keys: an opening says what it means where it says it.
 *    That also makes a "billion laughs" file impossible by construction.
 * 3. A key twice in one map is an error at the second.
 */
import {
  EVENT_ID,
  type Event,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import type { Diagnostics, Span } from './diagnostic.ts';
import { depthMax } from './limits.ts';
import { type Comment, Entries, type ListTree, type MapTree, plainScalar, type ScalarTree, type Tree } from './tree.ts';

/** The tree of the text, or nothing when it could not be read; what is wrong stands in `diagnostics`. */
export function parseYaml(text: string, diagnostics: Diagnostics): Tree | undefined {
  let events: Event[];
  try {
    events = parseEvents(text, { maxDepth: depthMax });
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
        const span = { start: event.anchorStart - 1, end: event.anchorEnd };
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
    const entries = new Entries(this.#diagnostics);
    while (!this.#atPop()) {
      const keyTree = this.#node();
      const value = this.#node();
      if (keyTree.kind !== 'scalar' || typeof keyTree.value === 'object') {
        const help = keyTree.kind === 'map' ? 'a placeholder stands in quotes: "{{params.x}}"' : undefined;
        this.#diagnostics.error(keyTree.span, 'a key must be a plain word', help);
        continue;
      }
      const at = value.span.end === 0 ? { ...value, span: keyTree.span } : value;
      entries.add({ key: String(keyTree.value), keySpan: keyTree.span, value: at });
    }
    this.#at += 1;
    const last = entries.list.at(-1);
    return { kind: 'map', span: { start, end: last?.value.span.end ?? start + 1 }, entries: entries.list };
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
    if (event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED)
      return { kind: 'scalar', span: { start: span.start - 1, end: span.end + 1 }, value: source };
    if (event.style !== SCALAR_STYLE.PLAIN) return { kind: 'scalar', span, value: source };
    return plainScalar(source, span, this.#diagnostics);
  }

  #atPop(): boolean {
    const event = this.#events[this.#at];
    return event === undefined || event.type === EVENT_ID.POP;
  }

  #refuseProperties(event: { anchorStart: number; anchorEnd: number; tagStart: number; tagEnd: number }): void {
    if (event.anchorStart >= 0) {
      const span = { start: event.anchorStart - 1, end: event.anchorEnd };
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

/** What stands behind a `#` that is in no value. */
export function yamlComments(text: string, tree: Tree): Comment[] {
  const comments: Comment[] = [];
  const values = scalarSpans(tree, []).sort((a, b) => a.start - b.start);
  const mark = /(?<=^|[\s\uFEFF])#([^\n\r]*)/gm;
  let next = 0;
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    while ((values[next]?.end ?? Infinity) <= found.index) next += 1;
    const value = values[next];
    if (value !== undefined && value.start <= found.index) mark.lastIndex = value.end;
    else comments.push({ start: found.index, text: found[1]?.trim() ?? '' });
  }
  return comments;
}

function scalarSpans(tree: Tree, spans: Span[]): Span[] {
  if (tree.kind === 'scalar') spans.push(tree.span);
  else if (tree.kind === 'list') for (const item of tree.items) scalarSpans(item, spans);
  else
    for (const { keySpan, value } of tree.entries) {
      spans.push(keySpan);
      scalarSpans(value, spans);
    }
  return spans;
}
