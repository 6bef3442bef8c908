/**
 * Whether a person may ask for other arguments in a call's place: of the same kind of call, and within what its agent may do.
 */
import { failure, type Failure, type JsonObject, type Result } from '@runloop/core';
import { judge, operation } from '@runloop/runtime';
import type { RunState } from '@runloop/openings';
import type { Action } from './actions.ts';
import { type Effective, effectiveFor, type GrantPlaces } from './effective.ts';
import { type AgentPins, pinOf } from './pin-of.ts';
import type { AgentSource } from './ports.ts';
import type { Questions } from './questions.ts';

type Edited = {
  readonly state: RunState;
  readonly options: { readonly pins: AgentPins };
  readonly places: GrantPlaces;
  readonly questions: Questions;
};

export async function editAction(
  run: Edited,
  { agents }: { readonly agents: AgentSource },
  action: Action,
  hash: string,
  args: JsonObject,
  by: string,
): Promise<Failure | undefined> {
  const { opening, graph } = run.state;
  const spec = opening.nodes[graph.indexOf.get(action.node) ?? -1];
  if (spec === undefined) throw new Error(`no node ${action.node}`);
  const bundle = await agents.pinned(spec.use.name, pinOf(run.options.pins, spec));
  if (!bundle.ok) return bundle.error;
  const problem = editProblem(action, args, effectiveFor(bundle.value, spec, run.places));
  return problem ?? run.questions.decide(action.id, hash, 'edited', by, { args });
}

function editProblem(
  { id, op, meta }: Action,
  args: JsonObject,
  effective: Result<Effective, Failure>,
): Failure | undefined {
  if (!effective.ok) return effective.error;
  const { name, caps } = effective.value.bundle;
  const asked = operation(op, meta['args'] ?? null);
  const row = operation(op, args);
  if (row === undefined || row.cls !== asked?.cls)
    return failure('InvalidParams', `request ${id}: these arguments make ${op} another kind of call`, {
      hint: 'refuse it instead: rlp approve no',
    });
  const { allowed, target, grant } = judge(caps, row.capability, op, args);
  if (allowed) return undefined;
  const on = target === '' ? '' : ` on ${target}`;
  return failure('CapabilityDenied', `agent ${name} may not use ${op}${on}; missing grant: ${grant}`);
}
