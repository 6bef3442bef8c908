/**
 * The shape of an opening's DAG by index, and its order.
 *
 * Building is O(nodes + edges); nothing here looks at what a node does.
 */
import type { Opening } from './ir.ts';

export type Graph = {
  readonly indexOf: ReadonlyMap<string, number>;
  /** Per node: indices of its inbound and outbound edges, in file order. */
  readonly inbound: readonly (readonly number[])[];
  readonly outbound: readonly (readonly number[])[];
  /** Node indices, sources first; ties by position in the file. Shorter than the nodes when there is a cycle. */
  readonly order: readonly number[];
  /** Per node: the length of the longest path to it. */
  readonly depth: readonly number[];
};

/** Every edge must name existing nodes. */
export function graphOf(opening: Opening): Graph {
  const indexOf = new Map(opening.nodes.map((node, index) => [node.id, index]));
  const inbound: number[][] = opening.nodes.map(() => []);
  const outbound: number[][] = opening.nodes.map(() => []);
  opening.edges.forEach((edge, index) => {
    outbound[indexOf.get(edge.from.node) ?? -1]?.push(index);
    inbound[indexOf.get(edge.to.node) ?? -1]?.push(index);
  });
  const missing = inbound.map((edges) => edges.length);
  const depth = opening.nodes.map(() => 0);
  const order: number[] = [];
  let wave = opening.nodes.flatMap((_, index) => (missing[index] === 0 ? [index] : []));
  while (wave.length > 0) {
    const next: number[] = [];
    for (const node of wave) {
      order.push(node);
      for (const edge of outbound[node] ?? []) {
        const target = indexOf.get(opening.edges[edge]?.to.node ?? '') ?? -1;
        depth[target] = Math.max(depth[target] ?? 0, (depth[node] ?? 0) + 1);
        missing[target] = (missing[target] ?? 0) - 1;
        if (missing[target] === 0) next.push(target);
      }
    }
    wave = next.sort((a, b) => a - b);
  }
  return { indexOf, inbound, outbound, order, depth };
}

/** The ids along one cycle, the first repeated at the end; undefined when there is none. */
export function findCycle(opening: Opening, graph: Graph): readonly string[] | undefined {
  if (graph.order.length === opening.nodes.length) return undefined;
  const ordered = new Set(graph.order);
  let at = opening.nodes.findIndex((_, index) => !ordered.has(index));
  const path: number[] = [];
  const seenAt = new Map<number, number>();
  // Each node left over has an inbound edge from another one left over: walking back must repeat.
  while (!seenAt.has(at)) {
    seenAt.set(at, path.length);
    path.push(at);
    const back: number | undefined = graph.inbound[at]
      ?.map((edge) => graph.indexOf.get(opening.edges[edge]?.from.node ?? '') ?? -1)
      .find((source) => source >= 0 && !ordered.has(source));
    if (back === undefined) return undefined;
    at = back;
  }
  const cycle = path.slice(seenAt.get(at)).reverse();
  const ids = cycle.map((index) => opening.nodes[index]?.id ?? '?');
  return [...ids, ids[0] ?? '?'];
}
