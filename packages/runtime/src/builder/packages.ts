/** Which npm package a file belongs to: the name and version of the nearest package.json above it that has both. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isJsonObject, parseJson } from '@runloop/core';
import type { Part } from '../builder-job.ts';

export function packageOf(path: string): Part | undefined {
  if (!isAbsolute(path)) return undefined;
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    const { name, version } = manifestIn(dir);
    if (typeof name === 'string' && typeof version === 'string') return { from: 'npm', name, version };
    if (dirname(dir) === dir) return undefined;
  }
}

/** A tool of the builder, as it is installed here. */
export function toolPackage(specifier: string): readonly Part[] {
  const found = packageOf(fileURLToPath(import.meta.resolve(specifier)));
  return found === undefined ? [] : [found];
}

function manifestIn(dir: string): { readonly name?: unknown; readonly version?: unknown } {
  try {
    const parsed = parseJson(readFileSync(join(dir, 'package.json'), 'utf8'));
    return parsed.ok && isJsonObject(parsed.value) ? parsed.value : {};
  } catch {
    return {};
  }
}
