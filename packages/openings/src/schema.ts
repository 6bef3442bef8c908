/**
 * The language as JSON Schema (2020-12), for editors: what a file may say, not yet what its agents take.
 *
 * 1. It knows the same keys as the parser: the types here refuse one more or one less.
 * 2. It refuses nothing that the parser takes. What one value cannot tell (ids, cycles, ports) is the validation's.
 */
import type { JsonObject } from '@runloop/core';
import { defaultRetry } from './ir.ts';
import type { artifactKeys, edgeKeys, nodeKeys, policyKeys, retryKeys, rootKeys, successKeys } from './keys.ts';
import { attemptsMax, budgetUsdMax, durationMsMax, edgesMax, goalsMax, nodesMax, parallelMax } from './limits.ts';

type Properties<Keys extends readonly string[]> = { readonly [key in Keys[number]]: JsonObject };

const name = '[a-z][a-z0-9_]{0,63}';
const port = `\\s*${name}(?:/${name})*\\.${name}\\s*`;
const scalar = `(?:true|false|"[^"]*"|'[^']*'|-?\\d.*)`;
const compared = `${port}(?:[=!]=|[<>]=?)\\s*${scalar}\\s*`;

const whole = (description: string, more: JsonObject = {}): JsonObject => ({
  description,
  type: 'integer',
  minimum: 0,
  ...more,
});
const duration = (description: string, minimum: number): JsonObject =>
  whole(description, { minimum, maximum: durationMsMax });
const tokens = (description: string): JsonObject => whole(description, { maximum: Number.MAX_SAFE_INTEGER });
const bool = (description: string): JsonObject => ({ description, type: 'boolean' });
const matching = (description: string, form: string): JsonObject => ({
  description,
  type: 'string',
  pattern: `^${form}$`,
});
const list = (description: string, items: JsonObject, more: JsonObject = {}): JsonObject => ({
  description,
  type: 'array',
  items,
  ...more,
});
const anyMap = (description: string): JsonObject => ({ description, type: ['object', 'null'] });

const policy: Properties<typeof policyKeys> = {
  budget_tokens: tokens('Ceiling of the tokens of the whole run.'),
  budget_usd: {
    description: 'Ceiling of what the whole run costs.',
    type: 'number',
    minimum: 0,
    maximum: budgetUsdMax,
  },
  timeout_ms: duration('Running time of the whole run; waiting for a person does not count.', 0),
  confirm_external: bool(
    'Whether a person is asked before anything leaves. false counts only once you trust the file.',
  ),
  max_parallel: whole("Nodes that run at once; the daemon's where left out.", { minimum: 1, maximum: parallelMax }),
  allow_flow: { description: 'Why private data may leave on the word of a stranger, unasked.', type: 'string' },
};

const retry: Properties<typeof retryKeys> = {
  max_attempts: whole('Attempts in all; 0 and 1 both mean one.', {
    maximum: attemptsMax,
    default: defaultRetry.max_attempts,
  }),
  backoff_ms: { ...duration('Delay before the second attempt.', 0), default: defaultRetry.backoff_ms },
  max_ms: { ...duration('Longest delay.', 0), default: defaultRetry.max_ms },
  multiplier: {
    description: 'By how much each delay is longer than the one before.',
    type: 'number',
    minimum: 1,
    maximum: 100,
    default: defaultRetry.multiplier,
  },
  jitter: {
    description: 'Part of the delay that is left to chance.',
    type: 'number',
    minimum: 0,
    maximum: 1,
    default: defaultRetry.jitter,
  },
};

const node: Properties<typeof nodeKeys> = {
  id: matching('Unique in the opening.', name),
  use: matching('agent:<name>, or opening:<name> for a nested opening.', `(?:agent|opening):${name}`),
  with: anyMap('What the agent is given; strings may hold {{params.x}}.'),
  retry: object(retry, [], 'When the node is tried again after a failure that may pass.'),
  timeout_ms: duration('Running time of one attempt.', 1),
  budget_tokens: tokens('Ceiling of the tokens of this node.'),
  require_human_confirm: bool('Whether a person is asked before this node acts. false counts only in a trusted file.'),
  caps: anyMap("What is left of the agent's capabilities here; can only narrow."),
  tags: list('For people and filters.', { type: 'string' }),
};

const edge: Properties<typeof edgeKeys> = {
  from: matching('node.port, with or without a predicate: review.ok == true.', `(?:${port}|${compared})`),
  to: matching('node.port', port),
};

const condition = matching('node.port == value, or exists(node.port).', `(?:${compared}|\\s*exists\\(${port}\\)\\s*)`);
const success: Properties<typeof successKeys> = {
  any_of: list('One of these must hold.', condition, { minItems: 1 }),
  all_of: list('All of these must hold.', condition, { minItems: 1 }),
};

const artifacts: Properties<typeof artifactKeys> = {
  save: list('Ports whose values are kept as artifacts.', matching('node.port', port)),
};

const root: Properties<typeof rootKeys> = {
  version: { description: 'Version of the language.', const: 0 },
  name: matching('What it is called.', name),
  goals: list('What it is for, in your words.', { type: 'string' }, { maxItems: goalsMax }),
  params: anyMap('Parameters with their defaults; --params and -p override them by key.'),
  policy: { ...object(policy, [], 'Limits of the whole run.'), type: ['object', 'null'] },
  nodes: list('The agents that work.', object(node, ['id', 'use'], 'A node.'), { minItems: 1, maxItems: nodesMax }),
  edges: {
    ...list('What goes from where to where.', object(edge, ['from', 'to'], 'An edge.'), { maxItems: edgesMax }),
    type: ['array', 'null'],
  },
  success: {
    ...object(success, [], 'When the run has succeeded; all sinks, where left out.'),
    minProperties: 1,
    maxProperties: 1,
  },
  artifacts: object(artifacts, [], 'What is kept.'),
};

export const openingSchema: JsonObject = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:runloop:opening:0',
  title: 'Runloop opening',
  ...object(root, ['version', 'name', 'nodes'], 'A directed acyclic graph of agents.'),
};

function object(
  properties: { readonly [key: string]: JsonObject },
  required: readonly string[],
  description: string,
): JsonObject {
  return { description, type: 'object', properties, required, additionalProperties: false };
}
