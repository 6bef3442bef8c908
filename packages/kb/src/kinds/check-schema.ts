/**
 * Checks a payload against the schema of its kind. Schemas are compiled at the first payload of each kind.
 */
import { createRequire } from 'node:module';
import type { ValidateFunction } from 'ajv';
import type * as Ajv from 'ajv/dist/2020.js';
import type { JsonObject } from '@runloop/core';

/** What does not fit, with its place, or nothing; kinds that the schemas do not know fit. */
export type SchemaCheck = (kind: string, payload: JsonObject) => string | undefined;

export function createSchemaCheck(schemas: { readonly [kind: string]: object }): SchemaCheck {
  const compiled = new Map<string, ValidateFunction>();
  let ajv: Ajv.Ajv2020 | undefined;
  return (kind, payload) => {
    const schema = Object.hasOwn(schemas, kind) ? schemas[kind] : undefined;
    if (schema === undefined) return undefined;
    const validate = compiled.get(kind) ?? (ajv ??= newAjv()).compile(schema);
    compiled.set(kind, validate);
    if (validate(payload)) return undefined;
    const first = validate.errors?.[0];
    return `${kind}${first?.instancePath ?? ''} ${first?.message ?? 'does not fit'}`;
  };
}

/** Loaded at the first check: it is 80 files, and most starts of a daemon see none. */
function newAjv(): Ajv.Ajv2020 {
  const { Ajv2020 } = createRequire(import.meta.url)('ajv/dist/2020.js') as typeof Ajv;
  return new Ajv2020({ strict: true, allErrors: false, validateFormats: false });
}
