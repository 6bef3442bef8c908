/** Notes from Markdown: a file, or all below a folder. What stands above `---` lines may say whom it is about and since when. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { load } from 'js-yaml';
import { isJsonObject } from '@runloop/core';
import { decoded, deltaOf, importBytesMax, plainText, type Read, undecoded } from './delta.ts';

/** What one note may hold as JSON, in bytes; longer ones become several. */
const noteBytes = 15_000;
export const noteFilesMax = 100_000;

export function* readNotes(path: string): Generator<Read> {
  const isFolder = statSync(path).isDirectory();
  const files = isFolder ? markdownUnder(path) : [path];
  if (files.length === 0) yield { place: path, problem: 'it holds no .md files' };
  for (const file of files) yield* readNote(isFolder ? relative(path, file) : file, file);
}

function markdownUnder(folder: string): readonly string[] {
  const found: string[] = [];
  const folders = [folder];
  for (let dir = folders.pop(); dir !== undefined && found.length < noteFilesMax; dir = folders.pop())
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      if (entry.isDirectory()) folders.push(join(dir, entry.name));
      else if (entry.isFile() && /\.(?:md|markdown)$/i.test(entry.name)) found.push(join(dir, entry.name));
    }
  return found.sort();
}

function* readNote(place: string, path: string): Generator<Read> {
  const text = readNoteFile(path);
  if (typeof text !== 'string') {
    yield { place, problem: text.problem };
    return;
  }
  const [, above, below] = /^---\n([\s\S]*?)\n---\n?([\s\S]*)$/.exec(text) ?? [];
  const about = above === undefined ? {} : front(above);
  const body = (below ?? text).trim();
  if (about === undefined || body === '') {
    yield { place, problem: about === undefined ? 'what stands between its --- lines is no YAML map' : 'it is empty' };
    return;
  }
  for (let at = 0; at < body.length;) {
    const end = endOfPart(body, at);
    yield { place, delta: deltaOf('note.created', { text: body.slice(at, end).trim(), ...about }) };
    at = end;
  }
}

/** Its text with line ends of one kind. A file may vanish, or be a pipe, before it is its turn. */
function readNoteFile(path: string): string | { readonly problem: string } {
  try {
    const found = statSync(path);
    if (!found.isFile()) return { problem: 'it is no file' };
    if (found.size > importBytesMax) return { problem: `it has ${found.size} bytes, the limit is ${importBytesMax}` };
    const text = decoded(readFileSync(path));
    return text === undefined ? { problem: undecoded } : plainText(text);
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

function front(above: string): { entity?: string; written_ms?: number } | undefined {
  try {
    const value: unknown = load(above);
    if (!isJsonObject(value)) return undefined;
    const { entity } = value;
    const written = timeOf(value['date'] ?? value['created']);
    return {
      ...(typeof entity === 'string' && entity !== '' ? { entity } : {}),
      ...(Number.isNaN(written) || written < 0 ? {} : { written_ms: written }),
    };
  } catch {
    return undefined;
  }
}

/** A list in its place is no time: of a few lines of YAML its text would be without end. */
function timeOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  return typeof value === 'string' || typeof value === 'number' ? Date.parse(String(value)) : NaN;
}

/** Where a part that begins at `from` ends: all of it that fits, up to the end of a line where there is one. */
function endOfPart(text: string, from: number): number {
  let chars = noteBytes;
  while (Buffer.byteLength(JSON.stringify(text.slice(from, from + chars))) > noteBytes) chars = Math.floor(chars * 0.9);
  if (from + chars >= text.length) return text.length;
  const line = text.slice(from, from + chars).lastIndexOf('\n');
  if (line > 0) return from + line + 1;
  // No character is cut in two.
  const last = text.charCodeAt(from + chars - 1);
  return from + chars - (last >= 0xd800 && last < 0xdc00 ? 1 : 0);
}
