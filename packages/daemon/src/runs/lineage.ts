/**
 * How data came to where a question is asked: each source, and the nodes on its way. What a person sees before a yes.
 */
import type { JsonObject, Label } from '@runloop/core';
import type { RunState } from '@runloop/openings';

/** The label as it stands in `action.requested`: its sources, each with the shortest way through the opening. */
export function lineageOf(label: Label, node: string, state: RunState): JsonObject {
  return {
    trust: label.trust,
    secrecy: label.secrecy,
    sources: label.sources.map((source) => ({ ...source, path: pathBetween(source.node ?? node, node, state) })),
  };
}

function pathBetween(from: string, to: string, { graph, opening }: RunState): string[] {
  const next = new Map<string, string | undefined>([[to, undefined]]);
  for (const id of next.keys()) {
    if (id === from) break;
    for (const edge of graph.inbound[graph.indexOf.get(id) ?? -1] ?? []) {
      const source = opening.edges[edge]?.from.node;
      if (source !== undefined && !next.has(source)) next.set(source, id);
    }
  }
  const path: string[] = [];
  for (let at: string | undefined = next.has(from) ? from : to; at !== undefined; at = next.get(at)) path.push(at);
  return path;
}
