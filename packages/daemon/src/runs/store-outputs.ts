/**
 * What an attempt has given: checked against the manifest of its agent, stored, and told as artifacts where it is to be saved.
 */
import { err, type Failure, failure, type JsonValue, ok, type Result } from '@runloop/core';
import { errPort, type Opening, type PortValue } from '@runloop/openings';
import type { Bundle } from '@runloop/runtime';
import { type Given, outputProblem } from './outputs.ts';
import type { RunDraft } from './ports.ts';
import type { Values } from './values.ts';

export type StoredOutputs = {
  readonly outputs: { readonly [port: string]: readonly PortValue[] };
  readonly artifacts: readonly RunDraft[];
};

export async function storeOutputs(
  values: Values,
  opening: Opening,
  node: string,
  bundle: Bundle,
  given: Given,
): Promise<Result<StoredOutputs, Failure>> {
  const problem = outputProblem(bundle, given);
  if (problem !== undefined) return err(failure('AgentFailed', problem));
  // Without a prototype: a port may be named like something that every object has.
  const outputs = Object.create(null) as { [port: string]: PortValue[] };
  const artifacts: RunDraft[] = [];
  const read = portsRead(opening, node);
  for (const [port, items] of Object.entries(given)) {
    for (const { type, value } of items) {
      const digest = await values.put(value);
      if (!digest.ok) return digest;
      (outputs[port] ??= []).push({
        type,
        digest: digest.value,
        ...(read.has(port) && isScalar(value) ? { value } : {}),
      });
      if (!opening.artifacts.save.some((ref) => ref.node === node && ref.port === port)) continue;
      const bytes = Buffer.byteLength(JSON.stringify(value));
      const message = `${node} made an artifact (${type}, ${bytes} bytes).`;
      const meta = { node, port, type, digest: digest.value, bytes };
      artifacts.push({ kind: 'artifact.created', level: 'info', message, meta });
    }
  }
  return ok({ outputs, artifacts });
}

/** Ports of a node whose values a predicate or condition reads. */
function portsRead({ edges, success, groups = [] }: Opening, node: string): Set<string> {
  const ports = edges
    .filter((edge) => edge.from.node === node && edge.when !== undefined)
    .map((edge) => edge.from.port);
  const conditions = [success, ...groups.map((group) => group.success)]
    .flatMap((one) => one?.conditions ?? [])
    .filter((condition) => condition.port.node === node)
    .map((condition) => condition.port.port);
  return new Set([...ports, ...conditions].filter((port) => port !== errPort));
}

function isScalar(value: JsonValue): boolean {
  return typeof value === 'boolean' || typeof value === 'number' || (typeof value === 'string' && value.length <= 1024);
}
