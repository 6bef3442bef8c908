/**
 * action.*: what waits for a person, and the person's answer.
 *
 * 1. An answer names the hash that was shown; what runs is the stored request and nothing else.
 * 2. A request is found by the first letters of its id, where there is one that begins so.
 */
import { err, failure, type Failure, isJsonObject, type JsonObject, ok, parseJson, type Result } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { Action, Decision } from '../runs/actions.ts';
import type { Run } from '../runs/run.ts';
import type { Runs } from '../runs/runs.ts';
import { type Caller, mayTouch, type Operations } from './operation.ts';

/** Answered requests that are listed at most. */
const answeredMax = 200;

type Shown = { readonly action: string; readonly [key: string]: unknown };

type ActionDeps = { readonly kb: Kb; readonly runs: Runs };

export function actionOperations(deps: ActionDeps): Operations {
  return { ...reading(deps), ...deciding(deps.runs) };
}

function reading({ kb, runs }: ActionDeps): Operations {
  const live = (caller: Caller): Shown[] =>
    runs
      .live()
      .filter((run) => mayTouch(caller.principal, run.driver.identity.actor))
      .flatMap((run) => run.driver.actions.pending().map((action) => shown(run, action)));
  return {
    'action.list': (args, caller) => {
      const all = args.boolean('all');
      return args.check(async () => {
        const waiting = live(caller);
        if (!all || caller.principal.type !== 'operator') return ok({ actions: waiting });
        const rows = await kb.approvals({ max: answeredMax });
        if (!rows.ok) return rows;
        const isLive = new Set(waiting.map(({ action }) => action));
        const answered = rows.value.map(stored).filter(({ action }) => !isLive.has(action));
        return ok({ actions: [...waiting, ...answered] });
      });
    },
    'action.show': (args, caller) => {
      const given = args.text('action');
      return args.check(async () => {
        const id = given.startsWith('act_') ? given : `act_${given}`;
        const begins = ({ action }: Shown): boolean => action.startsWith(id);
        const waiting = live(caller).filter(begins);
        const rows = caller.principal.type === 'operator' ? await kb.approvals({ action: id, max: 10 }) : ok([]);
        if (!rows.ok) return rows;
        const known = new Map([...rows.value.map(stored), ...waiting].map((one) => [one.action, one]));
        const exact = known.get(id) ?? (known.size === 1 ? [...known.values()][0] : undefined);
        if (exact !== undefined) return ok(exact);
        return err(
          known.size === 0
            ? failure('NotFound', `there is no request ${given}`, { hint: 'see: rlp approve list' })
            : failure('Usage', `${given} may be any of ${[...known.keys()].join(', ')}`, { hint: 'write more of it' }),
        );
      });
    },
  };
}

function deciding(runs: Runs): Operations {
  const answer = async (
    id: string,
    decision: Decision,
    give: (run: Run, action: Action) => Promise<Failure | undefined>,
  ): Promise<Result<unknown, Failure>> => {
    const run = runs.live().find(({ driver }) => driver.actions.get(id) !== undefined);
    const action = run?.driver.actions.get(id);
    if (run === undefined || action === undefined)
      return err(failure('NotFound', `no request ${id} waits for an answer`, { hint: 'see: rlp approve list' }));
    const problem = await give(run, action);
    return problem === undefined ? ok({ action: id, decision, trace_id: run.driver.identity.traceId }) : err(problem);
  };
  return {
    'action.decide': (args, caller) => {
      const id = args.text('action');
      const hash = args.text('hash');
      const decision = args.text('decision');
      if (decision !== 'approve' && decision !== 'deny' && decision !== 'done')
        args.refuse('decision must be approve, deny or done');
      const value = args.any('value');
      const times = args.optionalNumber('times');
      const raise = args.optionalNumber('raise');
      const said = {
        ...(value === undefined ? {} : { value }),
        ...(times === undefined ? {} : { times }),
        ...(raise === undefined ? {} : { raise }),
      };
      return args.check(() =>
        answer(id, decision as Decision, ({ questions }) =>
          questions.decide(id, hash, decision as Decision, caller.principal.id, said),
        ),
      );
    },
    'action.edit': (args, caller) => {
      const id = args.text('action');
      const hash = args.text('hash');
      const instead = args.object('args');
      return args.check(() =>
        answer(id, 'edited', (run, action) => run.edit(action, hash, instead, caller.principal.id)),
      );
    },
  };
}

function shown({ driver, state }: Run, { id, meta }: Action): Shown {
  return {
    trace_id: driver.identity.traceId,
    opening: state.opening.name,
    ...meta,
    action: id,
    state: 'pending',
    spent: { tokens: state.tokens, usd_nano: state.usdNano },
  };
}

/** A row of the view, in the words of the event that it comes from; one that waits for nobody any more has lapsed. */
function stored({ args_json: args, about_json: about, ...row }: JsonObject): Shown {
  const read = (text: unknown): unknown => {
    const parsed = typeof text === 'string' ? parseJson(text) : undefined;
    return parsed?.ok === true ? parsed.value : undefined;
  };
  const more = read(about);
  const state = row['state'] === 'pending' ? 'lapsed' : row['state'];
  return {
    ...row,
    state,
    action: String(row['action']),
    ...(isJsonObject(more) ? more : {}),
    args: read(args) ?? null,
  };
}
