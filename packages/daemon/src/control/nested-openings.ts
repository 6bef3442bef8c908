/**
 * Finds the texts of the openings that an opening nests, and of those that they nest.
 *
 * 1. What the caller sent, from beside its file, comes first; then the folder of the opening itself, then the openings folders.
 * 2. One name, one text: wherever a name stands in a run, it means the same.
 */
import { dirname } from 'node:path';
import { err, failure, type Failure, isJsonObject, isName, type JsonObject, ok, type Result } from '@runloop/core';
import { nestedFilesMax, parseOpening } from '@runloop/openings';
import type { OpeningText } from '../runs/submission.ts';
import { findOpening } from './opening-names.ts';

export async function nestedOpenings(
  { file, text }: OpeningText,
  given: JsonObject,
  dirs: readonly string[],
): Promise<Result<ReadonlyMap<string, OpeningText>, Failure>> {
  const found = new Map<string, OpeningText>();
  const own = dirs.find((dir) => dir === dirname(file));
  const folders = own === undefined ? dirs : [own, ...dirs];
  const wanted = new Set(nestedIn(file, text));
  for (const name of wanted) {
    if (wanted.size > nestedFilesMax)
      return err(failure('InvalidOpening', `${file} nests more than ${nestedFilesMax} other files`));
    const source = sent(given[name]) ?? (await findOpening(folders, name));
    if (source === undefined) continue;
    found.set(name, source);
    for (const inner of nestedIn(source.file, source.text)) wanted.add(inner);
  }
  return ok(found);
}

function nestedIn(file: string, text: string): readonly string[] {
  if (!text.includes('opening:')) return [];
  const { opening } = parseOpening(file, text);
  return (opening?.nodes ?? []).flatMap(({ use }) => (use.kind === 'opening' && isName(use.name) ? [use.name] : []));
}

function sent(value: unknown): OpeningText | undefined {
  if (!isJsonObject(value)) return undefined;
  const { file, text } = value;
  return typeof file === 'string' && typeof text === 'string' ? { file, text } : undefined;
}
