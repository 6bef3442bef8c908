/**
 * What can be known of an opening before it runs, given the agents' manifests and the parameters.
 *
 * 1. Everything is reported at once, each at its place.
 * 2. A valid opening comes back resolved: parameters merged, templates filled in.
 */
import { createRequire } from 'node:module';
import type * as Ajv from 'ajv/dist/2020.js';
import { type JsonObject, nearest } from '@runloop/core';
import type { Diagnostics, Span } from './diagnostic.ts';
import { flowsOf, refuteFlows } from './flow.ts';
import { findCycle, graphOf } from './graph.ts';
import {
  type AgentInterface,
  type Condition,
  type EdgeSpec,
  errPort,
  type NodeSpec,
  type Opening,
  type PortRef,
  showRef,
} from './ir.ts';
import type { Parsed } from './parse.ts';
import { fill, type TemplateProblem } from './template.ts';

export type Agents = ReadonlyMap<string, AgentInterface>;

const nowhere: Span = { start: 0, end: 1 };

/** The opening with parameters and templates resolved, or nothing; the problems stand in `parsed.diagnostics`. */
export function validateOpening(parsed: Parsed, agents: Agents, params: JsonObject): Opening | undefined {
  if (parsed.opening === undefined) return undefined;
  return new Validation(parsed, parsed.opening, agents, params).run();
}

class Validation {
  readonly #parsed: Parsed;
  readonly #opening: Opening;
  readonly #agents: Agents;
  readonly #params: JsonObject;
  readonly #diagnostics: Diagnostics;
  readonly #nodes: ReadonlyMap<string, NodeSpec>;

  constructor(parsed: Parsed, opening: Opening, agents: Agents, params: JsonObject) {
    this.#parsed = parsed;
    this.#opening = opening;
    this.#agents = agents;
    this.#diagnostics = parsed.diagnostics;
    this.#params = { ...opening.params, ...params };
    this.#nodes = new Map(opening.nodes.map((node) => [node.id, node]));
    for (const key of Object.keys(params)) {
      if (Object.hasOwn(opening.params, key)) continue;
      const known = Object.keys(opening.params);
      const near = nearest(key, known);
      const help = near === undefined ? `it takes: ${known.join(', ') || 'none'}` : `did you mean "${near}"?`;
      this.#diagnostics.error(nowhere, `the opening has no parameter "${key}"`, help);
    }
  }

  run(): Opening | undefined {
    const nodes = this.#opening.nodes.map((node, index) => this.#node(node, index));
    const wired = this.#opening.edges.map((edge, index) => this.#edge(edge, index));
    this.#opening.success?.conditions.forEach((condition, index) => this.#condition(condition, index));
    this.#opening.artifacts.save.forEach((ref, index) => this.#output(ref, this.#at(`artifacts.${index}`)));
    this.#budgets();
    if (wired.every(Boolean)) this.#cycle();
    if (!this.#diagnostics.failed) this.#flows();
    if (this.#diagnostics.failed) return undefined;
    return { ...this.#opening, params: this.#params, nodes };
  }

  #flows(): void {
    const flows = flowsOf(this.#opening, graphOf(this.#opening), this.#agents);
    refuteFlows(this.#opening, flows, (path) => this.#at(path), this.#diagnostics);
  }

  #at(path: string): Span {
    return this.#parsed.places.get(path) ?? nowhere;
  }

  #node(node: NodeSpec, index: number): NodeSpec {
    const problems: TemplateProblem[] = [];
    const filled = fill(node.with, this.#params, problems) as JsonObject;
    const at = this.#at(`nodes.${index}.with`);
    for (const { placeholder, why } of problems) {
      const known = Object.keys(this.#params);
      this.#diagnostics.error(at, `${placeholder}: ${why}`, `parameters: ${known.join(', ') || 'none'}`);
    }
    const useAt = this.#at(`nodes.${index}.use`);
    if (node.use.kind === 'opening') {
      this.#diagnostics.error(useAt, 'nested openings cannot be run yet', 'list its nodes here');
      return node;
    }
    const agent = this.#agents.get(node.use.name);
    if (agent === undefined) {
      const near = nearest(node.use.name, this.#agents.keys());
      const help = near === undefined ? 'see: rlp agent list' : `did you mean "agent:${near}"?`;
      this.#diagnostics.error(useAt, `there is no agent "${node.use.name}"`, help);
      return node;
    }
    if (problems.length === 0) this.#with(agent, filled, at === nowhere ? useAt : at);
    if (this.#opening.policy.confirm_external === true && node.require_human_confirm === false) {
      const span = this.#at(`nodes.${index}.require_human_confirm`);
      this.#diagnostics.error(
        span,
        'the policy asks for confirmations (confirm_external: true)',
        'remove require_human_confirm: false',
      );
    }
    return { ...node, with: filled };
  }

  #with(agent: AgentInterface, value: JsonObject, at: Span): void {
    if (agent.withSchema === undefined) return;
    const validate = compile(agent.withSchema);
    if (typeof validate === 'string') {
      this.#diagnostics.error(
        at,
        `the manifest of agent "${agent.name}" has a schema that cannot be used: ${validate}`,
      );
      return;
    }
    if (validate(value)) return;
    for (const problem of validate.errors ?? []) {
      const where = problem.instancePath === '' ? 'with' : `with${problem.instancePath.replaceAll('/', '.')}`;
      const extra = problem.params['additionalProperty'];
      const message =
        typeof extra === 'string'
          ? `has a key that agent "${agent.name}" does not know: "${extra}"`
          : (problem.message ?? 'does not fit');
      this.#diagnostics.error(
        at,
        `${where} ${message}`,
        `what agent "${agent.name}" takes: rlp agent show ${agent.name}`,
      );
    }
  }

  #edge(edge: EdgeSpec, index: number): boolean {
    const fromAt = this.#at(`edges.${index}.from`);
    const toAt = this.#at(`edges.${index}.to`);
    const given = this.#output(edge.from, fromAt);
    const target = this.#nodes.get(edge.to.node);
    if (target === undefined) {
      this.#unknownNode(edge.to.node, toAt);
      return false;
    }
    const agent = this.#agents.get(target.use.name);
    if (agent === undefined || given === undefined) return given !== undefined;
    const accepted = Object.hasOwn(agent.in, edge.to.port) ? agent.in[edge.to.port] : undefined;
    if (accepted === undefined) {
      const near = nearest(edge.to.port, Object.keys(agent.in));
      const help =
        near === undefined
          ? `it has: ${Object.keys(agent.in).join(', ') || 'none'}`
          : `did you mean "${edge.to.node}.${near}"?`;
      this.#diagnostics.error(toAt, `agent "${agent.name}" has no input port "${edge.to.port}"`, help);
      return true;
    }
    if (!typesMeet(given, accepted)) {
      const help = `change the edge, or the ports in the manifest of "${agent.name}"`;
      this.#diagnostics.error(
        toAt,
        `${showRef(edge.to)} takes ${accepted.join(' or ')}, ${showRef(edge.from)} gives ${given.join(' or ')}`,
        help,
      );
    }
    if (
      edge.when !== undefined &&
      !typesMeet(given, [typeof edge.when.value === 'boolean' ? 'bool' : typeof edge.when.value])
    ) {
      this.#diagnostics.error(
        fromAt,
        `${showRef(edge.from)} gives ${given.join(' or ')}, the predicate compares it with a ${typeof edge.when.value}`,
      );
    }
    return true;
  }

  /** The types that an output port gives; undefined when the node or port does not exist, which has been reported. */
  #output(ref: PortRef, at: Span): readonly string[] | undefined {
    const node = this.#nodes.get(ref.node);
    if (node === undefined) {
      this.#unknownNode(ref.node, at);
      return undefined;
    }
    if (ref.port === errPort) return ['*'];
    const agent = this.#agents.get(node.use.name);
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

  #condition(condition: Condition, index: number): void {
    const at = this.#at(`success.${index}`);
    const given = this.#output(condition.port, at);
    if (given === undefined || condition.type === 'exists') return;
    const wanted = typeof condition.when.value === 'boolean' ? 'bool' : typeof condition.when.value;
    if (!typesMeet(given, [wanted]))
      this.#diagnostics.error(at, `${showRef(condition.port)} gives ${given.join(' or ')}, not a ${wanted}`);
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

  #cycle(): void {
    const graph = graphOf(this.#opening);
    const cycle = findCycle(this.#opening, graph);
    if (cycle === undefined) return;
    const index = this.#opening.edges.findIndex((edge) => edge.from.node === cycle[0] && edge.to.node === cycle[1]);
    this.#diagnostics.error(
      this.#at(`edges.${index}.from`),
      `the nodes form a cycle: ${cycle.join(' → ')}`,
      'an opening is a DAG: remove one of these edges',
    );
  }
}

function typesMeet(given: readonly string[], accepted: readonly string[]): boolean {
  return given.includes('*') || accepted.includes('*') || given.some((type) => accepted.includes(type));
}

const compiled = new WeakMap<JsonObject, Ajv.ValidateFunction | string>();
let ajv2020: typeof Ajv.Ajv2020 | undefined;

/** A bundle's schema may not use `pattern` or a remote `$ref` (docs/security.md); the runtime refused such a bundle before. */
function compile(schema: JsonObject): Ajv.ValidateFunction | string {
  let found = compiled.get(schema);
  if (found === undefined) {
    try {
      // Loaded at the first schema: it is 80 files, and most commands and an idle daemon need none.
      ajv2020 ??= (createRequire(import.meta.url)('ajv/dist/2020.js') as typeof Ajv).Ajv2020;
      found = new ajv2020({ allErrors: true, strict: false, validateFormats: false }).compile(schema);
    } catch (error) {
      found = error instanceof Error ? error.message : String(error);
    }
    compiled.set(schema, found);
  }
  return found;
}
