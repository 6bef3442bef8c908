/**
 * The text of an opening to its IR, with the place of everything that a later check may complain about.
 *
 * 1. All that is wrong with the form of a file is reported at once.
 * 2. What the text alone cannot tell (agents, types, parameters) is validate.ts's.
 */
import { isName, type JsonObject } from '@runloop/core';
import { looksLikeBraces, parseBraces } from './brace.ts';
import { Diagnostics, type Span } from './diagnostic.ts';
import { defaultRetry, type EdgeSpec, type NodeSpec, type Opening, type Policy, type Retry } from './ir.ts';
import { artifactKeys, edgeKeys, nodeKeys, policyKeys, retryKeys, rootKeys, successKeys } from './keys.ts';
import {
  attemptsMax,
  budgetUsdMax,
  diagnosticsMax,
  durationMsMax,
  edgesMax,
  goalsMax,
  nodesMax,
  openingBytesMax,
  parallelMax,
} from './limits.ts';
import { parseCondition, parseRef, parseSource } from './reference.ts';
import { entryOf, Shape } from './shape.ts';
import { type Comment, type MapTree, toJson, type Tree } from './tree.ts';
import { parseYaml, yamlComments } from './yaml.ts';

/** Where things stand, by path: `nodes.2.with`, `edges.0.from`, `success.1`. */
export type Places = ReadonlyMap<string, Span>;
export type Parsed = {
  readonly opening: Opening | undefined;
  readonly places: Places;
  readonly diagnostics: Diagnostics;
};

/** The surface is told by how the text begins, and where that says nothing by the file's name. */
export function parseTree(
  file: string,
  text: string,
  diagnostics: Diagnostics,
  comments?: Comment[],
): Tree | undefined {
  if (looksLikeBraces(file, text)) return parseBraces(text, diagnostics, comments);
  const tree = parseYaml(text, diagnostics);
  if (comments !== undefined && tree !== undefined) for (const one of yamlComments(text, tree)) comments.push(one);
  return tree;
}

export function parseOpening(file: string, text: string): Parsed {
  const diagnostics = new Diagnostics(file, text.slice(0, openingBytesMax), diagnosticsMax);
  const places = new Map<string, Span>();
  if (Buffer.byteLength(text) > openingBytesMax) {
    const mib = (Buffer.byteLength(text) / 1024 / 1024).toFixed(1);
    diagnostics.error(
      { start: 0, end: 1 },
      `the file has ${mib} MiB, an opening may have ${openingBytesMax / 1024 / 1024} MiB`,
    );
    return { opening: undefined, places, diagnostics };
  }
  const tree = parseTree(file, text, diagnostics);
  if (tree === undefined) {
    if (!diagnostics.failed) diagnostics.error({ start: 0, end: 1 }, 'the file is empty', 'start with: version: 0');
    return { opening: undefined, places, diagnostics };
  }
  const opening = new Reader(diagnostics, places).opening(tree);
  return { opening: diagnostics.failed ? undefined : opening, places, diagnostics };
}

class Reader {
  readonly #diagnostics: Diagnostics;
  readonly #shape: Shape;
  readonly #places: Map<string, Span>;

  constructor(diagnostics: Diagnostics, places: Map<string, Span>) {
    this.#diagnostics = diagnostics;
    this.#shape = new Shape(diagnostics);
    this.#places = places;
  }

  opening(tree: Tree): Opening | undefined {
    const root = this.#shape.map(tree, 'the opening', rootKeys);
    if (root === undefined) return undefined;
    const version = entryOf(root, 'version');
    const at = { start: root.span.start, end: root.span.start + 1 };
    if (version === undefined) this.#diagnostics.error(at, 'the key "version" is missing', 'add: version: 0');
    else if (version.value.kind !== 'scalar' || version.value.value !== 0) {
      this.#diagnostics.error(version.value.span, 'this version of the language is not known', 'write: version: 0');
    }
    const name = this.#name(root, at);
    const nodes = this.#nodes(root, at);
    const edges = this.#edges(root);
    const success = this.#success(root);
    return {
      version: 0,
      name: name ?? '',
      goals: this.#goals(root),
      params: this.#json(root, 'params'),
      policy: this.#policy(root),
      nodes,
      edges,
      ...(success === undefined ? {} : { success }),
      artifacts: this.#artifacts(root),
    };
  }

  #name(root: MapTree, at: Span): string | undefined {
    const entry = entryOf(root, 'name');
    if (entry === undefined) {
      this.#diagnostics.error(at, 'the key "name" is missing', 'add: name: my_opening');
      return undefined;
    }
    return this.#identifier(entry.value, 'the name');
  }

  #identifier(tree: Tree, what: string): string | undefined {
    const value = this.#shape.string(tree, what);
    if (value === undefined || isName(value)) return value;
    const proposal = value
      .toLowerCase()
      .replaceAll(/[^a-z0-9_]+/g, '_')
      .replace(/^[^a-z]+/, '')
      .slice(0, 64);
    const help = proposal === '' ? undefined : `for example: ${proposal}`;
    this.#diagnostics.error(tree.span, `${what} must match [a-z][a-z0-9_]{0,63}, this is "${value}"`, help);
    return undefined;
  }

  #goals(root: MapTree): string[] {
    const entry = entryOf(root, 'goals');
    if (entry === undefined) return [];
    const goals = this.#shape.strings(entry.value, 'goals').map((goal) => goal.value);
    if (goals.length > goalsMax)
      this.#diagnostics.error(entry.keySpan, `${goals.length} goals, at most ${goalsMax} are allowed`);
    return goals;
  }

  #json(map: MapTree, key: string): JsonObject {
    const entry = entryOf(map, key);
    if (entry === undefined || isEmpty(entry.value)) return {};
    const inner = this.#shape.anyMap(entry.value, key);
    return inner === undefined ? {} : (toJson(inner) as JsonObject);
  }

  #policy(root: MapTree): Policy {
    const entry = entryOf(root, 'policy');
    const map =
      entry === undefined || isEmpty(entry.value) ? undefined : this.#shape.map(entry.value, 'policy', policyKeys);
    if (map === undefined) return {};
    const policy: { -readonly [key in keyof Policy]: Policy[key] } = {};
    for (const { key, keySpan, value } of map.entries) {
      this.#places.set(`policy.${key}`, keySpan);
      const what = `policy.${key}`;
      if (key === 'budget_tokens') assign(policy, key, this.#shape.number(value, what, whole(Number.MAX_SAFE_INTEGER)));
      else if (key === 'budget_usd')
        assign(policy, key, this.#shape.number(value, what, { min: 0, max: budgetUsdMax, integer: false }));
      else if (key === 'timeout_ms') assign(policy, key, this.#shape.number(value, what, whole(durationMsMax)));
      else if (key === 'max_parallel')
        assign(policy, key, this.#shape.number(value, what, { min: 1, max: parallelMax, integer: true }));
      else if (key === 'confirm_external') assign(policy, key, this.#shape.boolean(value, what));
      else if (key === 'allow_flow') assign(policy, key, this.#shape.string(value, what));
    }
    return policy;
  }

  #nodes(root: MapTree, at: Span): NodeSpec[] {
    const entry = entryOf(root, 'nodes');
    const list = entry === undefined ? undefined : this.#shape.list(entry.value, 'nodes');
    if (entry === undefined)
      this.#diagnostics.error(at, 'the key "nodes" is missing', 'an opening has at least one node');
    if (list === undefined) return [];
    if (list.items.length === 0) this.#diagnostics.error(list.span, 'an opening has at least one node');
    if (list.items.length > nodesMax) {
      this.#diagnostics.error(list.span, `${list.items.length} nodes, at most ${nodesMax} are allowed`);
      return [];
    }
    const seen = new Set<string>();
    return list.items.flatMap((item, index) => {
      const node = this.#node(item, index);
      if (node === undefined) return [];
      if (seen.has(node.id)) {
        const span = this.#places.get(`nodes.${index}.id`) ?? item.span;
        this.#diagnostics.error(span, `two nodes are called "${node.id}"`, 'ids are unique');
      }
      seen.add(node.id);
      return [node];
    });
  }

  #node(tree: Tree, index: number): NodeSpec | undefined {
    const map = this.#shape.map(tree, 'a node', nodeKeys);
    if (map === undefined) return undefined;
    const at = { start: map.span.start, end: map.span.start + 1 };
    for (const { key, value } of map.entries) this.#places.set(`nodes.${index}.${key}`, value.span);
    this.#places.set(`nodes.${index}`, at);
    const idEntry = entryOf(map, 'id');
    const useEntry = entryOf(map, 'use');
    if (idEntry === undefined) this.#diagnostics.error(at, 'a node needs an "id"', 'add: id: my_node');
    if (useEntry === undefined) this.#diagnostics.error(at, 'a node needs a "use"', 'add: use: agent:<name>');
    const id = idEntry === undefined ? undefined : this.#identifier(idEntry.value, 'the id');
    const use = useEntry === undefined ? undefined : this.#use(useEntry.value);
    const retry = this.#retry(map);
    const optional = this.#nodeOptions(map);
    const caps = entryOf(map, 'caps') === undefined ? {} : { caps: this.#json(map, 'caps') };
    const withValue = this.#json(map, 'with');
    if (id === undefined || use === undefined) return undefined;
    return { id, use, with: withValue, ...(retry === undefined ? {} : { retry }), ...caps, ...optional };
  }

  #nodeOptions(map: MapTree): Pick<NodeSpec, 'timeout_ms' | 'budget_tokens' | 'require_human_confirm' | 'tags'> {
    const options: { timeout_ms?: number; budget_tokens?: number; require_human_confirm?: boolean; tags: string[] } = {
      tags: [],
    };
    for (const { key, value } of map.entries) {
      if (key === 'timeout_ms')
        assign(options, key, this.#shape.number(value, key, { min: 1, max: durationMsMax, integer: true }));
      else if (key === 'budget_tokens')
        assign(options, key, this.#shape.number(value, key, whole(Number.MAX_SAFE_INTEGER)));
      else if (key === 'require_human_confirm') assign(options, key, this.#shape.boolean(value, key));
      else if (key === 'tags') options.tags = this.#shape.strings(value, key).map((tag) => tag.value);
    }
    return options;
  }

  #use(tree: Tree): NodeSpec['use'] | undefined {
    const text = this.#shape.string(tree, '"use"');
    if (text === undefined) return undefined;
    const [kind, name, ...rest] = text.split(':');
    if ((kind === 'agent' || kind === 'opening') && name !== undefined && rest.length === 0 && isName(name))
      return { kind, name };
    const help = isName(text) ? `did you mean "agent:${text}"?` : 'write agent:<name> or opening:<name>';
    this.#diagnostics.error(tree.span, `"${text}" names neither an agent nor an opening`, help);
    return undefined;
  }

  #retry(map: MapTree): Retry | undefined {
    const entry = entryOf(map, 'retry');
    const inner = entry === undefined ? undefined : this.#shape.map(entry.value, 'retry', retryKeys);
    if (inner === undefined) return undefined;
    const retry = { ...defaultRetry };
    for (const { key, value } of inner.entries) {
      const what = `retry.${key}`;
      if (key === 'max_attempts') assign(retry, key, this.#shape.number(value, what, whole(attemptsMax)));
      else if (key === 'backoff_ms' || key === 'max_ms')
        assign(retry, key, this.#shape.number(value, what, whole(durationMsMax)));
      else if (key === 'multiplier')
        assign(retry, key, this.#shape.number(value, what, { min: 1, max: 100, integer: false }));
      else if (key === 'jitter')
        assign(retry, key, this.#shape.number(value, what, { min: 0, max: 1, integer: false }));
    }
    return retry;
  }

  #edges(root: MapTree): EdgeSpec[] {
    const entry = entryOf(root, 'edges');
    if (entry === undefined || isEmpty(entry.value)) return [];
    const items = this.#shape.list(entry.value, 'edges')?.items ?? [];
    if (items.length > edgesMax) {
      this.#diagnostics.error(entry.keySpan, `${items.length} edges, at most ${edgesMax} are allowed`);
      return [];
    }
    return items.flatMap((item, index) => this.#edge(item, index));
  }

  #edge(tree: Tree, index: number): EdgeSpec[] {
    const map = this.#shape.map(tree, 'an edge', edgeKeys);
    if (map === undefined) return [];
    const from = entryOf(map, 'from');
    const to = entryOf(map, 'to');
    if (from === undefined || to === undefined) {
      this.#diagnostics.error(map.span, 'an edge needs "from" and "to"', '{ from: a.out, to: b.in }');
      return [];
    }
    this.#places.set(`edges.${index}.from`, from.value.span);
    this.#places.set(`edges.${index}.to`, to.value.span);
    const source = this.#expression(from.value, '"from"', parseSource);
    const target = this.#expression(to.value, '"to"', parseRef);
    if (source === undefined || target === undefined) return [];
    return [{ from: source.port, ...(source.when === undefined ? {} : { when: source.when }), to: target }];
  }

  #expression<T>(
    tree: Tree,
    what: string,
    parse: (text: string) => { ok: true; value: T } | { ok: false; error: string },
  ): T | undefined {
    const text = this.#shape.string(tree, what);
    if (text === undefined) return undefined;
    const parsed = parse(text);
    if (parsed.ok) return parsed.value;
    this.#diagnostics.error(tree.span, parsed.error);
    return undefined;
  }

  #success(root: MapTree): Opening['success'] | undefined {
    const entry = entryOf(root, 'success');
    const map = entry === undefined ? undefined : this.#shape.map(entry.value, 'success', successKeys);
    if (entry === undefined || map === undefined) return undefined;
    const [first, second] = map.entries;
    if (first === undefined || second !== undefined) {
      this.#diagnostics.error(entry.keySpan, 'success takes either any_of or all_of');
      return undefined;
    }
    const items = this.#shape.list(first.value, first.key)?.items ?? [];
    if (items.length === 0) this.#diagnostics.error(first.keySpan, `${first.key} holds no condition`);
    const conditions = items.flatMap((item, index) => {
      this.#places.set(`success.${index}`, item.span);
      const condition = this.#expression(item, 'a condition', parseCondition);
      return condition === undefined ? [] : [condition];
    });
    return { mode: first.key as 'any_of' | 'all_of', conditions };
  }

  #artifacts(root: MapTree): Opening['artifacts'] {
    const entry = entryOf(root, 'artifacts');
    const map = entry === undefined ? undefined : this.#shape.map(entry.value, 'artifacts', artifactKeys);
    const save = map === undefined ? undefined : entryOf(map, 'save');
    if (save === undefined) return { save: [] };
    const items = this.#shape.list(save.value, 'artifacts.save')?.items ?? [];
    return {
      save: items.flatMap((item, index) => {
        this.#places.set(`artifacts.${index}`, item.span);
        const ref = this.#expression(item, 'a saved port', parseRef);
        return ref === undefined ? [] : [ref];
      }),
    };
  }
}

function isEmpty(tree: Tree): boolean {
  return tree.kind === 'scalar' && tree.value === null;
}

function whole(max: number): { min: number; max: number; integer: boolean } {
  return { min: 0, max, integer: true };
}

function assign<T, K extends keyof T>(target: T, key: K, value: T[K] | undefined): void {
  if (value !== undefined) target[key] = value;
}
