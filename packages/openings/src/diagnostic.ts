/**
 * What is wrong with an opening, where, and what to write instead.
 *
 * 1. Lines and columns count from 1; a column counts UTF-16 units, as editors do.
 * 2. Rendering escapes what came from the file, so that a file cannot speak to the terminal.
 */
import { showLine } from '@runloop/core';

export type Span = { readonly start: number; readonly end: number };

export type Diagnostic = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** What to write instead. */
  readonly help?: string;
  /** The source line that holds the offence. */
  readonly excerpt: string;
};

export class Diagnostics {
  readonly list: Diagnostic[] = [];
  #dropped = 0;
  readonly #file: string;
  readonly #text: string;
  readonly #max: number;
  #lineStarts: number[] | undefined;
  readonly #said = new Set<string>();

  constructor(file: string, text: string, max: number) {
    this.#file = file;
    this.#text = text;
    this.#max = max;
  }

  error(span: Span, message: string, help?: string): void {
    this.#add('error', span, message, help);
  }

  warning(span: Span, message: string, help?: string): void {
    this.#add('warning', span, message, help);
  }

  /** Takes over what is wrong with another file, so that all is told together. */
  adopt(other: Diagnostics): void {
    const room = Math.max(0, this.#max - this.list.length);
    for (const item of other.list.slice(0, room)) this.list.push(item);
    this.#dropped += other.dropped + Math.max(0, other.list.length - room);
  }

  get failed(): boolean {
    return this.list.some((item) => item.severity === 'error');
  }

  get dropped(): number {
    return this.#dropped;
  }

  #add(severity: Diagnostic['severity'], span: Span, message: string, help: string | undefined): void {
    // A nested opening that is used twice would say everything twice.
    const said = `${span.start} ${message}`;
    if (this.#said.has(said)) return;
    if (this.list.length >= this.#max) {
      this.#dropped += 1;
      return;
    }
    this.#said.add(said);
    const { line, column, excerpt } = this.#locate(span.start);
    const room = Math.max(1, excerpt.length - (column - 1));
    const length = Math.max(1, Math.min(span.end - span.start, room));
    const base = { file: this.#file, line, column, length, severity, message, excerpt };
    this.list.push(help === undefined ? base : { ...base, help });
  }

  #locate(offset: number): { line: number; column: number; excerpt: string } {
    this.#lineStarts ??= lineStartsOf(this.#text);
    const starts = this.#lineStarts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    const start = starts[low] ?? 0;
    const excerpt = this.#text
      .slice(start, Math.min(starts[low + 1] ?? this.#text.length, start + 400))
      .replace(/\r?\n$/, '');
    return { line: low + 1, column: offset - start + 1, excerpt };
  }
}

function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** `file:line:column: error: message`, then the line with the offence underlined, then the help. */
export function renderDiagnostic(item: Diagnostic): string {
  const at = `${showLine(item.file)}:${item.line}:${item.column}`;
  const lines = [`${at}: ${item.severity}: ${showLine(item.message)}`];
  if (item.excerpt.trim() !== '') {
    const before = showLine(item.excerpt.slice(0, item.column - 1));
    const offending = showLine(item.excerpt.slice(item.column - 1, item.column - 1 + item.length));
    const gutter = `${item.line}`.padStart(4);
    lines.push(`${gutter} | ${showLine(item.excerpt)}`);
    lines.push(`     | ${' '.repeat(before.length)}${'^'.repeat(Math.max(1, offending.length))}`);
  }
  if (item.help !== undefined) lines.push(`     = ${showLine(item.help)}`);
  return lines.join('\n');
}
