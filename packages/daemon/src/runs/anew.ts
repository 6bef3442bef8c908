/**
 * Attempts that were taken up again and ask for something else than their tape says: a person chooses.
 *
 * Yes begins the next attempt, to which the calls that may happen once are answered from the record; anything else fails the
 * node. The attempt itself can go nowhere.
 */
import { cleanLabel, digestJson, failure, type Failure } from '@runloop/core';
import type { Divergence } from '@runloop/runtime';
import type { Waits } from './actions.ts';
import type { RunDriver } from './driver.ts';
import { anewOf, type Questions } from './questions.ts';

type Attempt = { readonly node: string; readonly attempt: number; readonly agent: string };

export async function askAnew(
  { node, attempt, agent }: Attempt,
  divergence: Divergence,
  run: { readonly driver: RunDriver; readonly questions: Questions },
): Promise<Waits | undefined> {
  const { index, expected, actual } = divergence;
  const call = anewOf(run.driver.identity.runId, node, attempt);
  const args = { node, attempt, call: index, recorded: expected ?? null, asks_for: actual };
  const why = `(it asks for ${actual.op} where its tape has ${expected?.op ?? 'nothing'} (call ${index}))`;
  const request = {
    call,
    op: 'node.retry',
    args,
    args_hash: digestJson(args),
    target: '',
    always: true,
    // Nothing leaves with it.
    label: cleanLabel,
  };
  await run.questions.ask({ node, agent }, request, why);
  const action = run.driver.actions.ofCall(call)?.id;
  return action === undefined ? undefined : { for: 'approval', action };
}

/** Why the attempt may not go on: it has left its tape, and nobody wants another. */
export function refusedAnew(
  { node, attempt }: Attempt,
  { driver }: { readonly driver: RunDriver },
): Failure | undefined {
  const decision = driver.actions.ofCall(anewOf(driver.identity.runId, node, attempt))?.decision;
  if (decision === undefined || decision === 'approve') return undefined;
  return failure(
    'ReplayDiverged',
    `attempt ${attempt} asked for something else than it did before, and was not made anew`,
  );
}
