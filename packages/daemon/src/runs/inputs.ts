/** What a node is given, by port: the values that its inputs name. */
import { type Failure, type JsonValue, ok, type Result } from '@runloop/core';
import type { Outputs } from '@runloop/openings';
import type { Values } from './values.ts';

export async function loadInputs(
  values: Pick<Values, 'get'>,
  refs: Outputs,
): Promise<Result<{ [port: string]: JsonValue[] }, Failure>> {
  // Without a prototype: a port may be named like something that every object has.
  const inputs = Object.create(null) as { [port: string]: JsonValue[] };
  for (const [port, list] of Object.entries(refs)) {
    const given: JsonValue[] = [];
    for (const { digest } of list) {
      const value = await values.get(digest);
      if (!value.ok) return value;
      given.push(value.value);
    }
    inputs[port] = given;
  }
  return ok(inputs);
}
