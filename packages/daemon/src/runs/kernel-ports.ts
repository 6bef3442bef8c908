/**
 * Joins the capability kernel to the runs: its journal is the run's driver, its questions are the run's actions.
 *
 * A journal entry that cannot be made durable throws: the call is not answered, and the attempt ends with its cell.
 */
import { type Failure, isJsonObject, type Result } from '@runloop/core';
import { type CallContext, type CapAudit, judge, type KernelPorts } from '@runloop/runtime';
import { createDeltas } from './deltas.ts';
import type { HostPerformer, RunDraft } from './ports.ts';
import type { Run } from './run.ts';
import { intentDraft, resultDraft, type TapedCall } from './tape.ts';
import { isStorageFault, type Values } from './values.ts';

export type KernelJoin = {
  readonly runOf: (traceId: string) => Run | undefined;
  readonly values: Values;
  readonly performer: HostPerformer;
  /** Which decisions of the kernel are recorded. */
  readonly audits: { readonly [decision in CapAudit['decision']]: boolean };
  /** Takes secrets out of a text. */
  readonly scrub: (text: string) => string;
  readonly log: (ctx: CallContext, stream: 'log' | 'stdout' | 'stderr', level: string, text: string) => void;
};

export function kernelPorts({ runOf, values, performer, audits, scrub, log }: KernelJoin): KernelPorts {
  const runFor = (ctx: CallContext): Run => {
    const run = runOf(ctx.trace_id);
    if (run === undefined) throw new Error(`run ${ctx.trace_id} is not under way`);
    return run;
  };
  const durable = async (run: Run, draft: Result<RunDraft, Failure>, more: readonly RunDraft[] = []): Promise<void> => {
    if (!draft.ok) {
      if (isStorageFault(draft.error)) run.driver.fault(draft.error);
      throw new Error(draft.error.message);
    }
    const recorded = await run.driver.record([...more, draft.value]);
    if (!recorded.ok) throw new Error(recorded.error.message);
    run.memory.remember(draft.value.meta as unknown as TapedCall);
  };
  /** Events that tell of a call, held until its result is written with them. */
  const telling = new Map<string, readonly RunDraft[]>();
  return {
    journal: {
      intent: async (record, ctx) => durable(runFor(ctx), await intentDraft(record, ctx, values)),
      result: async (record, ctx) => {
        const more = telling.get(record.call) ?? [];
        telling.delete(record.call);
        const run = runFor(ctx);
        const begun = run.memory.calls(ctx.node, ctx.attempt).findLast(({ call }) => call === record.call);
        await durable(run, await resultDraft(record, record.result, ctx, values, begun), more);
      },
      note: (record, ctx) => {
        const run = runFor(ctx);
        const more = telling.get(record.call) ?? [];
        telling.delete(record.call);
        const noting = resultDraft(record, record.result, ctx, values).then((draft) => {
          if (!draft.ok) {
            if (isStorageFault(draft.error)) run.driver.fault(draft.error);
            return;
          }
          run.driver.note([...more, draft.value]);
          run.memory.remember(draft.value.meta as unknown as TapedCall);
        });
        run.hold(ctx.node, ctx.attempt, noting);
      },
    },
    approvals: {
      ask: (request, ctx) => runFor(ctx).ask(ctx, request),
    },
    ...checksOf(runFor, performer),
    leaves: (op, args, ctx) => performer.leaves(op, args, ctx.caps),
    async perform(op, args, ctx, signal) {
      const run = runFor(ctx);
      const { node, attempt } = ctx;
      const deltas = createDeltas(scrub, (text) => run.driver.lossy('model.delta', text, { node, attempt }));
      const scope = { ...run.scopeOf(ctx), onDelta: deltas.push };
      const performed = await performer.perform(op, run.performed(op, args), scope, signal);
      deltas.end();
      if (performed === undefined) return undefined;
      const { result, events, exhausted } = performed;
      if (exhausted !== undefined && !signal.aborted) {
        await run.stopAt(ctx, exhausted, events ?? []);
        return 'waits';
      }
      if (!result.ok && isStorageFault(result)) {
        run.driver.fault({ code: 'StorageFailed', message: result.message });
        throw new Error(result.message);
      }
      // What was cut off has no result to be told with.
      if (signal.aborted) run.driver.note(events ?? []);
      else if (events !== undefined && events.length > 0) telling.set(ctx.call, events);
      return result;
    },
    audit(audit, ctx) {
      if (!audits[audit.decision]) return;
      const isDenied = audit.decision === 'deny';
      const message = `${audit.agent} was ${isDenied ? 'refused' : 'let'} ${audit.op}: ${audit.reason}`;
      runFor(ctx).driver.note([
        { kind: 'cap.audit', level: isDenied ? 'warn' : 'debug', message, meta: { ...audit, node: ctx.node } },
      ]);
    },
    line: (stream, level, text, ctx) => log(ctx, stream, level, text),
  };
}

/** What is looked at before a call is made: of a call to a model, the one that is called. */
function checksOf(
  runFor: (ctx: CallContext) => Run,
  performer: HostPerformer,
): Pick<KernelPorts, 'missing' | 'referents' | 'cleared'> {
  return {
    missing(op, args, ctx) {
      const run = runFor(ctx);
      const given = run.performed(op, args);
      const verdict = given === args ? undefined : judge(ctx.caps, 'model', op, given);
      return verdict?.allowed === false ? verdict : performer.missing?.(op, given, run.scopeOf(ctx));
    },
    async referents(op, args, ctx) {
      const run = runFor(ctx);
      const given = run.performed(op, args);
      const other = given === args || run.options.model === undefined ? {} : { 'model of the fork': run.options.model };
      return { ...other, ...(await performer.referents?.(op, given, run.scopeOf(ctx))) };
    },
    cleared(args, ctx) {
      const op = isJsonObject(args) && args['messages'] === undefined ? 'model.embed' : 'model.complete';
      return performer.cleared(runFor(ctx).performed(op, args));
    },
  };
}
