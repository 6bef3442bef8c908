/**
 * run.tape and run.fork: a run as it stands on the ledger, and a new one that begins with a part of it.
 *
 * What a tape holds: what is on the ledger alone included, with the sizes of the blobs that its events name.
 */
import { err, type Failure, isJsonObject, type JsonValue, ok, type Result } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import { eventsPageMax, toRunEvent } from '../runs/feed.ts';
import type { Runs } from '../runs/runs.ts';
import { metaOf } from '../runs/tape.ts';
import { type Args, type Caller, mayTouch, noSuchRun, type Operations } from './operation.ts';

export function tapeOperations({ kb, runs }: { readonly kb: Kb; readonly runs: Runs }): Operations {
  return {
    'run.fork': (args, caller) => fork(args, caller, kb, runs),
    'run.tape': (args, caller) => {
      const traceId = args.traceId('trace_id');
      const afterId = args.number('after_id', 0, Number.MAX_SAFE_INTEGER);
      const max = args.number('max', 500, eventsPageMax);
      return args.check(async () => {
        const seen = await maySee(kb, traceId, caller);
        if (!seen.ok) return seen;
        const page = await kb.runEvents({ traceId, afterId, max });
        if (!page.ok) return page;
        const digests = [...new Set(page.value.events.flatMap((row) => blobsIn(metaOf(row))))];
        const sizes = await Promise.all(digests.map((digest) => kb.blobBytes(digest)));
        const events = page.value.events.map((row) => ({ id: row.id, ...toRunEvent(row) }));
        return ok({ events, bytes: Object.fromEntries(digests.map((digest, i) => [digest, sizes[i] ?? null])) });
      });
    },
  };
}

function fork(args: Args, caller: Caller, kb: Kb, runs: Runs): Promise<Result<unknown, Failure>> {
  const of = args.traceId('trace_id');
  const agents = Object.entries(args.object('agents'));
  const named = agents.filter((pair): pair is [string, string] => typeof pair[1] === 'string');
  if (named.length < agents.length) args.refuse('agents must be names of agents, by node');
  const onConfirm = args.optionalText('on_confirm') ?? 'wait';
  if (onConfirm !== 'wait' && onConfirm !== 'deny') args.refuse('on_confirm must be wait or deny');
  const request = {
    traceId: caller.traceId,
    of,
    at: args.text('at'),
    with: args.object('with'),
    agents: Object.fromEntries(named),
    model: args.optionalText('model'),
    priority: args.number('priority', 0, 9),
    onConfirm: onConfirm as 'wait' | 'deny',
    actor: caller.principal.id,
  };
  return args.check(async () => {
    const seen = await maySee(kb, of, caller);
    return seen.ok ? runs.fork(request) : seen;
  });
}

async function maySee(kb: Kb, traceId: string, { principal }: Caller): Promise<Result<void, Failure>> {
  const run = await kb.run(traceId);
  if (!run.ok) return run.error.code === 'NotFound' ? err(noSuchRun(traceId)) : run;
  return mayTouch(principal, String(run.value.run['actor'])) ? ok(undefined) : err(noSuchRun(traceId));
}

/** Digests of arguments, results and outputs. */
function blobsIn({ args, value, outputs }: { readonly [name: string]: JsonValue | undefined }): readonly string[] {
  const stored = [args, value].flatMap((one) => (isJsonObject(one) ? [one['blob']] : []));
  const given = isJsonObject(outputs)
    ? Object.values(outputs).flatMap((list) => (Array.isArray(list) ? list : []))
    : [];
  return [...stored, ...given.map((one: JsonValue) => (isJsonObject(one) ? one['digest'] : undefined))].filter(
    (digest): digest is string => typeof digest === 'string',
  );
}
