/**
 * model.*: every model call of every agent goes through the broker.
 *
 * What was called, for how much and from where is told as `model.called`, beside the call's result.
 */
import type { Overrun, Spent } from '@runloop/broker';
import { type Failure, failure, type JsonObject, type JsonValue, type Result } from '@runloop/core';
import type { CallScope, Exhausted, Performed, Raised, RunDraft, Spender } from '../runs/ports.ts';
import { answered, refused } from './kb-calls.ts';

/** What a call cost and who answered it. */
export type ModelCalled = {
  readonly model: string;
  readonly provider: string;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
  readonly cache: string;
  readonly latency_ms: number;
};

export interface ModelPort {
  /** Whether a provider that is cleared for private data serves this model, or the default one. */
  clears(model: string | undefined): boolean;
  /** Books a call whose answer was lost, at its bound; undefined where nobody serves it. */
  forfeit(op: 'complete' | 'embed', request: JsonObject, spender: Spender): Spent | undefined;
  raise(raised: Raised): void;
  call(op: 'complete' | 'embed', request: JsonObject, scope: CallScope, signal: AbortSignal): Promise<ModelAnswer>;
}

/** `spent` are attempts that were paid for, or may have been, and gave nothing. */
export type ModelAnswer = {
  readonly outcome: Result<{ readonly answer: JsonValue; readonly called: ModelCalled }, Failure>;
  readonly spent: readonly Spent[];
  /** Calls that the broker made for this one. */
  readonly beside?: readonly ModelCalled[];
  /** Alarms: more was used than was reserved. */
  readonly overruns?: readonly Overrun[];
};

export async function performModel(
  models: ModelPort,
  op: string,
  args: JsonObject,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Performed> {
  if (op !== 'model.complete' && op !== 'model.embed')
    return refused(failure('NotFound', `there is no operation ${op}`));
  const {
    outcome,
    spent,
    beside = [],
    overruns = [],
  } = await models.call(op === 'model.embed' ? 'embed' : 'complete', args, scope, signal);
  const settled = [
    ...spent.map((one) => settledDraft(scope, one)),
    ...beside.map((one) => calledDraft(scope, one)),
    ...overruns.map((one) => overrunDraft(scope, one)),
  ];
  if (!outcome.ok) return { ...refused(outcome.error), events: settled, ...exhaustedBy(outcome.error) };
  const { answer, called } = outcome.value;
  return { ...answered(answer), events: [...settled, calledDraft(scope, called)] };
}

function calledDraft({ node, attempt, bundle }: CallScope, called: ModelCalled): RunDraft {
  const tokens = called.tokens_in + called.tokens_out;
  const message = `${node} called ${called.model} (${tokens} tokens, cache ${called.cache}).`;
  return { kind: 'model.called', level: 'info', message, meta: { node, attempt, agent: bundle.name, ...called } };
}

/** Budgets that a person can raise; what an agent may spend at most, and a call, is no budget but a grant. */
const raisable: ReadonlySet<unknown> = new Set(['day', 'user', 'opening', 'run', 'group', 'node']);

function exhaustedBy({ code, details }: Failure): Pick<Performed, 'exhausted'> {
  const isRaisable = code === 'BudgetExceeded' && raisable.has(details?.['level']) && details?.['unit'] !== undefined;
  return isRaisable ? { exhausted: details as unknown as Exhausted } : {};
}

/** A call that nobody answered is paid for at its bound, for all that we know. */
function settledDraft({ node, attempt, bundle }: CallScope, spent: Spent): RunDraft {
  const tokens = spent.tokens_in + spent.tokens_out;
  const message = `${node} called ${spent.model} and got no answer: booked at its bound (${tokens} tokens).`;
  const meta = { node, attempt, agent: bundle.name, why: 'no_answer', ...spent };
  return { kind: 'budget.settled', level: 'warn', message, meta };
}

function overrunDraft({ node, attempt, bundle }: CallScope, overrun: Overrun): RunDraft {
  const { model, provider, used, frozen } = overrun;
  const levels = frozen.length === 0 ? 'no budget has a cap on it' : `frozen: ${frozen.join(', ')}`;
  const message = `${node} called ${model}, and ${provider} used more than was reserved (${used.tokens_in + used.tokens_out} tokens); ${levels}.`;
  const meta = { node, attempt, agent: bundle.name, ...overrun };
  return { kind: 'budget.overrun', level: 'error', message, meta };
}
