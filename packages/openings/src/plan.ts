/**
 * What `rlp plan` shows of a valid opening: order, waves, worst-case cost. Runs nothing.
 */
import { graphOf } from './graph.ts';
import { cleanLabel } from '@runloop/core';
import { flowsOf, type NodeFlow } from './flow.ts';
import { type AgentInterface, defaultRetry, type Group, type Opening } from './ir.ts';

export type PlannedNode = {
  readonly id: string;
  readonly agent: string;
  /** Nodes of one wave wait for nothing but earlier waves. */
  readonly wave: number;
  readonly after: readonly string[];
  readonly attempts_max: number;
  readonly timeout_ms?: number;
  readonly tokens_max?: number;
  /** Labels that what it gives can carry, and where it can leave. */
  readonly flow: NodeFlow;
};

export type Plan = {
  readonly name: string;
  readonly goals: readonly string[];
  readonly nodes: readonly PlannedNode[];
  readonly edges: readonly { readonly from: string; readonly to: string; readonly when?: string }[];
  /** Nested openings; their nodes are called `<id>/<node>`. */
  readonly groups: readonly Group[];
  readonly waves: number;
  readonly tokens_max?: number;
  readonly usd_max?: number;
  readonly timeout_ms?: number;
};

const nowhere: NodeFlow = { label: cleanLabel, sinks: [], confirmed: true };

export function planOf(opening: Opening, agents: ReadonlyMap<string, AgentInterface>): Plan {
  const graph = graphOf(opening);
  const flows = flowsOf(opening, graph, agents);
  const nodes = graph.order.flatMap((index) => {
    const node = opening.nodes[index];
    if (node === undefined) return [];
    const sources = (graph.inbound[index] ?? []).map((edge) => opening.edges[edge]?.from.node ?? '');
    return [
      {
        id: node.id,
        agent: node.use.name,
        wave: graph.depth[index] ?? 0,
        after: [...new Set(sources)],
        flow: flows[index] ?? nowhere,
        attempts_max: Math.max(1, (node.retry ?? defaultRetry).max_attempts),
        ...(node.timeout_ms === undefined ? {} : { timeout_ms: node.timeout_ms }),
        ...(node.budget_tokens === undefined ? {} : { tokens_max: node.budget_tokens }),
      },
    ];
  });
  const { policy } = opening;
  return {
    name: opening.name,
    goals: opening.goals,
    nodes,
    edges: opening.edges.map((edge) => ({
      from: `${edge.from.node}.${edge.from.port}`,
      to: `${edge.to.node}.${edge.to.port}`,
      ...(edge.when === undefined ? {} : { when: `${edge.when.op} ${JSON.stringify(edge.when.value)}` }),
    })),
    groups: opening.groups ?? [],
    waves: nodes.reduce((most, node) => Math.max(most, node.wave + 1), 0),
    ...(policy.budget_tokens === undefined ? {} : { tokens_max: policy.budget_tokens }),
    ...(policy.budget_usd === undefined ? {} : { usd_max: policy.budget_usd }),
    ...(policy.timeout_ms === undefined ? {} : { timeout_ms: policy.timeout_ms }),
  };
}
