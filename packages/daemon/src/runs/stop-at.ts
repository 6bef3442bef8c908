/**
 * What becomes of a node whose call a budget refused: the operator is asked, and the node waits; or it fails.
 */
import { cleanLabel, digestJson, type Failure, failure, type JsonObject } from '@runloop/core';
import type { CallContext } from '@runloop/runtime';
import type { Waits } from './actions.ts';
import type { RunDriver } from './driver.ts';
import { raiseOf, wordsOf } from './exhausted.ts';
import type { Exhausted, RunDraft } from './ports.ts';
import type { Questions } from './questions.ts';

type Stoppable = {
  readonly driver: RunDriver;
  readonly questions: Questions;
  readonly options: { readonly onConfirm: 'wait' | 'deny' };
};

/** How a node goes on whose call a budget refused. */
export type Stopped = { readonly waits: Waits } | { readonly fault: Failure };

export async function stopAt(
  run: Stoppable,
  ctx: CallContext & { readonly call: string },
  exhausted: Exhausted,
  events: readonly RunDraft[],
): Promise<Stopped> {
  const { node, agent, attempt, call } = ctx;
  const { driver, questions, options } = run;
  const what = wordsOf(exhausted);
  const meta = { node, attempt, agent, call, ...exhausted };
  driver.note([...events, { kind: 'budget.exhausted', level: 'warn', message: `${node} waits: ${what}.`, meta }]);
  const fault = failure('BudgetExceeded', what);
  if (options.onConfirm === 'deny') return { fault };
  let nth = 1;
  while (driver.actions.ofCall(raiseOf(call, nth))?.decision === 'approve') nth += 1;
  const known = driver.actions.ofCall(raiseOf(call, nth));
  if (known !== undefined)
    return known.decision === undefined ? { waits: { for: 'budget', action: known.id } } : { fault };
  const args: JsonObject = exhausted;
  const request = {
    call: raiseOf(call, nth),
    op: 'budget.raise',
    args,
    args_hash: digestJson(args),
    target: '',
    always: true,
    // Nothing leaves with it.
    label: cleanLabel,
  };
  const answer = await questions.ask({ node, agent }, request, `(${what})`);
  return answer.type === 'pending' ? { waits: { for: 'budget', action: answer.action } } : { fault };
}
