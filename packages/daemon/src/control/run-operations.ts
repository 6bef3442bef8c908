/**
 * run.*: submit, list, show, events, and the orders that a run takes.
 */
import {
  err,
  failure,
  type Failure,
  isName,
  type JsonObject,
  nearest,
  ok,
  type Result,
  runFolder,
} from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { Signal } from '@runloop/openings';
import type { EventFeed } from '../runs/feed.ts';
import type { Runs } from '../runs/runs.ts';
import type { NestedTexts, OpeningText } from '../runs/submission.ts';
import { metaOf } from '../runs/tape.ts';
import { type Args, type Caller, mayTouch, noSuchRun, type Operations } from './operation.ts';
import { nestedOpenings } from './nested-openings.ts';
import { findOpening, openingNames } from './opening-names.ts';

export type RunOperationDeps = {
  readonly kb: Kb;
  readonly runs: Runs;
  readonly feed: EventFeed;
  readonly openingDirs: readonly string[];
  readonly homeDir: string;
  /** Folders that no run is given: our own state. */
  readonly never: readonly string[];
};

export function runOperations(deps: RunOperationDeps): Operations {
  const { kb, runs, feed } = deps;
  return {
    'run.submit': (args, caller) => {
      const onConfirm = args.optionalText('on_confirm') ?? 'wait';
      if (onConfirm !== 'wait' && onConfirm !== 'deny') args.refuse('on_confirm must be wait or deny');
      const params = args.object('params');
      const nested = args.object('nested');
      const priority = args.number('priority', 0, 9);
      const asked = args.optionalText('folder');
      return args.check(async () => {
        const folder = folderOf(deps, asked, caller);
        if (!folder.ok) return folder;
        const source = await sourceOf(args, nested, deps.openingDirs);
        if (!source.ok) return source;
        return runs.submit({
          traceId: caller.traceId,
          ...source.value,
          params,
          priority,
          onConfirm: onConfirm as 'wait' | 'deny',
          actor: caller.principal.id,
          folder: folder.value,
        });
      });
    },
    'run.plan': (args) => {
      const params = args.object('params');
      const nested = args.object('nested');
      return args.check(async () => {
        const source = await sourceOf(args, nested, deps.openingDirs);
        if (!source.ok) return source;
        return runs.plan(source.value, params, source.value.nested);
      });
    },
    'run.list': (args, caller) => {
      const state = args.optionalText('state');
      const max = args.number('max', 50, 1000);
      const before = args.optionalNumber('before');
      return args.check(async () => {
        const rows = await kb.runs({ max, state, before });
        return rows.ok
          ? ok({ runs: rows.value.filter((row) => mayTouch(caller.principal, String(row['actor']))) })
          : rows;
      });
    },
    'run.show': (args, caller) => {
      const traceId = args.traceId('trace_id');
      return args.check(async () => {
        const found = await kb.run(traceId);
        if (!found.ok) return found;
        if (!mayTouch(caller.principal, String(found.value.run['actor']))) return err(noSuchRun(traceId));
        return ok({ ...found.value.run, trace_id: traceId, nodes: await nodesOf(kb, traceId, found.value) });
      });
    },
    'run.events': (args, caller) => {
      const q = {
        traceId: args.traceId('trace_id'),
        afterSeq: args.number('after_seq', 0, Number.MAX_SAFE_INTEGER),
        max: args.number('max', 500, 1000),
        waitMs: args.number('wait_ms', 0, 30_000),
      };
      return args.check(async () => {
        const actor = await actorOf(deps, q.traceId, caller);
        if (!mayTouch(caller.principal, actor)) return err(noSuchRun(q.traceId));
        return feed.read(q, caller.signal);
      });
    },
    'run.pause': (args, caller) => order(args, caller, runs, { type: 'pause', by: caller.principal.name }),
    'run.resume': (args, caller) => order(args, caller, runs, { type: 'resume', by: caller.principal.name }),
    'run.step': (args, caller) => order(args, caller, runs, { type: 'step', by: caller.principal.name }),
    'run.cancel': (args, caller) => {
      const reason = args.optionalText('reason') ?? `cancelled by ${caller.principal.name}`;
      return order(args, caller, runs, { type: 'cancel', by: caller.principal.name, reason });
    },
  };
}

/** A token's holder cannot name a folder: what its runs may read is up to the operator. */
function folderOf(
  deps: RunOperationDeps,
  folder: string | undefined,
  { principal }: Caller,
): Result<string | undefined, Failure> {
  if (folder === undefined) return ok(undefined);
  if (principal.type === 'operator') return runFolder(folder, deps);
  const why = 'a token gives no run a folder: only the operator can';
  return err(failure('Forbidden', why, { hint: 'submit it without folder' }));
}

/** What somebody wants of a run; answered once it is on the ledger. */
function order(args: Args, caller: Caller, runs: Runs, signal: Order): Promise<Result<unknown, Failure>> {
  const traceId = args.traceId('trace_id');
  return args.check(async () => {
    const run = runs.get(traceId);
    if (run === undefined || !mayTouch(caller.principal, run.driver.identity.actor))
      return err(failure('NotFound', `no run ${traceId} is under way`, { hint: 'see: rlp runs' }));
    const given = await run.driver.order(signal);
    if (!given.ok) return given;
    const { phase } = run.state;
    // Paused twice is paused; a step of a run that goes by itself would be lost.
    if (!given.value && (signal.type === 'resume' || signal.type === 'step'))
      return err(failure('Conflict', `run ${traceId} is not paused, it is ${phase}`, { hint: `rlp pause ${traceId}` }));
    return ok({ trace_id: traceId, state: phase });
  });
}

type Order = Extract<Signal, { readonly type: 'pause' | 'resume' | 'step' | 'cancel' }>;

/** Who submitted the run; operators need not be told apart, so nothing is looked up for them. */
async function actorOf({ kb, runs }: RunOperationDeps, traceId: string, caller: Caller): Promise<string | undefined> {
  const live = runs.get(traceId)?.driver.identity.actor;
  if (live !== undefined || caller.principal.type === 'operator') return live;
  const found = await kb.run(traceId);
  return found.ok ? String(found.value.run['actor']) : undefined;
}

/** Nodes in the order of the file; those that no event has named yet are pending. */
async function nodesOf(
  kb: Kb,
  traceId: string,
  found: { nodes: readonly { readonly [column: string]: unknown }[] },
): Promise<JsonObject[]> {
  const known = new Map(found.nodes.map((node) => [String(node['node']), node]));
  const first = await kb.runEvents({ traceId, max: 1 });
  const accepted = first.ok && first.value.events[0] !== undefined ? metaOf(first.value.events[0]) : {};
  const opening = accepted['opening'] as { nodes?: readonly { id: string; use: { name: string } }[] } | undefined;
  return (opening?.nodes ?? []).map(({ id, use }) => {
    const { node: _, trace_id: __, attempt, ...rest } = (known.get(id) ?? {}) as JsonObject;
    return { id, state: 'pending', attempts: attempt ?? 0, ...rest, agent: use.name };
  });
}

type Source = OpeningText & { readonly nested: NestedTexts };

/** The opening that is meant, with those that it nests. */
async function sourceOf(args: Args, given: JsonObject, dirs: readonly string[]): Promise<Result<Source, Failure>> {
  const source = await textOf(args, dirs);
  if (!source.ok) return source;
  const nested = await nestedOpenings(source.value, given, dirs);
  return nested.ok ? ok({ ...source.value, nested: nested.value }) : nested;
}

async function textOf(args: Args, dirs: readonly string[]): Promise<Result<OpeningText, Failure>> {
  const text = args.optionalText('text');
  const file = args.optionalText('file') ?? 'opening.yaml';
  if (text !== undefined) return ok({ file, text });
  const name = args.text('name');
  if (!isName(name))
    return err(failure('Usage', `"${name.slice(0, 80)}" is neither a file nor the name of an opening`));
  const found = await findOpening(dirs, name);
  if (found !== undefined) return ok(found);
  const near = nearest(name, await openingNames(dirs));
  return err(
    failure('NotFound', `there is no opening "${name}"`, {
      hint: near === undefined ? `looked in: ${dirs.join(', ')}` : `did you mean "${near}"?`,
    }),
  );
}
