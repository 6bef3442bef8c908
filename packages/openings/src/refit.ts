/**
 * Checks an opening that was accepted before and has since been given other agents or other settings at some of its nodes.
 *
 * Only what the change touches is looked at: the nodes themselves, the edges at them, and what may flow where.
 */
import { type EdgeSpec, errPort, type AgentInterface, type Opening, showRef } from './ir.ts';
import { typesMeet, withProblems } from './fits.ts';
import { flowsOf, refuteFlows } from './flow.ts';
import { graphOf } from './graph.ts';

/** What does not fit, in sentences. `agents` are the nodes' agents, by node; of a node without one nothing is known. */
export function refitProblems(
  opening: Opening,
  agents: ReadonlyMap<string, AgentInterface>,
  changed: ReadonlySet<string>,
): readonly string[] {
  const problems: string[] = [];
  for (const node of opening.nodes) {
    const agent = changed.has(node.id) ? agents.get(node.id) : undefined;
    if (agent === undefined) continue;
    problems.push(...withProblems(agent, node.with).map((problem) => `node "${node.id}": ${problem}`));
  }
  for (const edge of opening.edges)
    if (changed.has(edge.from.node) || changed.has(edge.to.node)) problems.push(...edgeProblems(edge, agents));
  // By node, for two nodes may use two versions of one agent.
  const byNode = { ...opening, nodes: opening.nodes.map((node) => ({ ...node, use: { ...node.use, name: node.id } })) };
  refuteFlows(opening, flowsOf(byNode, graphOf(opening), agents), (_, message) => void problems.push(message));
  return problems;
}

function edgeProblems({ from, when, to }: EdgeSpec, agents: ReadonlyMap<string, AgentInterface>): string[] {
  const [source, target] = [agents.get(from.node), agents.get(to.node)];
  const given = from.port === errPort ? ['*'] : portOf(source?.out, from.port);
  const accepted = portOf(target?.in, to.port);
  const problems: string[] = [];
  if (source !== undefined && given === undefined)
    problems.push(`agent "${source.name}" has no output port "${from.port}", which ${showRef(to)} is given`);
  if (target !== undefined && accepted === undefined)
    problems.push(`agent "${target.name}" has no input port "${to.port}", to which ${showRef(from)} goes`);
  if (given !== undefined && accepted !== undefined && !typesMeet(given, accepted))
    problems.push(`${showRef(to)} takes ${accepted.join(' or ')}, ${showRef(from)} gives ${given.join(' or ')}`);
  const wanted = typeof when?.value === 'boolean' ? 'bool' : typeof when?.value;
  if (when !== undefined && given !== undefined && !typesMeet(given, [wanted]))
    problems.push(`${showRef(from)} gives ${given.join(' or ')}, its predicate compares it with a ${wanted}`);
  return problems;
}

function portOf(ports: AgentInterface['in'] | undefined, port: string): readonly string[] | undefined {
  return ports !== undefined && Object.hasOwn(ports, port) ? ports[port] : undefined;
}
