/** What a file or folder holds, by its name: vCards, a table, notes, or events that were exported. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import {
  canonicalJson,
  err,
  eventLevelsMax,
  failure,
  type Failure,
  isJsonObject,
  ok,
  parseJson,
  type Result,
} from '@runloop/core';
import { decoded, deltaOf, importBytesMax, plainText, type Read, undecoded } from './delta.ts';
import { readNotes } from './notes.ts';

export async function readImport(path: string): Promise<Result<Iterable<Read>, Failure>> {
  if (!existsSync(path)) return err(failure('NotFound', `there is no ${path}`));
  const found = statSync(path);
  if (found.isDirectory() || /\.(?:md|markdown)$/i.test(path)) return ok(readNotes(path));
  if (!found.isFile()) return err(failure('InvalidParams', `${path} is neither a file nor a folder`));
  if (found.size > importBytesMax)
    return err(failure('LimitExceeded', `${path} has ${found.size} bytes, the limit is ${importBytesMax}`));
  const read = readText(path);
  if (!read.ok) return read;
  const text = read.value;
  if (/\.(?:vcf|vcard)$/i.test(path)) return ok((await import('./vcard.ts')).readVcards(plainText(text)));
  if (/\.(?:csv|tsv)$/i.test(path)) return ok((await import('./csv.ts')).readCsv(text));
  if (/\.(?:ndjson|jsonl)$/i.test(path)) return ok(readEvents(text));
  return err(
    failure('InvalidParams', `${path} is of no kind that is known`, {
      hint: 'files: .vcf, .csv, .tsv, .md, .ndjson, .jsonl; or a folder with .md files',
    }),
  );
}

function readText(path: string): Result<string, Failure> {
  try {
    const text = decoded(readFileSync(path));
    return text === undefined ? err(failure('InvalidParams', `${path}: ${undecoded}`)) : ok(text);
  } catch (error) {
    return err(
      failure('InvalidParams', `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
}

/** Lines as `rlp kb export` writes them; `kind` and `payload` are enough. */
function* readEvents(text: string): Generator<Read> {
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const place = `line ${i + 1}`;
    const parsed = parseJson(line);
    const { kind, payload } = parsed.ok && isJsonObject(parsed.value) ? parsed.value : {};
    if (typeof kind === 'string' && isJsonObject(payload)) {
      // Half a character, or a member that no frame can carry.
      const canonical = canonicalJson({ kind, payload }, eventLevelsMax);
      if (canonical.ok) yield { place, delta: deltaOf(kind, payload) };
      else yield { place, problem: `${canonical.error.path}: ${canonical.error.why}` };
    } else yield { place, problem: parsed.ok ? 'it has no kind and payload' : `it is no JSON: ${parsed.error}` };
  }
}
