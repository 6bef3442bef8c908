/**
 * Cuts a line into words, operators and redirections as bash, zsh and fish do.
 *
 * 1. Linear: each character is passed once by the lexer and at most once by the bracket scanner.
 * 2. Never throws: what is open at the end is reported in `open`, not guessed.
 * 3. In prose mode an apostrophe between letters (`don't`, `l'état`) is a letter, not a quote.
 *
 * It expands nothing.
 */
import { nestingMax } from './limits.ts';

export type Word = {
  readonly type: 'word';
  /** The characters as typed. */
  readonly raw: string;
  /** Without quotes and backslashes; expansions stay as typed. */
  readonly text: string;
  readonly quoted: boolean;
  readonly expands: boolean;
};
export type Operator = { readonly type: 'operator'; readonly text: string };
export type Redirect = { readonly type: 'redirect'; readonly text: string };
export type Token = Word | Operator | Redirect;
export type Lexed = {
  readonly tokens: readonly Token[];
  /** What was not closed: a quote, a bracket, a here-document. */
  readonly open: string | undefined;
  readonly comment: boolean;
};

const blank = /[ \t\r]/;
const letter = /[A-Za-z\u00c0-\u1fff\u3040-\ufffd]/;
const ends = new Set([' ', '\t', '\r', '\n', ';', '&', '|', '<', '>', '(', ')']);
const closers: { readonly [open: string]: string } = { '(': ')', '{': '}', '[': ']' };

type Scan = { readonly line: string; at: number; open: string | undefined };

export function lex(line: string, mode: 'shell' | 'prose' = 'shell'): Lexed {
  const scan: Scan = { line, at: 0, open: undefined };
  const tokens: Token[] = [];
  const documents: string[] = [];
  let comment = false;
  while (scan.at < line.length) {
    const c = line.charAt(scan.at);
    if (blank.test(c) || (c === '\\' && line.charAt(scan.at + 1) === '\n')) scan.at += c === '\\' ? 2 : 1;
    else if (c === '#') {
      comment = true;
      const end = line.indexOf('\n', scan.at);
      scan.at = end < 0 ? line.length : end;
    } else if (c === '\n') {
      tokens.push({ type: 'operator', text: '\n' });
      scan.at += 1;
      for (const word of documents.splice(0)) skipDocument(scan, word);
    } else {
      const token = redirect(scan) ?? operator(scan) ?? word(scan, mode);
      tokens.push(token);
      if (token.type === 'redirect' && /^\d*<<-?$/.test(token.text)) documents.push(peekWord(scan, mode));
    }
  }
  if (documents.length > 0) scan.open ??= '<<';
  return { tokens, open: scan.open, comment };
}

function redirect(scan: Scan): Redirect | undefined {
  const { line } = scan;
  let end = scan.at;
  while (end - scan.at < 4 && line.charAt(end) >= '0' && line.charAt(end) <= '9') end += 1;
  if (line.charAt(end) === '&' && line.charAt(end + 1) === '>' && end === scan.at) end += 1;
  const c = line.charAt(end);
  if (c !== '<' && c !== '>') return undefined;
  if (line.charAt(end + 1) === '(') return undefined;
  const rest = line.slice(end, end + 3);
  const found = ['<<<', '<<-', '>>', '<<', '<>', '>|', '>&', '<&', '>', '<'].find((text) => rest.startsWith(text)) ?? c;
  const text = line.slice(scan.at, end) + found;
  scan.at = end + found.length;
  return { type: 'redirect', text };
}

function operator(scan: Scan): Operator | undefined {
  const rest = scan.line.slice(scan.at, scan.at + 3);
  const text = [';;&', '&&', '||', ';;', ';&', '|&', '&|', '&', '|', ';', '(', ')'].find((found) =>
    rest.startsWith(found),
  );
  if (text === undefined) return undefined;
  scan.at += text.length;
  return { type: 'operator', text };
}

function word(scan: Scan, mode: 'shell' | 'prose'): Word {
  const { line } = scan;
  const from = scan.at;
  let text = '';
  let quoted = false;
  let expands = false;
  while (scan.at < line.length) {
    const c = line.charAt(scan.at);
    const next = line.charAt(scan.at + 1);
    if (c === '\\') {
      quoted = true;
      text += next;
      scan.at += 2;
    } else if (c === "'" || c === '\u2019') {
      const inWord = scan.at > from && letter.test(line.charAt(scan.at - 1)) && letter.test(next);
      if (c === '\u2019' || (mode === 'prose' && inWord)) {
        text += "'";
        scan.at += 1;
      } else {
        quoted = true;
        text += quotedText(scan, "'");
      }
    } else if (c === '"' || c === '`') {
      if (c === '"') quoted = true;
      const inner = quotedText(scan, c);
      expands ||= c === '`' || inner.includes('$') || inner.includes('`');
      text += inner;
    } else if (opensBracket(line, scan.at, from)) {
      const start = scan.at;
      expands = true;
      skipBrackets(scan);
      text += line.slice(start, scan.at);
    } else if (ends.has(c)) {
      if (scan.at > from) break;
      text += c;
      scan.at += 1;
    } else {
      if (c === '$' && /[\w?!#@*$-]/.test(next)) expands = true;
      text += c;
      scan.at += 1;
    }
  }
  scan.at = Math.min(scan.at, line.length);
  return { type: 'word', raw: line.slice(from, scan.at), text, quoted, expands };
}

/** `$(`, `${`, `<(`, an array `a=(`, an extended glob `*(`: brackets that belong to a word. */
function opensBracket(line: string, at: number, from: number): boolean {
  const c = line.charAt(at);
  const next = line.charAt(at + 1);
  if (c === '$') return next === '(' || next === '{' || next === '[';
  if (c === '<' || c === '>') return next === '(' && at === from;
  if (next !== '(') return false;
  if (c === '=') return at > from && /\w/.test(line.charAt(at - 1));
  return c === '*' || c === '@' || c === '+' || (c === '!' && at > from) || (c === '?' && at === from);
}

function quotedText(scan: Scan, quote: string): string {
  const { line } = scan;
  let end = scan.at + 1;
  if (quote === "'") {
    end = line.indexOf("'", end);
    if (end < 0) end = line.length;
  } else {
    while (end < line.length && line.charAt(end) !== quote) end += line.charAt(end) === '\\' ? 2 : 1;
  }
  if (end >= line.length) {
    scan.open ??= quote;
    end = line.length;
  }
  const text = line.slice(scan.at + 1, end);
  scan.at = end + 1;
  return text;
}

function skipBrackets(scan: Scan): void {
  const { line } = scan;
  const stack: string[] = [];
  scan.at += line.charAt(scan.at + 1) in closers ? 1 : 0;
  while (scan.at < line.length) {
    const c = line.charAt(scan.at);
    if (c === '\\') scan.at += 2;
    else if (c === "'" || c === '"' || c === '`') quotedText(scan, c);
    else {
      const closer = closers[c];
      if (closer !== undefined && (c !== '[' || stack.length === 0)) {
        if (stack.length < nestingMax) stack.push(closer);
      } else if (c === stack.at(-1)) stack.pop();
      scan.at += 1;
      if (stack.length === 0) return;
    }
  }
  scan.open ??= '(';
}

function peekWord(scan: Scan, mode: 'shell' | 'prose'): string {
  const at = scan.at;
  let from = at;
  while (blank.test(scan.line.charAt(from))) from += 1;
  const end = Math.min(scan.line.length, from + 256);
  const copy: Scan = { line: scan.line.slice(from, end), at: 0, open: undefined };
  return copy.line === '' || ends.has(copy.line.charAt(0)) ? '' : word(copy, mode).text;
}

function skipDocument(scan: Scan, delimiter: string): void {
  const { line } = scan;
  while (scan.at < line.length) {
    const end = line.indexOf('\n', scan.at);
    const stop = end < 0 ? line.length : end;
    const text = line.slice(scan.at, stop).trim();
    scan.at = stop + 1;
    if (text === delimiter) return;
  }
  scan.at = Math.min(scan.at, line.length);
  scan.open ??= '<<';
}
