/**
 * A plan as one SVG file that needs nothing else: no script, no font, no link.
 */
import { showLine } from '@runloop/core';
import type { Plan } from '../plan.ts';
import { layoutOf, type Point } from './layout.ts';

const node = { width: 190, height: 46 };
const gap: Point = { x: 90, y: 26 };
const margin = 16;
const lettersMax = 26;
const entities: { readonly [char: string]: string } = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const style = [
  'text { font: 13px system-ui, sans-serif; fill: #1f2933; text-anchor: middle; }',
  '.agent, .edge { font-size: 11px; fill: #5b6b7b; }',
  'rect { fill: #fff; stroke: #3b6ea5; rx: 8; }',
  'path { fill: none; stroke: #8796a5; stroke-width: 1.4; marker-end: url(#arrow); }',
  '.when { stroke-dasharray: 5 3; }',
].join(' ');

export function svgOf(plan: Plan): string {
  const layout = layoutOf(plan, { node, gap });
  const [width, height] = [layout.width + margin * 2, layout.height + margin * 2];
  const edges = plan.edges.map(({ from, to, when }, index) => {
    const route = layout.edges[index] ?? [];
    const label = when === undefined ? '' : edgeLabel(route, when);
    const title = `<title>${xml(`${from} → ${to}${when === undefined ? '' : ` if ${when}`}`)}</title>`;
    return `<g><path d="${pathOf(route)}"${when === undefined ? '' : ' class="when"'}>${title}</path>${label}</g>`;
  });
  const boxes = plan.nodes.map(({ id, agent }, index) => {
    const { x, y } = layout.nodes[index] ?? { x: 0, y: 0 };
    const corner = `x="${x - node.width / 2}" y="${y - node.height / 2}"`;
    const texts = `<text x="${x}" y="${y - 3}">${xml(cut(id))}</text><text class="agent" x="${x}" y="${y + 13}">${xml(cut(agent))}</text>`;
    return `<g><title>${xml(`${id} ${agent}`)}</title><rect ${corner} width="${node.width}" height="${node.height}"/>${texts}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${-margin} ${-margin} ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${xml(plan.name)}</title>`,
    `<style>${style}</style>`,
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill:#8796a5;stroke:none;marker-end:none"/></marker></defs>',
    `<rect x="${-margin}" y="${-margin}" width="${width}" height="${height}" style="stroke:none;rx:0"/>`,
    ...edges,
    ...boxes,
    '</svg>',
    '',
  ].join('\n');
}

/** From the side of the first box, through its bends, to the side of the last. */
function pathOf(route: readonly Point[]): string {
  const points = route.map(({ x, y }, index) => {
    if (index === 0) return { x: x + node.width / 2, y };
    return index === route.length - 1 ? { x: x - node.width / 2, y } : { x, y };
  });
  return points
    .map(({ x, y }, index) => {
      const before = points[index - 1];
      if (before === undefined) return `M${x} ${y}`;
      const half = (before.x + x) / 2;
      return `C${half} ${before.y} ${half} ${y} ${x} ${y}`;
    })
    .join(' ');
}

function edgeLabel(route: readonly Point[], when: string): string {
  const [from, to] = [route[0], route[1]];
  if (from === undefined || to === undefined) return '';
  const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2 - 5];
  return `<text class="edge" x="${x}" y="${y}">${xml(Array.from(when).slice(0, 16).join(''))}</text>`;
}

function cut(text: string): string {
  const points = Array.from(text);
  return points.length <= lettersMax ? text : `…${points.slice(1 - lettersMax).join('')}`;
}

function xml(text: string): string {
  return showLine(text.toWellFormed()).replaceAll(/[&<>"'\uFFFE\uFFFF]/g, (char) => entities[char] ?? '\uFFFD');
}
