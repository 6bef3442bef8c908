/**
 * Nested openings: `use: opening:<name>` becomes the nodes, edges and conditions of that opening, as `<id>/<node>`.
 *
 * N1. What an inner opening says of itself holds for its nodes, or is refused: nothing of its policy is dropped.
 * N2. None stands in itself; the limits of one opening (nodesMax, edgesMax) hold for all of it together.
 * N3. A name means the same text wherever it stands in a run.
 */
import type { JsonObject } from '@runloop/core';
import type { Diagnostics, Span } from './diagnostic.ts';
import type { Agents, EdgeSpec, Group, NodeSpec, Opening, PortRef, Success } from './ir.ts';
import { edgesMax, nestingMax, nodesMax } from './limits.ts';
import type { Parsed } from './parse.ts';

/** The openings that may be nested, by the name that they are used under. */
export type Nested = ReadonlyMap<string, { readonly parsed: Parsed; readonly digest: string }>;

/** Where something stands, and who is told of it. */
export type Origin = { readonly diagnostics: Diagnostics; readonly span: Span };
export const nowhere: Span = { start: 0, end: 1 };

/** An opening without nested ones; ids are its own, those of inner nodes as they stand in it. */
export type Flat = {
  readonly nodes: NodeSpec[];
  readonly nodesAt: Origin[];
  readonly edges: EdgeSpec[];
  readonly edgesAt: Origin[];
  readonly groups: Group[];
  readonly save: PortRef[];
  success?: Success;
  /** Every edge has both its ends. */
  isWired: boolean;
  /** Per nested opening: its nodes that nothing leads to, and those that nothing leads from. */
  readonly ends: Map<string, { readonly sources: readonly string[]; readonly sinks: readonly string[] }>;
};

export function newFlat(): Flat {
  return { nodes: [], nodesAt: [], edges: [], edgesAt: [], groups: [], save: [], isWired: true, ends: new Map() };
}

type Validate = (parsed: Parsed, opening: Opening, params: JsonObject, paramsAt: Origin, nesting: Nesting) => Flat;

const refusedKeys = ['retry', 'caps', 'require_human_confirm'] as const;
const limits = { nodes: nodesMax, edges: edgesMax };

export class Nesting {
  readonly agents: Agents;
  /** The diagnostics of the files that were used. */
  readonly used: Set<Diagnostics> = new Set();
  readonly #nested: Nested;
  readonly #validate: Validate;
  readonly #chain: string[] = [];
  readonly #counts = { nodes: 0, edges: 0 };

  constructor(agents: Agents, nested: Nested, validate: Validate) {
    this.agents = agents;
    this.#nested = nested;
    this.#validate = validate;
  }

  /** Counts what the whole has; false once it is too much, which is told the first time. */
  count(what: 'nodes' | 'edges', more: number, at: Origin): boolean {
    const before = this.#counts[what];
    this.#counts[what] += more;
    if (this.#counts[what] <= limits[what]) return true;
    const message = `with the nested openings there are more than ${limits[what]} ${what}, which is the most that is allowed`;
    if (before <= limits[what]) at.diagnostics.error(at.span, message);
    return false;
  }

  /** Puts the opening that `node` uses into `flat`. */
  expand(node: NodeSpec, at: (key: string) => Origin, flat: Flat): void {
    const useAt = at('use');
    flat.ends.set(node.id, { sources: [], sinks: [] });
    const found = this.#find(node, at);
    if (found === undefined || this.#counts.nodes > nodesMax) {
      flat.isWired = false;
      return;
    }
    const { opening, parsed, digest } = found;
    this.#chain.push(node.use.name);
    const inner = this.#validate(parsed, opening, node.with, at('with'), this);
    this.#chain.pop();
    const id = (one: string): string => `${node.id}/${one}`;
    const ref = ({ node: of, port }: PortRef): PortRef => ({ node: id(of), port });
    for (const one of inner.nodes) flat.nodes.push({ ...one, id: id(one.id), tags: [...node.tags, ...one.tags] });
    for (const origin of inner.nodesAt) flat.nodesAt.push(origin);
    for (const edge of inner.edges) flat.edges.push({ ...edge, from: ref(edge.from), to: ref(edge.to) });
    for (const origin of inner.edgesAt) flat.edgesAt.push(origin);
    for (const one of inner.save) flat.save.push(ref(one));
    const within = (success: Success): Success => ({
      ...success,
      conditions: success.conditions.map((condition) => ({ ...condition, port: ref(condition.port) })),
    });
    flat.groups.push(groupOf(node, opening, digest, inner.nodes.length, inner.success, within));
    for (const group of inner.groups) {
      const { success, ...rest } = group;
      flat.groups.push({ ...rest, id: id(group.id), ...(success === undefined ? {} : { success: within(success) }) });
    }
    flat.isWired &&= inner.isWired;
    for (const [of, { sources, sinks }] of inner.ends)
      flat.ends.set(id(of), { sources: sources.map(id), sinks: sinks.map(id) });
    const led = new Set(inner.edges.map(({ to }) => to.node));
    const leading = new Set(inner.edges.map(({ from }) => from.node));
    flat.ends.set(node.id, {
      sources: inner.nodes.filter((one) => !led.has(one.id)).map((one) => id(one.id)),
      sinks: inner.nodes.filter((one) => !leading.has(one.id)).map((one) => id(one.id)),
    });
    if (opening.policy.max_parallel !== undefined)
      useAt.diagnostics.error(
        useAt.span,
        `opening "${opening.name}" says policy.max_parallel, which is not supported in nested openings`,
        'set it on the outer one',
      );
  }

  /** The opening that a node uses, where it may; why not has been told. */
  #find(
    node: NodeSpec,
    at: (key: string) => Origin,
  ): { readonly opening: Opening; readonly parsed: Parsed; readonly digest: string } | undefined {
    const { name } = node.use;
    for (const key of refusedKeys.filter((one) => node[one] !== undefined)) {
      const { diagnostics, span } = at(key);
      diagnostics.error(span, `"${key}" is said of agents, this is an opening`, `say it of the nodes in "${name}"`);
    }
    const { diagnostics, span } = at('use');
    const found = this.#nested.get(name);
    if (found === undefined) {
      const help = `put ${name}.yaml beside this file, or into a folder of openings: rlp opening list`;
      diagnostics.error(span, `there is no opening "${name}"`, help);
      return undefined;
    }
    this.used.add(found.parsed.diagnostics);
    if (this.#chain.includes(name)) {
      const chain = [...this.#chain.slice(this.#chain.indexOf(name)), name].join(' → ');
      diagnostics.error(span, `an opening cannot stand in itself: ${chain}`, 'list the nodes that are meant');
      return undefined;
    }
    if (this.#chain.length >= nestingMax) {
      const chain = [...this.#chain, name].join(' → ');
      diagnostics.error(span, `openings stand more than ${nestingMax} deep in each other: ${chain}`);
      return undefined;
    }
    const { opening } = found.parsed;
    if (opening !== undefined) return { ...found, opening };
    diagnostics.error(span, `opening "${name}" holds mistakes of its own`);
    return undefined;
  }
}

function groupOf(
  node: NodeSpec,
  { policy }: Opening,
  digest: string,
  nodes: number,
  success: Success | undefined,
  within: (success: Success) => Success,
): Group {
  const least = (...given: readonly (number | undefined)[]): number | undefined => {
    const said = given.filter((one) => one !== undefined);
    return said.length === 0 ? undefined : Math.min(...said);
  };
  const { budget_usd, confirm_external, allow_flow } = policy;
  const timeout_ms = least(node.timeout_ms, policy.timeout_ms);
  const budget_tokens = least(node.budget_tokens, policy.budget_tokens);
  return {
    id: node.id,
    opening: node.use.name,
    digest,
    nodes,
    ...(timeout_ms === undefined ? {} : { timeout_ms }),
    ...(budget_tokens === undefined ? {} : { budget_tokens }),
    ...(budget_usd === undefined ? {} : { budget_usd }),
    ...(confirm_external === undefined ? {} : { confirm_external }),
    ...(allow_flow === undefined ? {} : { allow_flow }),
    ...(success === undefined ? {} : { success: within(success) }),
  };
}
