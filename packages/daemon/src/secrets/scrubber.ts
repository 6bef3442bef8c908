/**
 * Takes the values of secrets, in their usual encodings, out of whatever is shown or kept.
 *
 * 1. Plain, percent-encoded and JSON-escaped (any mix of these, however often escaped), hex in any case, base64 of both
 *    alphabets wherever the value lies in what was encoded.
 * 2. Of a value of several lines each long line is taken out too: logs come line by line.
 * 3. Without a value that was given out it costs nothing.
 *
 * It knows what was given out since the daemon started. Encodings that somebody makes up are not found.
 */
import { isJsonObject, type JsonValue } from '@runloop/core';
import { scrubbedMax, secretCharsMin } from './limits.ts';

const mark = '[secret]';
/** Lines of a value that are long enough to give it away. */
const lineCharsMin = 16;

export class Scrubber {
  readonly #forms = new Map<string, string>();
  /** One for each value, the longest first: many alternatives in one are far slower. */
  #patterns: readonly RegExp[] = [];

  add(value: string): void {
    if (this.#forms.has(value)) return;
    const lines = value.split(/\r?\n/).filter((line) => line.trim().length >= lineCharsMin);
    for (const part of [value, ...lines.map((line) => line.trim())]) this.#forms.set(part, formsOf(part).join('|'));
    for (const oldest of this.#forms.keys()) {
      if (this.#forms.size <= scrubbedMax) break;
      this.#forms.delete(oldest);
    }
    const longestFirst = [...this.#forms].sort(([a], [b]) => b.length - a.length);
    this.#patterns = longestFirst.map(([, form]) => new RegExp(form, 'g'));
  }

  scrub(text: string): string {
    if (this.#patterns.length === 0 || text.length < secretCharsMin) return text;
    let clean = this.#replaced(text, mark);
    // What stood around a value may, with the mark, make one again.
    while (clean !== text && this.#finds(clean)) clean = this.#replaced(clean, '');
    return clean;
  }

  /** A line of JSON; it stays one. */
  scrubLine(line: string): string {
    return this.#finds(line) ? JSON.stringify(this.#scrubbed(JSON.parse(line) as JsonValue)) : line;
  }

  #finds(text: string): boolean {
    return this.#patterns.some((pattern) => text.search(pattern) >= 0);
  }

  #replaced(text: string, by: string): string {
    return this.#patterns.reduce((clean, pattern) => clean.replace(pattern, by), text);
  }

  scrubJson<T extends JsonValue>(value: T): T {
    return this.#patterns.length === 0 ? value : (this.#scrubbed(value) as T);
  }

  /** The value itself where there is nothing to take out of it. */
  #scrubbed(value: JsonValue): JsonValue {
    if (typeof value === 'string') return this.scrub(value);
    if (typeof value === 'number') return this.scrub(String(value)) === String(value) ? value : mark;
    if (Array.isArray(value)) {
      const items = (value as readonly JsonValue[]).map((item) => this.#scrubbed(item));
      return items.every((item, index) => item === value[index]) ? value : items;
    }
    if (!isJsonObject(value)) return value;
    const entries = Object.entries(value);
    const clean = entries.map(([key, item]) => [this.scrub(key), this.#scrubbed(item)] as const);
    const same = clean.every(([key, item], index) => key === entries[index]?.[0] && item === entries[index]?.[1]);
    return same ? value : Object.fromEntries(clean);
  }
}

function formsOf(value: string): string[] {
  const bytes = Buffer.from(value, 'utf8');
  const plain = (value.match(/\\+|[^\\]/gsu) ?? []).map((part) =>
    part.startsWith('\\') ? backslashes(part.length) : charForm(part),
  );
  return [plain.join(''), Array.from(bytes, hexForm).join(''), ...base64Forms(bytes)];
}

const controls: { readonly [char: string]: string } = { '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r' };

/** So many in a row count as one, or a text full of them could be taken apart in too many ways. */
function backslashes(count: number): string {
  return `(?:\\\\{${count},${8 * count}}|(?:%5[Cc]|\\\\{1,8}u005[Cc]){${count}})`;
}

/** One character as it stands in a text, in a URL and in JSON; backslashes are looked at together. */
function charForm(char: string): string {
  const percent = [...Buffer.from(char, 'utf8')].map((byte) => `%${hexForm(byte)}`).join('');
  const unicode = Array.from({ length: char.length }, (_, at) => char.charCodeAt(at))
    .map((unit) => `\\\\{1,8}u${hexForm(unit >> 8)}${hexForm(unit & 0xff)}`)
    .join('');
  const plain = literal(char);
  const named = Object.hasOwn(controls, char) ? [`\\\\{1,8}${controls[char] ?? ''}`] : [];
  const escaped = '"/\''.includes(char) ? [`\\\\{0,8}${plain}`] : [plain];
  return `(?:${[...escaped, ...named, ...(char === ' ' ? ['\\+'] : []), percent, unicode].join('|')})`;
}

function hexForm(byte: number): string {
  const digits = byte.toString(16).padStart(2, '0');
  return digits.replaceAll(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
}

/** The characters of base64 that the value alone decides, for each place where it may begin; the two at its ends fall with it. */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const core = text.slice(Math.ceil((8 * offset) / 6), Math.floor((8 * (offset + bytes.length)) / 6));
    const end = (8 * (offset + bytes.length)) % 6 === 0 ? '' : '[A-Za-z0-9+/_-]?';
    const form = core.replaceAll(/[+/]/g, (char) => (char === '+' ? '[+-]' : '[/_]'));
    return `${offset === 0 ? '' : '[A-Za-z0-9+/_-]?'}${form}${end}=*`;
  });
}

function literal(char: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(char) ? `\\${char}` : char;
}
