/**
 * A run as a tree for the terminal: nodes, attempts and calls, each under what it belongs to, with durations and costs.
 */
import { showLine } from '@runloop/core';
import { dollars, duration } from '../screen.ts';
import type { AttemptSpan, CallSpan, Cost, NodeSpan, Timeline } from './timeline.ts';

/** `text` is indented; `took` and `cost` stand at the right. */
export type TreeRow = { readonly text: string; readonly took: string; readonly cost: string };

export function treeOf(line: Timeline): readonly TreeRow[] {
  const reason = line.reason === null ? '' : `: ${line.reason}`;
  const took = duration(line.ended_ms - line.began_ms);
  return [row(`${line.name} ${line.state}${reason}`, took, line.cost), ...branches('', line.nodes, nodeRows)];
}

function branches<T>(
  indent: string,
  items: readonly T[],
  rowsOf: (item: T, head: string, below: string) => TreeRow[],
): TreeRow[] {
  return items.flatMap((item, i) => {
    const isLast = i === items.length - 1;
    return rowsOf(item, `${indent}${isLast ? '└─ ' : '├─ '}`, `${indent}${isLast ? '   ' : '│  '}`);
  });
}

function nodeRows(node: NodeSpan, head: string, below: string): TreeRow[] {
  const [only] = node.attempts;
  const label = `${head}${node.node} ${node.agent} ${node.state}${node.from_tape ? ', from the tape' : ''}`;
  const reason = node.reason === null ? '' : `: ${node.reason}`;
  if (node.attempts.length > 1)
    return [
      row(label, '', node.cost),
      ...branches(below, node.attempts, (one, at, under) => attemptRows(one, at, under)),
    ];
  const own = row(`${label}${reason}`, only === undefined ? '' : tookOf(only.began_ms, only.ended_ms), node.cost);
  return [own, ...branches(below, only?.calls ?? [], callRow)];
}

function attemptRows(attempt: AttemptSpan, head: string, below: string): TreeRow[] {
  const reason = attempt.reason === null ? '' : `: ${attempt.reason}`;
  const own = row(
    `${head}attempt ${attempt.attempt} ${attempt.state}${reason}`,
    tookOf(attempt.began_ms, attempt.ended_ms),
  );
  return [own, ...branches(below, attempt.calls, callRow)];
}

function callRow(call: CallSpan, head: string): TreeRow[] {
  const outcome = call.ok === null ? 'no result' : call.ok ? '' : (call.error ?? 'failed');
  const outside = call.outside === null ? '' : ` → ${call.outside}`;
  return [row(`${head}${call.op}${outside} ${outcome}`.trimEnd(), tookOf(call.began_ms, call.ended_ms), call.cost)];
}

function tookOf(began: number | null, ended: number | null): string {
  return began === null || ended === null ? '' : duration(ended - began);
}

function row(text: string, took: string, cost?: Cost): TreeRow {
  const isFree = cost === undefined || (cost.tokens === 0 && cost.usd_nano === 0);
  return { text: showLine(text), took, cost: isFree ? '' : dollars(cost.usd_nano) };
}
