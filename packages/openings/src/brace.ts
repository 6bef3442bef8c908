/**
 * The brace form of an opening as the same tree that YAML yields: `opening "name" { … }`.
 *
 * 1. Keys and values are YAML's; words without blanks need no quotes; what separates is a comma, a new line or a blank.
 * 2. `node <id> { … }` adds to `nodes`, `edge <from> -> <to>` to `edges`, in the order of the file; `opening` says version 0.
 * 3. Reading goes on after a mistake, so that all of them are told; only a bracket that is open at the end stops it.
 */
import { parseJson } from '@runloop/core';
import type { Diagnostics, Span } from './diagnostic.ts';
import { depthMax } from './limits.ts';
import { type Comment, Entries, type Entry, type MapTree, plainScalar, type Tree } from './tree.ts';

const closers: { readonly [opener: string]: string } = { '{': '}', '[': ']' };
const word = /[^\s{}[\],"']+/y;
const keyWord = /[^\s{}[\],"':]+/y;
const stringForms: { readonly [quote: string]: RegExp } = {
  '"': /"(?:[^"\\\n\r]|\\[^\n\r])*"/y,
  "'": /'(?:[^'\n\r]|'')*'/y,
};

/** Whether the text begins as the brace form does. */
export function looksLikeBraces(file: string, text: string): boolean {
  const blank = /[\s\uFEFF]+|(?:#|\/\/)[^\n]*/y;
  let at = 0;
  while (blank.test(text)) at = blank.lastIndex;
  const first = /[^\s"'{:#]*/y;
  first.lastIndex = at;
  if (first.exec(text)?.[0] === 'opening') return text[first.lastIndex] !== ':';
  return file.endsWith('.opening') && !/^(?:version|name)\s*:/m.test(text);
}

/** The tree of the text, or nothing when its brackets do not match; comments are collected where they are wanted. */
export function parseBraces(text: string, diagnostics: Diagnostics, comments: Comment[] = []): Tree | undefined {
  return new BraceReader(text, diagnostics, comments).file();
}

class Unclosed extends Error {}

class BraceReader {
  readonly #text: string;
  readonly #diagnostics: Diagnostics;
  readonly #comments: Comment[];
  #at = 0;
  #depth = 0;
  /** A string was not closed: what its line closes is not known. */
  #lost = false;

  constructor(text: string, diagnostics: Diagnostics, comments: Comment[]) {
    this.#text = text;
    this.#diagnostics = diagnostics;
    this.#comments = comments;
    if (text.startsWith('\uFEFF')) this.#at = 1;
  }

  file(): Tree | undefined {
    this.#skip();
    const start = this.#at;
    const keyword = this.#match(word);
    if (keyword === undefined && this.#at >= this.#text.length) return undefined;
    const name = keyword === 'opening' ? this.#name() : undefined;
    if (this.#lost) return undefined;
    if (name === undefined || this.#skip() !== '{') {
      const span = this.#here();
      this.#diagnostics.error(span, 'the brace form begins with its name', 'write: opening "my_opening" { … }');
      return undefined;
    }
    try {
      const root = this.#root(start, name);
      this.#skip();
      if (this.#at < this.#text.length)
        this.#diagnostics.error(
          this.#here(),
          'something stands behind the end of the opening',
          'one file, one opening',
        );
      return root;
    } catch (error) {
      if (error instanceof Unclosed) return undefined;
      throw error;
    }
  }

  #name(): Tree | undefined {
    this.#skip();
    const char = this.#peek();
    return char === '"' || char === "'" ? this.#string(char) : this.#bare(keyWord);
  }

  #root(start: number, name: Tree): MapTree {
    const entries = new Entries(this.#diagnostics);
    const version = { start, end: start + 'opening'.length };
    const implied: Tree = { kind: 'scalar', span: version, value: 0 };
    entries.add({ key: 'name', keySpan: name.span, value: name });
    const lists = { nodes: [] as Tree[], edges: [] as Tree[] };
    const firsts: { nodes?: Span; edges?: Span } = {};
    const end = this.#each('{', () => {
      const from = this.#at;
      const statement = /(?:node|edge)(?=[\s{"'])(?!\s*:)/y;
      const keyword = this.#match(statement);
      if (keyword === undefined) {
        const entry = this.#entry();
        if (entry !== undefined) entries.add(entry);
        return;
      }
      const key = keyword === 'node' ? 'nodes' : 'edges';
      firsts[key] ??= { start: from, end: this.#at };
      const made = keyword === 'node' ? this.#node(from) : this.#edge(from);
      if (made !== undefined) lists[key].push(made);
    });
    for (const key of ['nodes', 'edges'] as const) {
      const keySpan = firsts[key];
      const given = entries.list.find((entry) => entry.key === key);
      if (keySpan === undefined) continue;
      if (given === undefined)
        entries.add({ key, keySpan, value: { kind: 'list', span: { ...keySpan, end }, items: lists[key] } });
      else
        this.#diagnostics.error(
          given.keySpan,
          `"${key}" stands here beside ${key.slice(0, -1)} statements`,
          `write each as: ${key === 'nodes' ? 'node <id> { … }' : 'edge <from> -> <to>'}`,
        );
    }
    if (!entries.list.some((entry) => entry.key === 'version'))
      entries.list.unshift({ key: 'version', keySpan: version, value: implied });
    return { kind: 'map', span: { start, end }, entries: entries.list };
  }

  #node(start: number): Tree | undefined {
    const id = this.#name();
    if (id === undefined || this.#skip() !== '{') {
      this.#diagnostics.error(this.#here(), 'a node is written with its id', 'node my_node { use: agent:<name> }');
      return this.#recover();
    }
    const entries = new Entries(this.#diagnostics);
    entries.add({ key: 'id', keySpan: id.span, value: id });
    const end = this.#entries(entries);
    return { kind: 'map', span: { start, end }, entries: entries.list };
  }

  #edge(start: number): Tree | undefined {
    if (this.#skip() === '{') return this.#value();
    const side = /(?:[^\n"'{}#-]|-(?!>)|"[^"\n]*"|'[^'\n]*')+(?=->)/y;
    const fromAt = this.#at;
    const from = this.#match(side)?.trimEnd();
    const arrow = from === undefined ? undefined : this.#match(/->/y);
    if (this.#skip() !== undefined && arrow !== undefined && from !== undefined) {
      const to = this.#bare(word);
      if (to !== undefined) {
        const source: Tree = { kind: 'scalar', span: { start: fromAt, end: fromAt + from.length }, value: from };
        const entries: Entry[] = [
          { key: 'from', keySpan: source.span, value: source },
          { key: 'to', keySpan: to.span, value: to },
        ];
        return { kind: 'map', span: { start, end: to.span.end }, entries };
      }
    }
    this.#diagnostics.error({ start, end: start + 4 }, 'an edge is written with an arrow', 'edge a.out -> b.in');
    return this.#recover();
  }

  /** Reads up to the closing bracket, `one` for each thing in between; answers where it ended. */
  #each(opener: string, one: () => void): number {
    const start = this.#at;
    this.#at += 1;
    this.#depth += 1;
    const deep = this.#depth > depthMax;
    if (deep)
      this.#diagnostics.error({ start, end: start + 1 }, `brackets stand more than ${depthMax} deep in each other`);
    for (;;) {
      const char = deep ? undefined : this.#skip(true);
      if (char === closers[opener]) {
        this.#at += 1;
        this.#depth -= 1;
        return this.#at;
      }
      if (char === undefined || char === '}' || char === ']') {
        if (char !== undefined)
          this.#diagnostics.error(this.#here(), `this closes nothing: a "${closers[opener]}" is expected first`);
        else if (!deep && !this.#lost)
          this.#diagnostics.error(
            { start, end: start + 1 },
            `this "${opener}" is never closed`,
            `add "${closers[opener]}"`,
          );
        throw new Unclosed();
      }
      const before = this.#at;
      one();
      if (this.#at === before) this.#recover();
    }
  }

  #entries(entries: Entries): number {
    return this.#each('{', () => {
      const entry = this.#entry();
      if (entry !== undefined) entries.add(entry);
    });
  }

  #entry(): Entry | undefined {
    const start = this.#at;
    const char = this.#peek();
    const quoted = char === '"' || char === "'" ? this.#string(char) : undefined;
    const key = quoted === undefined ? this.#match(keyWord) : String(quoted.kind === 'scalar' ? quoted.value : '');
    const keySpan = { start, end: Math.max(this.#at, start + 1) };
    if (key === undefined) {
      this.#diagnostics.error(keySpan, `a key is expected here, this is ${JSON.stringify(char ?? '')}`, 'key: value');
      return this.#recover();
    }
    if (this.#skip() !== ':') {
      const help = `write ${key}: value, or put a text of several words in quotes`;
      this.#diagnostics.error(keySpan, `a colon is missing behind "${key.slice(0, 80)}"`, help);
      return this.#recover();
    }
    this.#at += 1;
    const value = this.#value();
    if (value !== undefined) return { key, keySpan, value };
    this.#diagnostics.error(keySpan, `a value is missing behind "${key.slice(0, 80)}:"`, 'write null for none');
    return undefined;
  }

  /** Undefined where none begins, or where a key stands instead. */
  #value(): Tree | undefined {
    const char = this.#skip();
    const start = this.#at;
    const placeholder = this.#match(/\{\{[^{}\n]*\}\}/y);
    if (placeholder !== undefined) {
      const span = { start, end: this.#at };
      this.#diagnostics.error(span, 'a placeholder stands in quotes', `write: "${placeholder}"`);
      return { kind: 'scalar', span, value: placeholder };
    }
    if (char === '{') {
      const entries = new Entries(this.#diagnostics);
      const end = this.#entries(entries);
      return { kind: 'map', span: { start, end }, entries: entries.list };
    }
    if (char === '[') {
      const items: Tree[] = [];
      const end = this.#each('[', () => {
        const item = this.#value();
        if (item !== undefined) items.push(item);
        else this.#diagnostics.error(this.#here(), 'a list holds values', 'write: [one, two]');
      });
      return { kind: 'list', span: { start, end }, items };
    }
    if (char === '"' || char === "'") return this.#string(char);
    const bare = this.#bare(word);
    const next = /[ \t]+(?!\/\/|#|(?:node|edge)[ \t])[^\s{}[\],:"']+(?=[\s,}\]])(?![ \t]*:)/y;
    if (bare !== undefined && this.#match(next) !== undefined)
      this.#diagnostics.error({ start, end: this.#at }, 'a text of several words stands in quotes', 'write: "…"');
    return bare;
  }

  #bare(form: RegExp): Tree | undefined {
    const start = this.#at;
    const source = this.#match(form);
    if (source === undefined) return undefined;
    if (source.endsWith(':')) {
      this.#at = start;
      return undefined;
    }
    return plainScalar(source, { start, end: this.#at }, this.#diagnostics);
  }

  #string(quote: string): Tree {
    const start = this.#at;
    const source = this.#match(stringForms[quote] ?? word);
    const span = { start, end: this.#at };
    if (source === undefined) {
      this.#lost = true;
      this.#at = lineEnd(this.#text, start);
      this.#diagnostics.error(
        { start, end: this.#at },
        'this string is not closed on its line',
        'a new line is \\n in "…"',
      );
      return { kind: 'scalar', span, value: '' };
    }
    if (quote === "'") return { kind: 'scalar', span, value: source.slice(1, -1).replaceAll("''", "'") };
    const parsed = parseJson(source);
    if (!parsed.ok || typeof parsed.value !== 'string') {
      const help = "escapes are those of JSON: \\n \\t \\\" \\\\ \\u0000; in '…' nothing is escaped";
      this.#diagnostics.error(span, 'this string holds something that must be escaped otherwise', help);
      return { kind: 'scalar', span, value: '' };
    }
    return { kind: 'scalar', span, value: parsed.value };
  }

  /** To the end of the line, or to what closes or separates. */
  #recover(): undefined {
    const rest = /[^\n,{}[\]]*/y;
    this.#match(rest);
    const char = this.#peek();
    if (char === '{' || char === '[') this.#value();
    return undefined;
  }

  /** Past blanks and comments, and commas where they separate; answers what stands there. */
  #skip(commas = false): string | undefined {
    for (;;) {
      const char = this.#text[this.#at];
      if (char === '#' || (char === '/' && this.#text[this.#at + 1] === '/')) {
        const start = this.#at;
        this.#at = lineEnd(this.#text, start);
        this.#comments.push({ start, text: this.#text.slice(start + (char === '#' ? 1 : 2), this.#at).trim() });
      } else if (char !== undefined && (/\s/.test(char) || (commas && char === ','))) this.#at += 1;
      else return char;
    }
  }

  #match(form: RegExp): string | undefined {
    form.lastIndex = this.#at;
    const found = form.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    return found;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #here(): Span {
    return { start: this.#at, end: this.#at + 1 };
  }
}

function lineEnd(text: string, from: number): number {
  const at = text.slice(from).search(/[\n\r]/);
  return at === -1 ? text.length : from + at;
}
