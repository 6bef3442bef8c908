/**
 * Whether what a node is given fits its agent's manifest: `with` against the JSON Schema, types against types.
 */
import { createRequire } from 'node:module';
import type * as Ajv from 'ajv/dist/2020.js';
import type { JsonObject } from '@runloop/core';
import type { AgentInterface } from './ir.ts';

export function typesMeet(given: readonly string[], accepted: readonly string[]): boolean {
  return given.includes('*') || accepted.includes('*') || given.some((type) => accepted.includes(type));
}

const compiled = new WeakMap<JsonObject, Ajv.ValidateFunction | string>();
let ajv2020: typeof Ajv.Ajv2020 | undefined;

/** A bundle's schema may not use `pattern` or a remote `$ref` (docs/security.md); the runtime refused such a bundle before. */
function compile(schema: JsonObject): Ajv.ValidateFunction | string {
  let found = compiled.get(schema);
  if (found === undefined) {
    try {
      // Loaded at the first schema: it is 80 files, and most commands and an idle daemon need none.
      ajv2020 ??= (createRequire(import.meta.url)('ajv/dist/2020.js') as typeof Ajv).Ajv2020;
      found = new ajv2020({ allErrors: true, strict: false, validateFormats: false }).compile(schema);
    } catch (error) {
      found = error instanceof Error ? error.message : String(error);
    }
    compiled.set(schema, found);
  }
  return found;
}

/** What is wrong with a node's `with`, in sentences; nothing where the agent says nothing of it. */
export function withProblems(agent: AgentInterface, value: JsonObject): readonly string[] {
  if (agent.withSchema === undefined) return [];
  const validate = compile(agent.withSchema);
  if (typeof validate === 'string')
    return [`the manifest of agent "${agent.name}" has a schema that cannot be used: ${validate}`];
  if (validate(value)) return [];
  return (validate.errors ?? []).map((problem) => {
    const where = problem.instancePath === '' ? 'with' : `with${problem.instancePath.replaceAll('/', '.')}`;
    const extra = problem.params['additionalProperty'];
    const message =
      typeof extra === 'string'
        ? `has a key that agent "${agent.name}" does not know: "${extra}"`
        : (problem.message ?? 'does not fit');
    return `${where} ${message}`;
  });
}
