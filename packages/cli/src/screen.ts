/**
 * Writes to the terminal or the pipe: colours where they belong, tables that fit, failures that help.
 *
 * Text from outside passes `showLine` or `showText` before it gets here; colours are added after.
 */
import { type Failure, showJson, showLine, showText } from '@runloop/core';
import type { Environment } from './environment.ts';

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
export type Colour = keyof typeof codes;

export class Screen {
  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  get width(): number {
    return this.#environment.width;
  }

  paint(colour: Colour, text: string): string {
    return this.#environment.colour ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;
  }

  line(text = ''): void {
    this.#environment.streams.out.write(`${text}\n`);
  }

  /** To standard error: progress and notes that are no part of the result. */
  note(text: string): void {
    this.#environment.streams.err.write(`${text}\n`);
  }

  /** The same, indented, and on a terminal broken between words at its edge. */
  noteWrapped(text: string, indent: number, colour?: Colour): void {
    const room = this.#environment.streams.err.isTTY === true ? this.width - indent : Infinity;
    let line = '';
    const flush = (): void =>
      this.note(`${' '.repeat(indent)}${colour === undefined ? line : this.paint(colour, line)}`);
    for (const word of text.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > room) {
        flush();
        line = '';
      }
      line += line === '' ? word : ` ${word}`;
    }
    flush();
  }

  /** A text that must be seen whole: on a terminal it is folded at the edge, and goes on `indent` columns in. */
  noteFolded(text: string, indent: number): void {
    const points = this.#environment.streams.err.isTTY === true ? Array.from(text) : [];
    const room = this.width - indent;
    if (points.length <= this.width || room < 20) return this.note(text);
    this.note(points.slice(0, this.width).join(''));
    for (let at = this.width; at < points.length; at += room)
      this.note(' '.repeat(indent) + points.slice(at, at + room).join(''));
  }

  /** One line on a terminal's standard error that the next one takes the place of; empty, it is gone. Nothing into a pipe. */
  progress(text: string): void {
    const { err } = this.#environment.streams;
    if (err.isTTY === true) err.write(`\r\u001b[K${text}`);
  }

  json(value: unknown): void {
    this.line(showJson(JSON.stringify(value)));
  }

  failure({ message, hint }: Failure): void {
    this.note(`${this.paintError('rlp:')} ${showText(message)}`);
    if (hint !== undefined) for (const line of showText(hint).split('\n')) this.noteWrapped(line, 5);
  }

  /** Columns as wide as their widest cell; the last one is cut at the terminal's edge. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const all = [head, ...rows].map((row) => row.map(showLine));
    const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
    all.forEach((row, index) => {
      const text = row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd();
      const cut =
        this.#environment.streams.out.isTTY === true && text.length > this.width
          ? `${text.slice(0, this.width - 1)}…`
          : text;
      this.line(index === 0 ? this.paint('dim', cut) : cut);
    });
  }

  /** Words behind a prefix, broken at the terminal's edge and indented under the first of them. */
  wrapped(prefix: string, words: readonly string[], indent: number): void {
    let line = prefix;
    let length = indent;
    for (const word of words) {
      const size = visible(word) + 1;
      if (length > indent && length + size > this.width) {
        this.line(line.trimEnd());
        line = ' '.repeat(indent);
        length = indent;
      }
      line += `${word} `;
      length += size;
    }
    this.line(line.trimEnd());
  }

  private paintError(text: string): string {
    return this.#environment.colour && this.#environment.streams.err.isTTY === true
      ? `\u001b[31m${text}\u001b[0m`
      : text;
  }
}

/** 12 B, 3.4 KiB, 5.6 MiB. */
/** `1 event`, `2 events`. */
export function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let size = count;
  let unit = 0;
  for (; size >= 1024 && unit < units.length - 1; unit += 1) size /= 1024;
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

/** 1 234 ms, 12.3 s, 2 m 05 s. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} m ${String(Math.floor((ms % 60_000) / 1000)).padStart(2, '0')} s`;
}

export function dollars(nano: number): string {
  return `$${(nano / 1e9).toFixed(4)}`;
}

/** To the last nano-dollar. */
export function exactDollars(nano: number): string {
  const digits = String(Math.abs(nano)).padStart(10, '0');
  return `${nano < 0 ? '-' : ''}$${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

export function time(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}

/** Columns that a text takes once its colours are left out. */
function visible(text: string): number {
  return text.replace(/\u001b\[\d+m/g, '').length;
}

/** How long ago, in the largest unit: 5 s, 12 m, 3 h, 4 d. */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}
