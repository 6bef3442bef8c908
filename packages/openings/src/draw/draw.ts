/**
 * A plan as a drawing: for a terminal, for Graphviz, for Mermaid, or as a picture of its own.
 *
 * 1. Each node and each edge stands in it once, edges with their predicate.
 * 2. What comes from the file is escaped for the form it is written into: it can end no string, tag or line.
 */
import { showLine } from '@runloop/core';
import type { Plan, PlannedNode } from '../plan.ts';
import { svgOf } from './svg.ts';

export const drawingFormats = ['text', 'dot', 'mermaid', 'svg'] as const;
export type DrawingFormat = (typeof drawingFormats)[number];

export function draw(plan: Plan, format: DrawingFormat, width = 80): string {
  switch (format) {
    case 'text':
      return textOf(plan, width);
    case 'dot':
      return dotOf(plan);
    case 'mermaid':
      return mermaidOf(plan);
    case 'svg':
      return svgOf(plan);
  }
  return format satisfies never;
}

/** Wave by wave; under each node what goes out of it. */
function textOf({ name, nodes, edges }: Plan, width: number): string {
  const outgoing = new Map<string, string[]>();
  for (const { from, to, when } of edges) {
    const [node = '', port = ''] = from.split('.');
    const lines = outgoing.get(node) ?? [];
    lines.push(`${port}${when === undefined ? '' : ` ${when}`} ──▶ ${to}`);
    outgoing.set(node, lines);
  }
  const lines = [name];
  for (const [index, node] of nodes.entries()) {
    const isFirst = index === 0 || node.wave !== nodes[index - 1]?.wave;
    if (isFirst) lines.push('');
    lines.push(`${isFirst ? String(node.wave + 1).padStart(3) : '   '} ▪ ${node.id}  ${node.agent}`);
    const out = outgoing.get(node.id) ?? [];
    out.forEach((line, at) => lines.push(`     ${at === out.length - 1 ? '└' : '├'}─ ${line}`));
  }
  const shown = lines.map((line) => cut(showLine(line), width));
  return `${shown.join('\n')}\n`;
}

function cut(line: string, width: number): string {
  const points = Array.from(line);
  return points.length <= width ? line : `${points.slice(0, width - 1).join('')}…`;
}

function dotOf({ name, nodes, edges }: Plan): string {
  const lines = [`digraph ${dotText(name)} {`, '  rankdir=LR;', '  node [shape=box, style=rounded];'];
  const box = ({ id, agent }: PlannedNode): string => `${dotText(id)} [label=${dotText(id, agent)}];`;
  for (const [group, members] of grouped(nodes)) {
    if (group === '') lines.push(...members.map((node) => `  ${box(node)}`));
    else {
      lines.push(`  subgraph ${dotText(`cluster_${group}`)} {`, `    label=${dotText(group)};`);
      lines.push(...members.map((node) => `    ${box(node)}`), '  }');
    }
  }
  for (const edge of edges)
    lines.push(`  ${dotText(nodeOf(edge.from))} -> ${dotText(nodeOf(edge.to))} [label=${dotText(labelOf(edge))}];`);
  return `${lines.join('\n')}\n}\n`;
}

function dotText(...lines: readonly string[]): string {
  return `"${lines.map((line) => showLine(line).replaceAll(/["\\]/g, '\\$&')).join('\\n')}"`;
}

function mermaidOf({ nodes, edges }: Plan): string {
  const lines = ['flowchart LR'];
  // Ids of its own: "end" and the like are words of Mermaid.
  const short = new Map(nodes.map(({ id }, index) => [id, `n${index}`]));
  const box = ({ id, agent }: PlannedNode): string =>
    `${short.get(id)}["${mermaidText(id)}<br/>${mermaidText(agent)}"]`;
  for (const [group, members] of grouped(nodes)) {
    if (group === '') lines.push(...members.map((node) => `  ${box(node)}`));
    else {
      lines.push(`  subgraph g${lines.length}["${mermaidText(group)}"]`);
      lines.push(...members.map((node) => `    ${box(node)}`), '  end');
    }
  }
  for (const edge of edges) {
    const [from, to] = [short.get(nodeOf(edge.from)), short.get(nodeOf(edge.to))];
    lines.push(`  ${from} -->|"${mermaidText(labelOf(edge))}"| ${to}`);
  }
  return `${lines.join('\n')}\n`;
}

function mermaidText(text: string): string {
  return showLine(text).replaceAll(/[^\p{L}\p{N} _./:=!-]/gu, (char) => `#${char.codePointAt(0)};`);
}

/** Nodes by the nested opening they came from, in the order of the plan; `''` are the opening's own. */
function grouped(nodes: readonly PlannedNode[]): ReadonlyMap<string, readonly PlannedNode[]> {
  const groups = new Map<string, PlannedNode[]>();
  for (const node of nodes) {
    const group = node.id.slice(0, Math.max(0, node.id.lastIndexOf('/')));
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [node]);
    else members.push(node);
  }
  return groups;
}

function nodeOf(ref: string): string {
  return ref.slice(0, ref.lastIndexOf('.'));
}

function labelOf({ from, to, when }: Plan['edges'][number]): string {
  const ports = `${from.slice(from.lastIndexOf('.') + 1)} → ${to.slice(to.lastIndexOf('.') + 1)}`;
  return when === undefined ? ports : `${ports} if ${when}`;
}
