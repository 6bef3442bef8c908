/**
 * What an attempt has given: checked against the manifest of its agent, stored, and told as artifacts where it is to be saved.
 */
import { err, type Failure, failure, type JsonValue, ok, type Result } from '@runloop/core';
import type { BlobDraft } from '@runloop/kb';
import { errPort, type Opening, type PortRef, type PortValue } from '@runloop/openings';
import type { Bundle } from '@runloop/runtime';
import { type Given, outputProblem } from './outputs.ts';
import type { RunDraft } from './ports.ts';
import type { Values } from './values.ts';

export type StoredOutputs = {
  readonly outputs: { readonly [port: string]: readonly PortValue[] };
  readonly artifacts: readonly RunDraft[];
  /** What the outputs name and is not durable yet. */
  readonly blobs: readonly BlobDraft[];
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
  const blobs: BlobDraft[] = [];
  const { read, saved } = usesOf(opening);
  for (const [port, items] of Object.entries(given)) {
    for (const { type, value } of items) {
      const kept = await values.keep(value);
      if (!kept.ok) return kept;
      const { value: digest } = kept.value;
      (outputs[port] ??= []).push({
        type,
        digest,
        ...(read.get(node)?.has(port) === true && isScalar(value) ? { value } : {}),
      });
      if (saved.get(node)?.has(port) !== true) {
        blobs.push(...kept.value.blobs);
        continue;
      }
      const bytes = Buffer.byteLength(JSON.stringify(value));
      const message = `${node} made an artifact (${type}, ${bytes} bytes).`;
      const meta = { node, port, type, digest, bytes };
      artifacts.push({ kind: 'artifact.created', level: 'info', message, meta, blobs: kept.value.blobs });
    }
  }
  return ok({ outputs, artifacts, blobs });
}

/** What the opening as a whole does with the outputs of its nodes, looked up by node. */
type Uses = {
  /** Ports whose values a predicate or condition reads. */
  readonly read: ReadonlyMap<string, ReadonlySet<string>>;
  readonly saved: ReadonlyMap<string, ReadonlySet<string>>;
};

const uses = new WeakMap<Opening, Uses>();

function usesOf(opening: Opening): Uses {
  const known = uses.get(opening);
  if (known !== undefined) return known;
  const { edges, success, groups = [], artifacts } = opening;
  const conditions = [success, ...groups.map((group) => group.success)].flatMap((one) => one?.conditions ?? []);
  const predicates = edges.filter((edge) => edge.when !== undefined).map((edge) => edge.from);
  const read = [...predicates, ...conditions.map(({ port }) => port)].filter(({ port }) => port !== errPort);
  const made = { read: byNode(read), saved: byNode(artifacts.save) };
  uses.set(opening, made);
  return made;
}

function byNode(refs: readonly PortRef[]): Map<string, Set<string>> {
  const ports = new Map<string, Set<string>>();
  for (const { node, port } of refs) ports.set(node, (ports.get(node) ?? new Set()).add(port));
  return ports;
}

function isScalar(value: JsonValue): boolean {
  return typeof value === 'boolean' || typeof value === 'number' || (typeof value === 'string' && value.length <= 1024);
}
