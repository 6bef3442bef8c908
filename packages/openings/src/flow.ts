/**
 * Information flow before a run: which labels can reach which node, by what its agents may do. Pure.
 *
 * 1. It errs on the side of more: what an agent may read it is taken to have read, and what it gives carries all of it.
 * 2. Refused is what is certain to be unwatched: private data and other people's words together at a sink that nobody is
 *    asked about. Everything else is gated while it runs.
 */
import { type Label, cleanLabel, joinLabels, labelOf, readBy } from '@runloop/core';
import type { Graph } from './graph.ts';
import { flowAllowedAt, saysOfConfirming } from './groups.ts';
import type { AgentInterface, Opening } from './ir.ts';

export type NodeFlow = {
  /** Of what the node can give. */
  readonly label: Label;
  /** Where what it has can leave: net, mail, exec, tools. */
  readonly sinks: readonly string[];
  /** Whether a person is asked before it does. */
  readonly confirmed: boolean;
};

/** The flow of each node, in the order of the file. */
export function flowsOf(
  opening: Opening,
  graph: Graph,
  agents: ReadonlyMap<string, AgentInterface>,
): readonly NodeFlow[] {
  const flows: NodeFlow[] = [];
  for (const index of graph.order) {
    const node = opening.nodes[index];
    if (node === undefined) continue;
    const may = agents.get(node.use.name)?.flow;
    const brought = (may?.brings ?? []).map(({ what, ...kinds }) => readBy(labelOf(what, kinds), node.id));
    const sources = new Set(
      (graph.inbound[index] ?? []).map((edge) => graph.indexOf.get(opening.edges[edge]?.from.node ?? '') ?? -1),
    );
    const given = [...sources].map((source) => flows[source]?.label ?? cleanLabel);
    const label = joinLabels(...given, ...brought);
    flows[index] = {
      label: may?.declassifies === true ? { ...label, secrecy: 'public' } : label,
      sinks: may?.sinks ?? [],
      confirmed: saysOfConfirming(opening, node.id, node.require_human_confirm) !== false,
    };
  }
  return flows;
}

/** Reports the nodes at which private data could leave on somebody else's word, with nobody asked. */
export function refuteFlows(
  opening: Opening,
  flows: readonly NodeFlow[],
  refute: (index: number, message: string, help: string) => void,
): void {
  flows.forEach(({ label, sinks, confirmed }, index) => {
    const id = opening.nodes[index]?.id ?? '';
    if (confirmed || flowAllowedAt(opening, id) !== undefined || sinks.length === 0) return;
    if (label.trust === 'trusted' || label.secrecy === 'public') return;
    const named = (kind: 'private' | 'untrusted'): string =>
      label.sources
        .filter((source) => source[kind] === true)
        .map(({ what, node }) => `${what} (${node ?? '?'})`)
        .join(', ');
    refute(
      index,
      `node "${id}" can send private data, ${named('private')}, on the word of ${named('untrusted')}, and nobody is asked`,
      'remove what turns the confirmation off, or say why it is wanted: policy.allow_flow: "<reason>"',
    );
  });
}
