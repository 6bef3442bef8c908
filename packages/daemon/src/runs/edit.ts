/**
 * Whether a person may ask for other arguments in a call's place: of the same kind of call, and within what its agent may do.
 */
import { failure, type Failure, type JsonObject, type Result } from '@runloop/core';
import { judge, operation } from '@runloop/runtime';
import type { Action } from './actions.ts';
import type { Effective } from './effective.ts';

export function editProblem(
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
