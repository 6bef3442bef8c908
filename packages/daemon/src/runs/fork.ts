/**
 * A fork: a new run that takes everything before one node from the tape of another, and runs the rest live.
 *
 * F1. What is taken stands on the new run's own ledger as ends of nodes (`from_tape`), with outputs, labels and evidence:
 *     recovery and replay of a fork need nothing of the run that it came from but its blobs.
 * F2. Only what has ended well enough to build on is taken; a node that failed or was cancelled is forked at, not after.
 * F3. What a fork changes is checked against the manifests as at a submission. What its opening loosens does not hold:
 *     the text to which somebody has agreed is not this one.
 */
import { err, failure, type Failure, isClean, type JsonObject, nearest, ok, type Result } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import { type AgentInterface, graphOf, newState, type Opening, refitProblems, step } from '@runloop/openings';
import { interfaceOf } from '../agents/registry.ts';
import { RunMemory } from './memory.ts';
import { type AgentPins, ownPin, pinOf } from './pin-of.ts';
import type { AgentSource, OperatorWill, RunDraft } from './ports.ts';
import { metaOf } from './tape.ts';

export type ForkRequest = {
  readonly traceId: string;
  /** The run that is forked, and the first node that runs live. */
  readonly of: string;
  readonly at: string;
  /** Settings of that node, over those that it had. */
  readonly with: JsonObject;
  /** Other agents, by node. */
  readonly agents: { readonly [node: string]: string };
  readonly model?: string | undefined;
  readonly onConfirm: 'wait' | 'deny';
  readonly priority: number;
  readonly actor: string;
};

export type ForkDeps = { readonly agents: AgentSource; readonly operator: Pick<OperatorWill, 'declassifies'> };

export type Fork = {
  readonly opening: Opening;
  readonly pins: AgentPins;
  readonly seed: string;
  /** The ends of the nodes that are taken, in the order in which they ended. */
  readonly prefix: readonly RunDraft[];
  readonly folder: string | undefined;
};

export async function planFork(
  { agents, operator }: ForkDeps,
  rows: readonly StoredEvent[],
  request: ForkRequest,
): Promise<Result<Fork, Failure>> {
  const source = sourceOf(rows, request.of);
  if (!source.ok) return source;
  const { opening, accepted } = source.value;
  const before = nodesBefore(opening, request);
  if (!before.ok) return before;
  const prefix = prefixOf(rows, opening, before.value, accepted);
  if (!prefix.ok) return prefix;
  const changed = await changedBy({ agents, operator }, request, opening, accepted['agents'] as AgentPins);
  if (!changed.ok) return changed;
  const folder = typeof accepted['folder'] === 'string' ? accepted['folder'] : undefined;
  return ok({ ...changed.value, seed: String(accepted['seed']), prefix: prefix.value, folder });
}

function sourceOf(
  rows: readonly StoredEvent[],
  traceId: string,
): Result<{ readonly opening: Opening; readonly accepted: JsonObject }, Failure> {
  const [first] = rows;
  if (first === undefined) return err(failure('NotFound', `there is no run ${traceId}`, { hint: 'see: rlp runs' }));
  if (rows.some((row) => row.payload === null))
    return err(failure('NotFound', `run ${traceId} was forgotten: there is nothing left to fork`));
  if (rows.at(-1)?.kind !== 'run.finished')
    return err(failure('Busy', `run ${traceId} has not finished`, { hint: `wait for it: rlp attach ${traceId}` }));
  const accepted = metaOf(first);
  return ok({ accepted, opening: accepted['opening'] as unknown as Opening });
}

/** The nodes from which a path leads to the one that is forked at. */
function nodesBefore(opening: Opening, { at, agents }: ForkRequest): Result<ReadonlySet<string>, Failure> {
  const { indexOf, inbound } = graphOf(opening);
  for (const node of [at, ...Object.keys(agents)])
    if (!indexOf.has(node)) {
      const near = nearest(node, indexOf.keys());
      const hint =
        near === undefined ? `it has: ${[...indexOf.keys()].slice(0, 20).join(', ')}` : `did you mean "${near}"?`;
      return err(failure('NotFound', `opening ${opening.name} has no node "${node}"`, { hint }));
    }
  const before = new Set([at]);
  for (const id of before)
    for (const edge of inbound[indexOf.get(id) ?? -1] ?? []) before.add(opening.edges[edge]?.from.node ?? '');
  before.delete(at);
  const taken = Object.keys(agents).find((node) => before.has(node));
  if (taken === undefined) return ok(before);
  const hint = `fork at "${taken}" instead`;
  return err(failure('InvalidParams', `node "${taken}" comes before "${at}" and is taken from the tape`, { hint }));
}

function prefixOf(
  rows: readonly StoredEvent[],
  opening: Opening,
  before: ReadonlySet<string>,
  accepted: JsonObject,
): Result<readonly RunDraft[], Failure> {
  const memory = new RunMemory(rows);
  const state = newState(opening, new Uint8Array(32), 1);
  for (const row of rows)
    step(state, { type: 'fact', kind: row.kind as RunDraft['kind'], tsMs: row.ts_ms, meta: metaOf(row) });
  const taking = newState(opening, new Uint8Array(32), 1);
  step(taking, { type: 'fact', kind: 'run.accepted', tsMs: 0, meta: accepted });
  const prefix: RunDraft[] = [];
  for (const row of rows) {
    const meta = metaOf(row);
    const node = String(meta['node']);
    if (row.kind !== 'node.finished' || !before.has(node)) continue;
    if (meta['state'] === 'cancelled') return err(notTaken(node, 'was cancelled'));
    const evidence = memory.evidence(node, state);
    const label = memory.of(node);
    const draft: RunDraft = {
      kind: 'node.finished',
      level: 'info',
      message: `Node ${node} was taken from the tape.`,
      meta: {
        ...kept(meta, ['node', 'attempt', 'state', 'code', 'reason', 'retryable', 'outputs']),
        from_tape: true,
        ...(isClean(label) ? {} : { label: label }),
        ...(evidence.length === 0 ? {} : { evidence }),
      },
    };
    prefix.push(draft);
    step(taking, { type: 'fact', kind: draft.kind, tsMs: 0, meta: draft.meta });
    if (taking.failure !== undefined) return err(notTaken(node, 'failed'));
  }
  return ok(prefix);
}

function notTaken(node: string, why: string): Failure {
  return failure('InvalidParams', `node "${node}" ${why} in that run: nothing can be built on it`, {
    hint: `fork at it: --at ${node}`,
  });
}

/** The opening and the pins with what the fork changes, once it fits. */
async function changedBy(
  { agents: source, operator }: ForkDeps,
  { at, with: settings, agents }: ForkRequest,
  opening: Opening,
  before: AgentPins,
): Promise<Result<Pick<Fork, 'opening' | 'pins'>, Failure>> {
  const pins: { [agent: string]: string } = { ...before };
  for (const [node, agent] of Object.entries(agents)) {
    const bundle = await source.pin(agent);
    if (!bundle.ok) return bundle;
    pins[ownPin(node, agent)] = bundle.value.digest;
  }
  const isSet = Object.keys(settings).length > 0;
  const nodes = opening.nodes.map((node) => {
    const agent = Object.hasOwn(agents, node.id) ? agents[node.id] : undefined;
    const use = agent === undefined ? node.use : { kind: 'agent' as const, name: agent };
    return { ...node, use, with: isSet && node.id === at ? { ...node.with, ...settings } : node.with };
  });
  const changed = { ...opening, nodes };
  const touched = new Set([...Object.keys(agents), ...(isSet ? [at] : [])]);
  if (touched.size === 0) return ok({ opening, pins });
  const interfaces = new Map<string, AgentInterface>();
  for (const node of nodes) {
    const bundle = await source.pinned(node.use.name, pinOf(pins, node));
    if (bundle.ok) interfaces.set(node.id, interfaceOf(bundle.value, operator.declassifies(bundle.value.digest)));
    else if (touched.has(node.id)) return bundle;
  }
  const problems = refitProblems(changed, interfaces, touched);
  const [first] = problems;
  if (first === undefined) return ok({ opening: changed, pins });
  return err(
    failure('InvalidParams', problems.join('; '), {
      hint: 'what an agent takes: rlp agent show <agent>',
      details: { problems },
    }),
  );
}

function kept(meta: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(meta).filter(([name]) => names.includes(name)));
}
