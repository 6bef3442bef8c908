import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { load } from 'js-yaml';
import { expect, test } from 'vitest';
import { openingSchema, parseOpening } from '../src/index.ts';
import { openingJson, printed } from './arbitrary.ts';

const validate = new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(openingSchema);
const examples = join(import.meta.dirname, '../../../examples/openings');

test.each(readdirSync(examples).filter((file) => file.endsWith('.yaml')))('the example %s fits', (file) => {
  expect(validate(load(readFileSync(join(examples, file), 'utf8'))), JSON.stringify(validate.errors)).toBe(true);
});

/** Paths of all that can be another value, or be missing. */
function paths(value: unknown, at: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, member]) => paths(member, [...at, key]))];
}

function changed(value: unknown, path: readonly string[], to: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return to;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as { [key: string]: unknown };
  copy[key] = changed(copy[key], rest, to);
  return copy;
}

const other = fc.oneof(
  fc.constantFrom(null, true, -1, 1.5, 2e9, '', 'a.b', 'a.b <= -3x', 'a.b==1e3', 'exists(a.b)', 'agent:x', 'x', [], {}),
  fc.string(),
);

test('what the parser takes the schema takes, and of what it refuses in form the schema refuses most', () => {
  const seen = { taken: 0, refused: 0, both: 0 };
  fc.assert(
    fc.property(openingJson, fc.nat(), other, (opening, pick, to) => {
      const all = paths(opening);
      const value = changed(opening, all[pick % all.length] ?? [], to);
      const { diagnostics } = parseOpening('x.yaml', printed(value));
      const fits = validate(value);
      if (!diagnostics.failed) {
        seen.taken += 1;
        expect(fits, `${printed(value)}\n${JSON.stringify(validate.errors)}`).toBe(true);
      } else {
        seen.refused += 1;
        if (!fits) seen.both += 1;
      }
    }),
    { numRuns: 2000 },
  );
  expect(seen.taken).toBeGreaterThan(200);
  expect(seen.both).toBeGreaterThan(seen.refused * 0.8);
});
