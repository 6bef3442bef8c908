/**
 * What the opening lets a node spend: the run as a whole, each nested opening around it, and the node.
 */
import { groupsOf, type NodeSpec, type Opening } from '@runloop/openings';
import type { CallScope } from './ports.ts';

export function budgetsOf(opening: Opening, node: NodeSpec | undefined): CallScope['budgets'] {
  const { budget_tokens: runTokens, budget_usd: runUsd } = opening.policy;
  const groups = groupsOf(opening, node?.id ?? '').map(({ id, budget_tokens: tokens, budget_usd: usd }) => ({
    id,
    ...(tokens === undefined ? {} : { tokens }),
    ...(usd === undefined ? {} : { usd }),
  }));
  return {
    ...(runTokens === undefined ? {} : { runTokens }),
    ...(runUsd === undefined ? {} : { runUsd }),
    ...(node?.budget_tokens === undefined ? {} : { nodeTokens: node.budget_tokens }),
    ...(groups.length === 0 ? {} : { groups }),
  };
}
