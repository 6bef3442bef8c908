/**
 * Openings of a given size in three shapes: a chain, a fan-out with its join, and layers of twenty nodes with three edges each.
 */
export const shapes = ['chain', 'fan', 'layers'] as const;
export type Shape = (typeof shapes)[number];

const layerWidth = 20;

/** Pairs of node numbers. */
function edgesOf(shape: Shape, size: number): readonly (readonly [number, number])[] {
  if (shape === 'chain') return Array.from({ length: size - 1 }, (_, i) => [i, i + 1]);
  if (shape === 'fan')
    return Array.from({ length: size - 2 }, (_, i) => [[0, i + 1] as const, [i + 1, size - 1] as const]).flat();
  return Array.from({ length: size }, (_, i) =>
    [0, 1, 2].flatMap((by) => {
      const from = (Math.floor(i / layerWidth) - 1) * layerWidth + ((i + by * 7) % layerWidth);
      return from < 0 ? [] : [[from, i] as const];
    }),
  ).flat();
}

export function yamlOf(shape: Shape, size: number, agent = 'noop', extra = ''): string {
  const nodes = Array.from({ length: size }, (_, i) => `  - { id: n${i}, use: "agent:${agent}"${extra} }`);
  const edges = edgesOf(shape, size).map(([from, to]) => `  - { from: n${from}.out, to: n${to}.in }`);
  return `version: 0\nname: bench\npolicy: { max_parallel: 64 }\nnodes:\n${nodes.join('\n')}\nedges:\n${edges.join('\n')}\n`;
}
