/**
 * Whether a run has met, can still meet, or can no longer meet its success condition.
 */
import { type Condition, holds } from '../ir.ts';
import { outputsOn, type RunState } from './state.ts';

export type Verdict = 'met' | 'open' | 'impossible';

export function verdict(state: RunState): Verdict {
  const { success } = state.opening;
  if (success === undefined) return judgeSinks(state);
  const each = success.conditions.map((condition) => judge(state, condition));
  if (success.mode === 'any_of') {
    if (each.includes('met')) return 'met';
    return each.includes('open') ? 'open' : 'impossible';
  }
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
