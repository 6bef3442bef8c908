/**
 * Which JSON Schemas of a bundle are taken: 2020-12, self-contained, and without anything that runs a regular expression.
 *
 * 1. `$ref` stays inside the schema; `pattern`, `patternProperties` and `format` are refused, not ignored.
 * 2. Names of properties are data: one that is called `pattern` is no keyword.
 */
import { type JsonValue, isJsonObject } from '@runloop/core';
import { schemaDepthMax, schemaPartsMax } from '../limits.ts';

const refusedKeywords = [
  'pattern',
  'patternProperties',
  'format',
  '$id',
  '$dynamicRef',
  '$dynamicAnchor',
  '$recursiveRef',
];
const draft = 'https://json-schema.org/draft/2020-12/schema';
/** Their keys are names; their values are schemas. */
const named = ['properties', '$defs', 'definitions', 'dependentSchemas'];
/** Their values are data. */
const plain = ['const', 'enum', 'default', 'examples', 'required', 'dependentRequired'];

/** Why the schema is not taken. */
export function schemaFault(schema: JsonValue): string | undefined {
  let parts = 0;
  const visit = (value: JsonValue, depth: number): string | undefined => {
    parts += 1;
    if (depth > schemaDepthMax) return `a schema is nested deeper than ${schemaDepthMax}`;
    if (parts > schemaPartsMax) return `a schema has more than ${schemaPartsMax} parts`;
    if (Array.isArray(value)) return first(value as readonly JsonValue[], (item) => visit(item, depth + 1));
    if (!isJsonObject(value)) return undefined;
    return first(Object.entries(value), ([key, inner]) => {
      if (refusedKeywords.includes(key)) return `"${key}" is not taken in a schema`;
      if (key === '$ref' && (typeof inner !== 'string' || !inner.startsWith('#')))
        return '"$ref" must stay in its schema';
      if (key === '$schema' && inner !== draft) return `"$schema" must be ${draft}`;
      if (plain.includes(key)) return undefined;
      if (named.includes(key) && isJsonObject(inner))
        return first(Object.values(inner), (item) => visit(item, depth + 2));
      return visit(inner, depth + 1);
    });
  };
  return isJsonObject(schema) ? visit(schema, 0) : 'a schema must be a map';
}

function first<T>(items: readonly T[], fault: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = fault(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
