/**
 * Writes an opening anew, as YAML or in braces, from the tree of either.
 *
 * 1. Nothing is lost: the text means the same, key for key and byte for byte of every string; written again it stays as it is.
 * 2. Comments stay with what they stand before or behind; what holds one is not put on one line, but for an edge.
 * 3. A text that holds mistakes is not written.
 */
import { showLine } from '@runloop/core';
import { Diagnostics } from './diagnostic.ts';
import { diagnosticsMax } from './limits.ts';
import { type Parsed, parseOpening, parseTree } from './parse.ts';
import { type Comment, type Entry, type MapTree, resolvePlain, type ScalarTree, type Tree } from './tree.ts';

export type Surface = 'yaml' | 'brace';
export type Formatted = { readonly text: string | undefined; readonly parsed: Parsed };

const widthMax = 100;
/** What no terminal and no editor shows as it is. */
const unseen = /[\p{C}\p{Zl}\p{Zp}]/u;

export function formatOpening(file: string, text: string, to: Surface): Formatted {
  const parsed = parseOpening(file, text);
  if (parsed.opening === undefined) return { text: undefined, parsed };
  const comments: Comment[] = [];
  const tree = parseTree(file, text, new Diagnostics(file, text, diagnosticsMax), comments);
  if (tree?.kind !== 'map') return { text: undefined, parsed };
  const writer = new Writer(text, to, attach(text, tree, comments));
  return { text: writer.opening(tree), parsed };
}

type Anchor = Entry | Tree;
type Notes = { readonly before: string[]; readonly after: string[] };
type Attached = { readonly notes: ReadonlyMap<Anchor, Notes>; readonly last: readonly string[] };

/** Finds for each comment the entry or item that it belongs to. */
function attach(text: string, root: MapTree, comments: readonly Comment[]): Attached {
  const anchors: { anchor: Anchor; start: number; end: number }[] = [];
  const visit = (tree: Tree): void => {
    if (tree.kind === 'map')
      for (const entry of tree.entries) {
        anchors.push({ anchor: entry, start: entry.keySpan.start, end: entry.value.span.end });
        visit(entry.value);
      }
    else if (tree.kind === 'list')
      for (const item of tree.items) {
        anchors.push({ anchor: item, ...item.span });
        visit(item);
      }
  };
  visit(root);
  anchors.sort((a, b) => a.start - b.start);
  const notes = new Map<Anchor, Notes>();
  const notesOf = (anchor: Anchor): Notes => {
    const found = notes.get(anchor) ?? { before: [], after: [] };
    notes.set(anchor, found);
    return found;
  };
  const last: string[] = [];
  let next = 0;
  for (const comment of comments) {
    while (next < anchors.length && (anchors[next]?.start ?? 0) < comment.start) next += 1;
    const line = text.lastIndexOf('\n', comment.start - 1) + 1;
    const alone = text.slice(line, comment.start).trim() === '';
    const [previous, following] = [anchors[next - 1], anchors[next]];
    if (!alone && previous !== undefined && previous.start >= line) {
      let at = next - 1;
      while ((anchors[at - 1]?.start ?? -1) >= line) at -= 1;
      const closed = anchors.slice(at, next).find(({ end }) => end <= comment.start);
      if (closed === undefined) notesOf(previous.anchor).before.push(comment.text);
      else notesOf(closed.anchor).after.push(comment.text);
    } else if (following === undefined) last.push(comment.text);
    else notesOf(following.anchor).before.push(comment.text);
  }
  // What a list holds begins where its own first entry does, at least in YAML.
  for (const { anchor } of anchors.toReversed()) {
    if (!('kind' in anchor) || anchor.kind === 'scalar') continue;
    const first = anchor.kind === 'map' ? anchor.entries[0] : anchor.items[0];
    const lead = first === undefined ? undefined : notes.get(first);
    if (first === undefined || lead === undefined) continue;
    if (lead.before.length > 0) notesOf(anchor).before.push(...lead.before.splice(0));
    // And an only one ends where its own ends.
    const isOnly = (anchor.kind === 'map' ? anchor.entries : anchor.items).length === 1;
    if (isOnly && lead.after.length > 0) notesOf(anchor).after.unshift(...lead.after.splice(0));
    if (lead.after.length === 0) notes.delete(first);
  }
  return { notes, last };
}

const noNotes: Notes = { before: [], after: [] };

/** All of it before: behind the first line of several it would be read as being of the next. */
function hoisted({ before, after }: Notes): Notes {
  return { before: [...before, ...after], after: [] };
}

class Writer {
  readonly #source: string;
  readonly #braces: boolean;
  readonly #attached: Attached;
  readonly #lines: string[] = [];

  constructor(source: string, to: Surface, attached: Attached) {
    this.#source = source;
    this.#braces = to === 'brace';
    this.#attached = attached;
  }

  opening(root: MapTree): string {
    const [version, name] = ['version', 'name'].map((key) => root.entries.find((entry) => entry.key === key));
    const rest = root.entries
      .filter((entry) => entry !== version && entry !== name)
      .sort((a, b) => a.keySpan.start - b.keySpan.start);
    if (version === undefined || name?.value.kind !== 'scalar') throw new Error('a valid opening has version and name');
    if (this.#braces) {
      const notes = this.#gather([version, version.value, name, name.value]);
      this.#line(0, `opening ${JSON.stringify(name.value.value)} {`, notes);
      for (const entry of rest) this.#rootInBraces(entry);
      this.#lines.push('}');
    } else for (const entry of [version, name, ...rest]) this.#entry(entry, 0, '');
    for (const text of this.#attached.last) this.#lines.push(comment(text));
    return `${this.#lines.join('\n')}\n`;
  }

  #rootInBraces(entry: Entry): void {
    const { key, value } = entry;
    if ((key !== 'nodes' && key !== 'edges') || value.kind !== 'list') return this.#entry(entry, 1, '');
    for (const text of [...this.#notes(entry).before, ...this.#notes(entry).after])
      this.#lines.push(`  ${comment(text)}`);
    for (const item of value.items) {
      if (item.kind !== 'map') throw new Error(`each of ${key} is a map`);
      if (key === 'nodes') this.#node(item);
      else this.#edge(item);
    }
  }

  #node(node: MapTree): void {
    const id = node.entries.find((entry) => entry.key === 'id');
    if (id?.value.kind !== 'scalar') throw new Error('a valid node has an id');
    this.#line(1, `node ${String(id.value.value)} {`, this.#gather([node, id, id.value]));
    for (const entry of node.entries) if (entry !== id) this.#entry(entry, 2, '');
    this.#lines.push('  }');
  }

  #edge(edge: MapTree): void {
    const side = (key: string): string => {
      const value = edge.entries.find((entry) => entry.key === key)?.value;
      return value?.kind === 'scalar' ? String(value.value) : '';
    };
    const [from, to] = [side('from'), side('to')];
    const plain = edgeSource.test(from) && !unseen.test(from) && edgeTarget.test(to);
    this.#line(1, plain ? `edge ${from} -> ${to}` : `edge ${this.#inline(edge)}`, this.#under(edge));
  }

  /** `key: value`, on one line where it fits; `lead` is what a list puts before the first. */
  #entry(entry: Entry, depth: number, lead: string): void {
    const key = wordOf(entry.key, keyForm);
    const forced = entry.key === 'nodes' || entry.key === 'edges';
    this.#value(entry.value, depth, `${lead}${key}:`, this.#notes(entry), entry, depth === 0 && forced);
  }

  #value(value: Tree, depth: number, head: string, notes: Notes, anchor: Anchor, forced: boolean): void {
    const block = !this.#braces && value.kind === 'scalar' ? blockLines(value) : undefined;
    if (block !== undefined) {
      this.#line(depth, `${head} ${block.mark}`, hoisted(notes));
      for (const line of block.lines) this.#lines.push(line === '' ? '' : `${'  '.repeat(depth + 1)}${line}`);
      return;
    }
    const line = `${head} ${this.#inline(value)}`;
    const isOpen = value.kind !== 'scalar' && (value.kind === 'map' ? value.entries : value.items).length > 0;
    if (!isOpen || (!forced && depth * 2 + line.length <= widthMax && this.#fitsOneLine(value))) {
      this.#line(depth, line, this.#under(anchor));
      return;
    }
    const [open, close] = value.kind === 'map' ? ['{', '}'] : ['[', ']'];
    this.#line(depth, this.#braces ? `${head} ${open}` : head, hoisted(notes));
    if (value.kind === 'map') for (const entry of value.entries) this.#entry(entry, depth + 1, '');
    else if (value.kind === 'list') for (const item of value.items) this.#item(item, depth + 1, forced);
    if (this.#braces) this.#lines.push(`${'  '.repeat(depth)}${close}`);
  }

  #item(item: Tree, depth: number, isRoot: boolean): void {
    const isNode = isRoot && item.kind === 'map' && item.entries.some(({ key }) => key === 'id');
    const line = this.#braces ? this.#inline(item) : `- ${this.#inline(item)}`;
    const fits = depth * 2 + line.length <= widthMax && this.#fitsOneLine(item);
    const isOpen = item.kind !== 'scalar' && (item.kind === 'map' ? item.entries : item.items).length > 0;
    if (!isOpen || (fits && !isNode)) return this.#line(depth, line, this.#under(item));
    const [only, ...others] = item.kind === 'map' ? item.entries : [];
    const isPlain = only?.value.kind === 'scalar' && blockLines(only.value) === undefined;
    if (!this.#braces && isPlain && others.length === 0)
      return this.#line(depth, `- ${wordOf(only.key, keyForm)}: ${this.#inline(only.value)}`, this.#notes(item));
    const pad = '  '.repeat(depth);
    for (const text of hoisted(this.#notes(item)).before) this.#lines.push(`${pad}${comment(text)}`);
    const from = this.#lines.length;
    if (item.kind === 'map') for (const entry of item.entries) this.#entry(entry, depth + 1, '');
    else for (const inner of item.items) this.#item(inner, depth + 1, false);
    // Comments that it begins with stand before it, where they are found again.
    let head = from;
    for (; this.#lines[head]?.trimStart().startsWith('#') === true; head += 1)
      this.#lines[head] = `${pad}${this.#lines[head]?.trimStart()}`;
    const [open, close] = item.kind === 'map' ? ['{', '}'] : ['[', ']'];
    if (!this.#braces && item.kind === 'map')
      this.#lines[head] = `${pad}- ${(this.#lines[head] ?? '').slice(pad.length + 2)}`;
    else this.#lines.splice(head, 0, this.#braces ? `${pad}${open}` : `${pad}-`);
    if (this.#braces) this.#lines.push(`${pad}${close}`);
  }

  /** Whether nothing stands in it that one line cannot show: a comment, or in YAML a text of several lines. */
  #fitsOneLine(tree: Tree): boolean {
    if (tree.kind === 'scalar') return this.#braces || blockLines(tree) === undefined;
    const inner = tree.kind === 'list' ? tree.items : tree.entries;
    if (inner.some((anchor) => this.#attached.notes.has(anchor))) return false;
    if (tree.kind === 'list') return tree.items.every((item) => item.kind === 'scalar' || this.#fitsOneLine(item));
    return tree.entries.every(({ value }) => this.#fitsOneLine(value));
  }

  #inline(tree: Tree): string {
    if (tree.kind === 'scalar') return this.#scalar(tree);
    if (tree.kind === 'list') return `[${tree.items.map((item) => this.#inline(item)).join(', ')}]`;
    const entries = tree.entries.map(({ key, value }) => `${wordOf(key, keyForm)}: ${this.#inline(value)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }

  #scalar({ value, span }: ScalarTree): string {
    if (typeof value === 'string') return wordOf(value, valueForm);
    const written = this.#source.slice(span.start, span.end);
    return value !== null && written !== '' && Object.is(resolvePlain(written), value) ? written : String(value);
  }

  #line(depth: number, line: string, { before, after }: Notes): void {
    const pad = '  '.repeat(depth);
    const [behind, ...more] = after;
    for (const text of more.length > 0 ? [...before, ...after] : before) this.#lines.push(`${pad}${comment(text)}`);
    this.#lines.push(`${pad}${line}${behind === undefined || more.length > 0 ? '' : ` ${comment(behind)}`}`);
  }

  #notes(anchor: Anchor): Notes {
    return this.#attached.notes.get(anchor) ?? noNotes;
  }

  #gather(anchors: readonly Anchor[]): Notes {
    const all = anchors.map((anchor) => this.#notes(anchor));
    return { before: all.flatMap(({ before }) => before), after: all.flatMap(({ after }) => after) };
  }

  /** All that was said about an anchor and what it holds. */
  #under(anchor: Anchor): Notes {
    const found: Anchor[] = [];
    const visit = (one: Anchor): void => {
      found.push(one);
      if ('value' in one && typeof one.value === 'object' && one.value !== null) visit(one.value);
      else if ('kind' in one && one.kind === 'list') one.items.forEach(visit);
      else if ('kind' in one && one.kind === 'map') one.entries.forEach(visit);
    };
    visit(anchor);
    return this.#gather(found);
  }
}

const keyForm = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const valueForm = /^[A-Za-z_](?:[A-Za-z0-9_./:@+-]*[A-Za-z0-9_/+-])?$/;
const edgeSource = /^[a-z0-9_/]+\.[a-z0-9_]+(?: ?(?:[=!<>]=|[<>]) ?(?:true|false|-?[\d.]+|"[^"\n\\]*"|'[^'\n\\]*'))?$/;
const edgeTarget = /^[a-z0-9_/]+\.[a-z0-9_]+$/;

/** The text without quotes where it then is the same text in both surfaces. */
function wordOf(text: string, form: RegExp): string {
  if (form.test(text) && text.length <= 200 && resolvePlain(text) === text) return text;
  return JSON.stringify(text).replaceAll(new RegExp(unseen, 'gu'), (found) =>
    Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  );
}

function comment(text: string): string {
  return `# ${showLine(text)}`.trimEnd();
}

/** A text of several lines as YAML's literal block, where that says exactly the same. */
function blockLines({ value }: ScalarTree): { readonly mark: string; readonly lines: readonly string[] } | undefined {
  if (typeof value !== 'string' || !value.includes('\n')) return undefined;
  const lines = value.split('\n');
  const isClosed = lines.at(-1) === '';
  if (isClosed) lines.pop();
  if (lines[0] === '' || lines.at(-1) === '' || lines.some((line) => /^\s/.test(line) || unseen.test(line)))
    return undefined;
  return { mark: isClosed ? '|' : '|-', lines };
}
