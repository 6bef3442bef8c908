/**
 * The intermediate representation of an opening: plain JSON, what is hashed, pinned and run.
 *
 * Field names are those of the file, so that the IR can be read beside it.
 */
import type { JsonObject, JsonValue } from '@runloop/core';

export type Scalar = boolean | number | string;
export type CompareOp = '==' | '!=' | '>' | '>=' | '<' | '<=';
export type PortRef = { readonly node: string; readonly port: string };
export type Predicate = { readonly op: CompareOp; readonly value: Scalar };

export type Retry = {
  readonly max_attempts: number;
  readonly backoff_ms: number;
  readonly max_ms: number;
  readonly multiplier: number;
  readonly jitter: number;
};

export type NodeSpec = {
  readonly id: string;
  readonly use: { readonly kind: 'agent' | 'opening'; readonly name: string };
  readonly with: JsonObject;
  readonly retry?: Retry;
  readonly timeout_ms?: number;
  readonly budget_tokens?: number;
  readonly require_human_confirm?: boolean;
  /** What is left of the agent's capabilities in this node, in the words of policy.caps; can only narrow. */
  readonly caps?: JsonObject;
  readonly tags: readonly string[];
};

export type EdgeSpec = { readonly from: PortRef; readonly when?: Predicate; readonly to: PortRef };

export type Condition =
  | { readonly type: 'compare'; readonly port: PortRef; readonly when: Predicate }
  | { readonly type: 'exists'; readonly port: PortRef };

export type Policy = {
  readonly budget_tokens?: number;
  readonly budget_usd?: number;
  readonly timeout_ms?: number;
  readonly confirm_external?: boolean;
  readonly max_parallel?: number;
  readonly allow_flow?: string;
};

export type Success = { readonly mode: 'any_of' | 'all_of'; readonly conditions: readonly Condition[] };

/** What is left of a nested opening once its nodes stand in the outer one as `<id>/<node>`. */
export type Group = {
  /** Of the node that uses it; within another nested opening `outer/inner`. */
  readonly id: string;
  readonly opening: string;
  /** Of its text, as `rlp opening trust` names it. */
  readonly digest: string;
  readonly nodes: number;
  readonly timeout_ms?: number;
  readonly budget_tokens?: number;
  readonly budget_usd?: number;
  readonly confirm_external?: boolean;
  readonly allow_flow?: string;
  readonly success?: Success;
};

export type Opening = {
  readonly version: 0;
  readonly name: string;
  readonly goals: readonly string[];
  readonly params: JsonObject;
  readonly policy: Policy;
  readonly nodes: readonly NodeSpec[];
  readonly edges: readonly EdgeSpec[];
  readonly success?: Success;
  readonly artifacts: { readonly save: readonly PortRef[] };
  /** The nested openings, an outer one before those in it. */
  readonly groups?: readonly Group[];
};

/** What an opening needs to know of an agent: its manifest's ports (name → accepted or given types) and its `with` schema. */
export type AgentInterface = {
  readonly name: string;
  readonly in: { readonly [port: string]: readonly string[] };
  readonly out: { readonly [port: string]: readonly string[] };
  readonly withSchema?: JsonObject;
  readonly flow?: AgentFlow;
};
/** The interfaces of agents by name. */
export type Agents = ReadonlyMap<string, AgentInterface>;

/** What an agent's capabilities let it bring in and send out. */
export type AgentFlow = {
  readonly brings: readonly { readonly what: string; readonly untrusted?: boolean; readonly private?: boolean }[];
  readonly sinks: readonly string[];
  /** What it gives is no secret: the operator has pinned it. */
  readonly declassifies?: boolean;
};

export const defaultRetry: Retry = { max_attempts: 1, backoff_ms: 1000, max_ms: 30_000, multiplier: 2, jitter: 0.2 };

/** The port on which a node that has finally failed gives `{reason, retryable}`. */
export const errPort = 'err';

export function showRef(ref: PortRef): string {
  return `${ref.node}.${ref.port}`;
}

/**
 * Compares a port's value with a predicate's. Unlike types are unequal in every way, also under `!=`
 * (docs/openings.md): the caller warns. Strings of digits compare as decimal integers.
 */
export function holds(
  value: JsonValue | undefined,
  when: Predicate,
): { readonly result: boolean; readonly unlike: boolean } {
  if (typeof value !== typeof when.value || value === undefined || value === null)
    return { result: false, unlike: true };
  const order = compare(value as Scalar, when.value);
  if (order === undefined) return { result: false, unlike: true };
  switch (when.op) {
    case '==':
      return { result: order === 0, unlike: false };
    case '!=':
      return { result: order !== 0, unlike: false };
    case '>':
      return { result: order > 0, unlike: false };
    case '>=':
      return { result: order >= 0, unlike: false };
    case '<':
      return { result: order < 0, unlike: false };
    case '<=':
      return { result: order <= 0, unlike: false };
  }
  return when.op satisfies never;
}

function compare(a: Scalar, b: Scalar): number | undefined {
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a !== 'string' || typeof b !== 'string') return undefined;
  if (/^-?\d{1,4096}$/.test(a) && /^-?\d{1,4096}$/.test(b)) {
    const difference = BigInt(a) - BigInt(b);
    return difference === 0n ? 0 : difference > 0n ? 1 : -1;
  }
  return a === b ? 0 : a < b ? -1 : 1;
}
