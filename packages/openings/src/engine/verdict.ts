/**
 * Whether a run has met, can still meet, or can no longer meet its success condition.
 */
import { type Condition, holds, type Success } from '../ir.ts';
import { outputsOn, type RunState } from './state.ts';

export type Verdict = 'met' | 'open' | 'impossible';

/** What the opening says, and what each nested one says of itself, but for one that was skipped as a whole. */
export function verdict(state: RunState): Verdict {
  const { success, groups = [] } = state.opening;
  const each = [success === undefined ? judgeSinks(state) : judgeAll(state, success)];
  for (const group of groups) {
    const at = state.groups.get(group.id);
    if (group.success === undefined || at?.skipped === group.nodes) continue;
    const mayBeSkipped = at !== undefined && at.skipped + at.left === group.nodes && at.startedMs === undefined;
    each.push(mayBeSkipped ? 'open' : judgeAll(state, group.success));
  }
  return allOf(each);
}

function judgeAll(state: RunState, { mode, conditions }: Success): Verdict {
  const each = conditions.map((condition) => judge(state, condition));
  if (mode === 'all_of') return allOf(each);
  if (each.includes('met')) return 'met';
  return each.includes('open') ? 'open' : 'impossible';
}

function allOf(each: readonly Verdict[]): Verdict {
  if (each.includes('impossible')) return 'impossible';
  return each.includes('open') ? 'open' : 'met';
}

/** Without a condition: all sinks succeeded or were skipped. */
function judgeSinks(state: RunState): Verdict {
  let open = false;
  for (const [index, node] of state.nodes.entries()) {
    if ((state.graph.outbound[index]?.length ?? 0) > 0) continue;
    if (node.phase === 'failed' || node.phase === 'cancelled') return 'impossible';
    open ||= node.phase !== 'succeeded' && node.phase !== 'skipped';
  }
  return open ? 'open' : 'met';
}

function judge(state: RunState, condition: Condition): Verdict {
  const node = state.nodes[state.graph.indexOf.get(condition.port.node) ?? -1];
  if (node === undefined) return 'impossible';
  switch (node.phase) {
    case 'succeeded':
    case 'failed': {
      const values = outputsOn(node, condition.port.port);
      if (condition.type === 'exists') return values.length > 0 ? 'met' : 'impossible';
      return values.length === 1 && holds(values[0]?.value, condition.when).result ? 'met' : 'impossible';
    }
    case 'skipped':
    case 'cancelled':
      return 'impossible';
    case 'pending':
    case 'ready':
    case 'running':
    case 'waiting':
      return 'open';
  }
  return node.phase satisfies never;
}
