/**
 * Whether what an agent gave is what its manifest declares: ports, types, and for `bool`, `number` and `string` the values.
 *
 * A replay asks the same again, so that a node that was failed for it fails again.
 */
import { type JsonValue, showLine } from '@runloop/core';
import type { Bundle } from '@runloop/runtime';

export type Given = { readonly [port: string]: readonly { readonly type: string; readonly value: JsonValue }[] };

/** Why the outputs are refused. */
export function outputProblem({ ports }: Pick<Bundle, 'ports'>, outputs: Given): string | undefined {
  for (const [port, items] of Object.entries(outputs)) {
    const declared = Object.hasOwn(ports.out, port) ? ports.out[port] : undefined;
    if (declared === undefined) return `it gave a value on the port "${port}", which its manifest does not declare`;
    for (const { type, value } of items) {
      if (!declared.includes(type) && !declared.includes('*'))
        return `it gave a ${type} on the port "${port}", which its manifest declares as ${declared.join(' or ')}`;
      const wanted = scalars.get(type);
      if (wanted !== undefined && typeof value !== wanted)
        return `it gave something on the port "${port}" as a ${type} that is none: ${JSON.stringify(value).slice(0, 80)}`;
    }
  }
  return undefined;
}

const scalars: ReadonlyMap<string, string> = new Map([
  ['bool', 'boolean'],
  ['number', 'number'],
  ['string', 'string'],
]);

/** A failure's reason as it stands in its event. */
export function shownReason(reason: string): string {
  return showLine(reason).slice(0, 2000);
}
