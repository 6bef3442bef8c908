/**
 * What can be known of an opening before it runs, given the agents' manifests, the nested openings and the parameters.
 *
 * 1. Everything is reported at once, each at its place, in the file where it stands.
 * 2. A valid opening comes back resolved: parameters merged, templates filled in, nested openings flattened (nest.ts).
 */
import { type JsonObject, nearest } from '@runloop/core';
import type { Diagnostics, Span } from './diagnostic.ts';
import { typesMeet, withProblems } from './fits.ts';
import { flowsOf, refuteFlows } from './flow.ts';
import { findCycle, graphOf } from './graph.ts';
import {
  type AgentInterface,
  type Agents,
  type Condition,
  type EdgeSpec,
  errPort,
  type NodeSpec,
  type Opening,
  type PortRef,
  showRef,
} from './ir.ts';
import { type Flat, Nesting, type Nested, newFlat, nowhere, type Origin } from './nest.ts';
import type { Parsed } from './parse.ts';
import { fill, type TemplateProblem } from './template.ts';

/** The opening with parameters and templates resolved, or nothing; the problems stand in `parsed.diagnostics`. */
export function validateOpening(
  parsed: Parsed,
  agents: Agents,
  params: JsonObject,
  nested: Nested = new Map(),
): Opening | undefined {
  const { opening, diagnostics } = parsed;
  if (opening === undefined) return undefined;
  const nesting = new Nesting(agents, nested, (...given) => new Validation(...given).run());
  const at: Origin = { diagnostics, span: nowhere };
  const flat = new Validation(parsed, opening, params, at, nesting).run();
  const files = new Set([diagnostics, ...nesting.used]);
  const failed = (): boolean => [...files].some((one) => one.failed);
  const flattened: Opening = {
    ...opening,
    params: { ...opening.params, ...params },
    nodes: flat.nodes,
    edges: flat.edges,
    ...(flat.success === undefined ? {} : { success: flat.success }),
    artifacts: { save: flat.save },
    ...(flat.groups.length === 0 ? {} : { groups: flat.groups }),
  };
  if (flat.isWired) refuteCycle(flattened, flat);
  if (!failed())
    refuteFlows(flattened, flowsOf(flattened, graphOf(flattened), agents), (index, message, help) => {
      const { diagnostics: file, span } = flat.nodesAt[index] ?? at;
      file.error(span, message, help);
    });
  const valid = !failed();
  files.delete(diagnostics);
  for (const file of files) diagnostics.adopt(file);
  return valid ? flattened : undefined;
}

function refuteCycle(opening: Opening, flat: Flat): void {
  const cycle = findCycle(opening, graphOf(opening));
  if (cycle === undefined) return;
  const index = opening.edges.findIndex((edge) => edge.from.node === cycle[0] && edge.to.node === cycle[1]);
  const message = `the nodes form a cycle: ${cycle.join(' → ')}`;
  const origin = flat.edgesAt[index];
  origin?.diagnostics.error(origin.span, message, 'an opening is a DAG: remove one of these edges');
}

/** Checks one opening, the outermost or one that is nested, in its own words; answers it with its nested ones flattened. */
class Validation {
  readonly #parsed: Parsed;
  readonly #opening: Opening;
  readonly #nesting: Nesting;
  readonly #params: JsonObject;
  readonly #diagnostics: Diagnostics;
  readonly #flat: Flat = newFlat();
  readonly #nodes = new Map<string, NodeSpec>();

  /** `paramsAt` is where the parameters were given. */
  constructor(parsed: Parsed, opening: Opening, params: JsonObject, paramsAt: Origin, nesting: Nesting) {
    this.#parsed = parsed;
    this.#opening = opening;
    this.#nesting = nesting;
    this.#diagnostics = parsed.diagnostics;
    this.#params = { ...opening.params, ...params };
    for (const key of Object.keys(params)) {
      if (Object.hasOwn(opening.params, key)) continue;
      const known = Object.keys(opening.params);
      const near = nearest(key, known);
      const help = near === undefined ? `it takes: ${known.join(', ') || 'none'}` : `did you mean "${near}"?`;
      const what = paramsAt.diagnostics === parsed.diagnostics ? 'the opening' : `opening "${opening.name}"`;
      paramsAt.diagnostics.error(paramsAt.span, `${what} has no parameter "${key}"`, help);
    }
  }

  run(): Flat {
    const flat = this.#flat;
    this.#opening.nodes.forEach((node, index) => this.#node(node, index));
    for (const node of flat.nodes) this.#nodes.set(node.id, node);
    this.#opening.edges.forEach((edge, index) => this.#edge(edge, index));
    const { success, artifacts } = this.#opening;
    if (success !== undefined)
      flat.success = { ...success, conditions: success.conditions.map((one, index) => this.#condition(one, index)) };
    artifacts.save.forEach((ref, index) => {
      const at = this.#at(`artifacts.${index}`);
      for (const source of this.#sources(ref, at)) {
        this.#output(source, at);
        flat.save.push(source);
      }
    });
    this.#budgets();
    return flat;
  }

  #at(path: string): Span {
    return this.#parsed.places.get(path) ?? nowhere;
  }

  #node(node: NodeSpec, index: number): void {
    const problems: TemplateProblem[] = [];
    const filled = fill(node.with, this.#params, problems) as JsonObject;
    const withAt = this.#at(`nodes.${index}.with`);
    const useAt = this.#at(`nodes.${index}.use`);
    const at = withAt === nowhere ? useAt : withAt;
    for (const { placeholder, why } of problems) {
      const known = Object.keys(this.#params);
      this.#diagnostics.error(at, `${placeholder}: ${why}`, `parameters: ${known.join(', ') || 'none'}`);
    }
    const resolved = { ...node, with: filled };
    if (node.use.kind === 'opening') {
      const place = (key: string): Origin => ({
        diagnostics: this.#diagnostics,
        span: this.#parsed.places.get(`nodes.${index}.${key}`) ?? useAt,
      });
      const { nodes, groups } = this.#flat;
      const before = [nodes.length, groups.length] as const;
      this.#nesting.expand(resolved, place, this.#flat);
      const isOpen =
        nodes.slice(before[0]).some((one) => one.require_human_confirm === false) ||
        groups.slice(before[1]).some((group) => group.confirm_external === false);
      if (isOpen && this.#opening.policy.confirm_external === true)
        this.#diagnostics.error(
          useAt,
          `opening "${node.use.name}" turns confirmations off, this one asks for them (confirm_external: true)`,
          'remove one of the two',
        );
      return;
    }
    this.#flat.nodes.push(resolved);
    this.#flat.nodesAt.push({ diagnostics: this.#diagnostics, span: useAt });
    this.#nesting.count('nodes', 1, { diagnostics: this.#diagnostics, span: useAt });
    const agent = this.#nesting.agents.get(node.use.name);
    if (agent === undefined) {
      const near = nearest(node.use.name, this.#nesting.agents.keys());
      const help = near === undefined ? 'see: rlp agent list' : `did you mean "agent:${near}"?`;
      this.#diagnostics.error(useAt, `there is no agent "${node.use.name}"`, help);
      return;
    }
    if (problems.length === 0) this.#with(agent, filled, at);
    if (this.#opening.policy.confirm_external === true && node.require_human_confirm === false) {
      const span = this.#at(`nodes.${index}.require_human_confirm`);
      this.#diagnostics.error(
        span,
        'the policy asks for confirmations (confirm_external: true)',
        'remove require_human_confirm: false',
      );
    }
  }

  #with(agent: AgentInterface, value: JsonObject, at: Span): void {
    const help = `what agent "${agent.name}" takes: rlp agent show ${agent.name}`;
    for (const problem of withProblems(agent, value)) this.#diagnostics.error(at, problem, help);
  }

  #edge(edge: EdgeSpec, index: number): void {
    const fromAt = this.#at(`edges.${index}.from`);
    const toAt = this.#at(`edges.${index}.to`);
    const sources = this.#sources(edge.from, fromAt);
    const targets = this.#targets(edge.to, toAt);
    const given = sources.map((from) => this.#output(from, fromAt));
    if (sources.length === 0 || targets.length === 0 || given.includes(undefined)) this.#flat.isWired = false;
    const origin = { diagnostics: this.#diagnostics, span: fromAt };
    if (!this.#nesting.count('edges', sources.length * targets.length, origin)) return;
    for (const to of targets) {
      for (const [i, from] of sources.entries()) {
        this.#meet(from, given[i], edge, to, toAt);
        this.#flat.edges.push({ ...edge, from, to });
        this.#flat.edgesAt.push(origin);
      }
    }
    if (edge.when === undefined) return;
    const wanted = typeof edge.when.value === 'boolean' ? 'bool' : typeof edge.when.value;
    sources.forEach((from, i) => {
      const types = given[i];
      if (types === undefined || typesMeet(types, [wanted])) return;
      const compared = typeof edge.when?.value;
      const message = `${showRef(from)} gives ${types.join(' or ')}, the predicate compares it with a ${compared}`;
      this.#diagnostics.error(fromAt, message);
    });
  }

  /** Refuses a pair of ports that does not fit. */
  #meet(from: PortRef, given: readonly string[] | undefined, edge: EdgeSpec, to: PortRef, toAt: Span): void {
    const target = this.#nodes.get(to.node);
    if (target === undefined) {
      this.#flat.isWired = false;
      return this.#unknownNode(to.node, toAt);
    }
    const agent = this.#nesting.agents.get(target.use.name);
    if (agent === undefined) return;
    const accepted = Object.hasOwn(agent.in, to.port) ? agent.in[to.port] : undefined;
    if (accepted === undefined) {
      const near = nearest(to.port, Object.keys(agent.in));
      const help =
        near === undefined
          ? `it has: ${Object.keys(agent.in).join(', ') || 'none'}`
          : `did you mean "${to.node}.${near}"?`;
      const inner = to.node === edge.to.node ? '' : `node "${to.node}": `;
      this.#diagnostics.error(toAt, `${inner}agent "${agent.name}" has no input port "${to.port}"`, help);
    } else if (given !== undefined && !typesMeet(given, accepted)) {
      const help = `change the edge, or the ports in the manifest of "${agent.name}"`;
      const message = `${showRef(to)} takes ${accepted.join(' or ')}, ${showRef(from)} gives ${given.join(' or ')}`;
      this.#diagnostics.error(toAt, message, help);
    }
  }

  /** The ports that a reference stands for: those of a nested opening's last nodes, or itself. */
  #sources(ref: PortRef, at: Span): readonly PortRef[] {
    const ends = this.#flat.ends.get(ref.node);
    if (ends === undefined) return [ref];
    if (ref.port === 'out') return ends.sinks.map((node) => ({ node, port: 'out' }));
    const inner = `${ends.sinks[0] ?? ref.node}.${ref.port}`;
    const help = `name the node inside, for example "${inner}"`;
    this.#diagnostics.error(at, `the nested opening "${ref.node}" gives "out" alone, not "${ref.port}"`, help);
    return [];
  }

  #targets(ref: PortRef, at: Span): readonly PortRef[] {
    const ends = this.#flat.ends.get(ref.node);
    if (ends === undefined) return [ref];
    if (ref.port === 'in') return ends.sources.map((node) => ({ node, port: 'in' }));
    const help = `name the node inside, for example "${ends.sources[0] ?? ref.node}.${ref.port}"`;
    this.#diagnostics.error(at, `the nested opening "${ref.node}" takes "in" alone, not "${ref.port}"`, help);
    return [];
  }

  /** The types that an output port gives; undefined when the node or port does not exist, which has been reported. */
  #output(ref: PortRef, at: Span): readonly string[] | undefined {
    const node = this.#nodes.get(ref.node);
    if (node === undefined) {
      this.#unknownNode(ref.node, at);
      return undefined;
    }
    if (ref.port === errPort) return ['*'];
    const agent = this.#nesting.agents.get(node.use.name);
    if (agent === undefined) return ['*'];
    const types = Object.hasOwn(agent.out, ref.port) ? agent.out[ref.port] : undefined;
    if (types !== undefined) return types;
    const near = nearest(ref.port, Object.keys(agent.out));
    const help =
      near === undefined
        ? `it has: ${Object.keys(agent.out).join(', ') || 'none'}, ${errPort}`
        : `did you mean "${ref.node}.${near}"?`;
    this.#diagnostics.error(at, `agent "${agent.name}" has no output port "${ref.port}"`, help);
    return undefined;
  }

  #unknownNode(id: string, at: Span): void {
    const near = nearest(id, this.#nodes.keys());
    this.#diagnostics.error(at, `there is no node "${id}"`, near === undefined ? undefined : `did you mean "${near}"?`);
  }

  #condition(condition: Condition, index: number): Condition {
    const at = this.#at(`success.${index}`);
    const [port, ...more] = this.#sources(condition.port, at);
    if (port === undefined) return condition;
    if (more.length > 0) {
      const message = `${showRef(condition.port)} is given by several nodes: ${[port, ...more].map(showRef).join(', ')}`;
      this.#diagnostics.error(at, message, 'name one of them');
    }
    const given = this.#output(port, at);
    const resolved = { ...condition, port };
    if (given === undefined || condition.type === 'exists') return resolved;
    const wanted = typeof condition.when.value === 'boolean' ? 'bool' : typeof condition.when.value;
    if (!typesMeet(given, [wanted]))
      this.#diagnostics.error(at, `${showRef(port)} gives ${given.join(' or ')}, not a ${wanted}`);
    return resolved;
  }

  #budgets(): void {
    const { policy } = this.#opening;
    this.#opening.nodes.forEach((node, index) => {
      if (policy.timeout_ms !== undefined && (node.timeout_ms ?? 0) > policy.timeout_ms) {
        const at = this.#at(`nodes.${index}.timeout_ms`);
        this.#diagnostics.error(
          at,
          `the node's timeout_ms ${node.timeout_ms} is more than the opening's ${policy.timeout_ms}`,
        );
      }
      if (policy.budget_tokens !== undefined && (node.budget_tokens ?? 0) > policy.budget_tokens) {
        const at = this.#at(`nodes.${index}.budget_tokens`);
        this.#diagnostics.error(
          at,
          `the node's budget_tokens ${node.budget_tokens} is more than the opening's ${policy.budget_tokens}`,
        );
      }
    });
  }
}
