/**
 * The little expressions of an opening: `node.port`, `node.port==value`, `exists(node.port)`.
 *
 * Parsed by hand in one pass; no regular expression sees unbounded input twice.
 */
import { type Result, err, isName, ok } from '@runloop/core';
import { nestingMax } from './limits.ts';
import type { CompareOp, Condition, PortRef, Predicate, Scalar } from './ir.ts';

const operators: readonly CompareOp[] = ['==', '!=', '>=', '<=', '>', '<'];

export type Source = { readonly port: PortRef; readonly when?: Predicate };

/** `node.port`, with or without a predicate behind it. */
export function parseSource(text: string): Result<Source, string> {
  const split = splitAtOperator(text);
  const port = parseRef(split.left);
  if (!port.ok) return port;
  if (split.op === undefined) return ok({ port: port.value });
  const value = parseScalar(split.right);
  if (!value.ok) return value;
  if (typeof value.value === 'boolean' && split.op !== '==' && split.op !== '!=') {
    return err(`a bool can only be compared with == or !=, not with ${split.op}`);
  }
  return ok({ port: port.value, when: { op: split.op, value: value.value } });
}

export function parseRef(text: string): Result<PortRef, string> {
  const parts = text.trim().split('.');
  const [node, port] = parts;
  if (parts.length !== 2 || node === undefined || port === undefined || !isNodeId(node) || !isName(port)) {
    return err(`"${text.trim()}" is not of the form node.port`);
  }
  return ok({ node, port });
}

/** `node`, or `outer/node` for one of a nested opening. */
function isNodeId(text: string): boolean {
  const names = text.split('/');
  return names.length <= nestingMax + 1 && names.every(isName);
}

export function parseCondition(text: string): Result<Condition, string> {
  const trimmed = text.trim();
  if (trimmed.startsWith('exists(') && trimmed.endsWith(')')) {
    const port = parseRef(trimmed.slice('exists('.length, -1));
    return port.ok ? ok({ type: 'exists', port: port.value }) : port;
  }
  const source = parseSource(trimmed);
  if (!source.ok) return source;
  if (source.value.when === undefined)
    return err(`"${trimmed}" compares nothing: write exists(${trimmed}) or ${trimmed} == true`);
  return ok({ type: 'compare', port: source.value.port, when: source.value.when });
}

function splitAtOperator(text: string): { left: string; op?: CompareOp; right: string } {
  for (let at = 0; at < text.length; at += 1) {
    const op = operators.find((candidate) => text.startsWith(candidate, at));
    if (op !== undefined) return { left: text.slice(0, at), op, right: text.slice(at + op.length) };
  }
  return { left: text, right: '' };
}

function parseScalar(text: string): Result<Scalar, string> {
  const value = text.trim();
  if (value === '') return err('nothing stands behind the comparison');
  if (value === 'true' || value === 'false') return ok(value === 'true');
  const first = value[0];
  if (first === '"' || first === "'") {
    if (value.length < 2 || value.at(-1) !== first) return err(`the string ${value} is not closed`);
    const inner = value.slice(1, -1);
    return inner.includes(first) ? err(`the string ${value} holds its own quote`) : ok(inner);
  }
  if (/^-?\d/.test(value)) {
    const number = Number(value);
    if (!Number.isFinite(number)) return err(`"${value}" is not a number`);
    if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
      return err(`${value} is beyond 2^53 - 1: compare it as a string, "${value}"`);
    }
    return ok(number);
  }
  return err(`"${value}" is neither true, false, a number nor a quoted string`);
}
