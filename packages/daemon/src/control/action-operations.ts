/**
 * action.*: what waits for a person, and the person's answer.
 *
 * An answer names the hash that was shown; what runs is the stored request and nothing else.
 */
import { err, failure, ok } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { Decision } from '../runs/actions.ts';
import type { Runs } from '../runs/runs.ts';
import { type Caller, mayTouch, type Operations } from './operation.ts';

export function actionOperations({ kb, runs }: { readonly kb: Kb; readonly runs: Runs }): Operations {
  const live = (caller: Caller): { run: string; action: string; [key: string]: unknown }[] =>
    runs
      .live()
      .filter((run) => mayTouch(caller.principal, run.driver.identity.actor))
      .flatMap((run) =>
        run.driver.actions.pending().map((action) => ({
          run: run.driver.identity.traceId,
          opening: run.state.opening.name,
          ...action.meta,
          action: action.id,
          state: 'pending',
        })),
      );
  return {
    'action.list': (args, caller) => {
      const all = args.boolean('all');
      return args.check(async () => {
        if (!all || caller.principal.type !== 'operator') return ok({ actions: live(caller) });
        const rows = await kb.approvals({ max: 200 });
        return rows.ok ? ok({ actions: rows.value }) : rows;
      });
    },
    'action.show': (args, caller) => {
      const id = args.text('action');
      return args.check(async () => {
        const pending = live(caller).find((action) => action.action === id);
        if (pending !== undefined) return ok(pending);
        if (caller.principal.type !== 'operator') return err(failure('NotFound', `there is no request ${id}`));
        const rows = await kb.approvals({ action: id, max: 1 });
        if (!rows.ok) return rows;
        const [row] = rows.value;
        return row === undefined
          ? err(failure('NotFound', `there is no request ${id}`, { hint: 'see: rlp approve list' }))
          : ok(row);
      });
    },
    'action.decide': (args, caller) => {
      const id = args.text('action');
      const hash = args.text('hash');
      const decision = args.text('decision');
      if (decision !== 'approve' && decision !== 'deny' && decision !== 'done')
        args.refuse('decision must be approve, deny or done');
      const value = args.any('value');
      return args.check(async () => {
        const run = runs.live().find((candidate) => candidate.driver.actions.get(id) !== undefined);
        const action = run?.driver.actions.get(id);
        if (run === undefined || action === undefined) {
          return err(failure('NotFound', `no request ${id} waits for an answer`, { hint: 'see: rlp approve list' }));
        }
        const problem = await run.questions.decide(id, hash, decision as Decision, caller.principal.id, value);
        return problem === undefined
          ? ok({ action: id, decision, trace_id: run.driver.identity.traceId })
          : err(problem);
      });
    },
  };
}
