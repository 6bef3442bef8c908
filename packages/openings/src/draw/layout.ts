/**
 * Places the nodes of a plan in layers, one for each wave, with few crossings.
 *
 * 1. An edge over several layers gets a place in each of them, so that it passes between the nodes; not in a plan so
 *    large that nobody could follow one (bendsMax).
 * 2. Within a layer, places are ordered by the middle of their neighbours, four times back and forth; ties keep the file's order.
 */
import { bendsMax } from '../limits.ts';
import type { Plan } from '../plan.ts';

export type Point = { readonly x: number; readonly y: number };
export type Layout = {
  readonly width: number;
  readonly height: number;
  /** Middles, in the order of the plan's nodes. */
  readonly nodes: readonly Point[];
  /** Middles of the nodes and bends that each edge passes, in the order of the plan's edges. */
  readonly edges: readonly (readonly Point[])[];
};
export type Sizes = { readonly node: { readonly width: number; readonly height: number }; readonly gap: Point };

type Place = { readonly layer: number; readonly isBend: boolean; order: number; before: number[]; after: number[] };

export function layoutOf({ nodes, edges, waves }: Plan, { node, gap }: Sizes): Layout {
  const places: Place[] = nodes.map(({ wave }) => ({ layer: wave, isBend: false, order: 0, before: [], after: [] }));
  const indexOf = new Map(nodes.map(({ id }, index) => [id, index]));
  let bends = 0;
  const routes = edges.map(({ from, to }) => {
    const ends = [from, to].map((ref) => indexOf.get(ref.slice(0, ref.lastIndexOf('.'))) ?? 0);
    const [source = 0, target = 0] = ends;
    const route = [source];
    const last = places[target]?.layer ?? 0;
    for (let layer = (places[source]?.layer ?? 0) + 1; layer < last && bends < bendsMax; layer += 1) {
      bends += 1;
      route.push(places.push({ layer, isBend: true, order: 0, before: [], after: [] }) - 1);
    }
    route.push(target);
    for (let i = 1; i < route.length; i += 1) {
      places[route[i - 1] ?? 0]?.after.push(route[i] ?? 0);
      places[route[i] ?? 0]?.before.push(route[i - 1] ?? 0);
    }
    return route;
  });
  const layers: number[][] = Array.from({ length: waves }, () => []);
  places.forEach(({ layer }, index) => layers[layer]?.push(index));
  order(places, layers);
  const heightOf = (place: Place | undefined): number => (place?.isBend === true ? gap.y : node.height + gap.y);
  const heights = layers.map((layer) => layer.reduce((sum, index) => sum + heightOf(places[index]), 0));
  const height = heights.reduce((most, one) => Math.max(most, one), 0);
  const points: Point[] = [];
  layers.forEach((layer, column) => {
    let y = (height - (heights[column] ?? 0)) / 2;
    for (const index of layer) {
      const own = heightOf(places[index]);
      points[index] = { x: column * (node.width + gap.x) + (node.width + gap.x) / 2, y: y + own / 2 };
      y += own;
    }
  });
  const at = (index: number): Point => points[index] ?? { x: 0, y: 0 };
  return {
    width: waves * (node.width + gap.x),
    height,
    nodes: nodes.map((_, index) => at(index)),
    edges: routes.map((route) => route.map(at)),
  };
}

function order(places: Place[], layers: number[][]): void {
  for (const layer of layers) number(places, layer);
  for (let sweep = 0; sweep < 4; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const layer of forward ? layers : layers.toReversed()) {
      const middle = new Map(
        layer.map((index) => {
          const place = places[index];
          const near = (forward ? place?.before : place?.after) ?? [];
          const sum = near.reduce((total, other) => total + (places[other]?.order ?? 0), 0);
          return [index, near.length === 0 ? (place?.order ?? 0) : sum / near.length];
        }),
      );
      layer.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0));
      number(places, layer);
    }
  }
}

/** Orders count from the middle, so that layers of unlike sizes face each other. */
function number(places: readonly Place[], layer: readonly number[]): void {
  layer.forEach((index, order) => {
    const place = places[index];
    if (place !== undefined) place.order = order - (layer.length - 1) / 2;
  });
}
