/**
 * The bundle that a run has pinned for a node, by digest: the one of its agent, or one that a fork has given to it alone.
 */
import type { NodeSpec } from '@runloop/openings';

export type AgentPins = { readonly [agent: string]: string };

export function pinOf(pins: AgentPins, { id, use }: Pick<NodeSpec, 'id' | 'use'>): string {
  return pins[ownPin(id, use.name)] ?? pins[use.name] ?? '';
}

/** The key of a pin that holds for one node. */
export function ownPin(node: string, agent: string): string {
  return `${node}:${agent}`;
}
