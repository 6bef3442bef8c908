/**
 * Follows one run to its end: NDJSON for programs, a live view for people, and the question when one is asked.
 *
 * 1. Events come from the ledger, each once and in order, whatever the connection does meanwhile.
 * 2. The first Ctrl-C asks the daemon to cancel the run and goes on to its end; the second leaves. Who only looks on leaves at once.
 * 3. Questions are asked on the terminal, never in the stream; without one the run waits, and says how to answer. One that
 *    was answered elsewhere goes away, with who answered it.
 * 4. A person stays with the run when its daemon is gone: another is started, as by any command. A program is told.
 */
import { errorTable, type RunEvent, showJson, showLine, type TraceId } from '@runloop/core';
import { type Client, FollowError, type FollowOptions } from '@runloop/sdk';
import { askApproval, canAsk, isCutOff } from './ask-approval.ts';
import type { Tools } from './command.ts';
import { watchPassing } from './passing.ts';
import { RunView } from './run-view.ts';

/** Shows events to a person as they come; what stands on the ledger of the run in the end is shown by whoever asked for it. */
export interface View {
  show(event: RunEvent): void;
  /** Lets something else write meanwhile. */
  pause(): void;
  resume(): void;
  end(): void;
}

export type Following = {
  readonly client: Client;
  readonly traceId: TraceId;
  readonly tools: Tools;
  readonly ndjson: boolean;
  /** Whether Ctrl-C cancels the run (whoever started it) or only leaves (who looks on). */
  readonly owns: boolean;
  /** Takes every event as a line, where they are kept. */
  readonly keep: string[] | undefined;
  /** In place of the view of all nodes, and of the artifacts that it ends with. */
  readonly view?: View;
};

/** The session, which is another one when the daemon was gone meanwhile. */
type Session = { client: Client };

export async function follow(following: Following): Promise<number> {
  const { client, traceId, tools, ndjson, owns, keep } = following;
  const { environment, screen } = tools;
  const session: Session = { client };
  const nodes = ndjson || following.view !== undefined ? undefined : new RunView(environment, screen);
  const view = following.view ?? nodes;
  await using _passing = nodes && (await watchPassing(client, traceId, (event) => nodes.passing(event)));
  const left = new AbortController();
  const cancel = (): void => {
    if (!owns) {
      screen.note(`rlp: the run goes on without you; come back: rlp attach ${traceId}`);
      left.abort();
      return;
    }
    screen.note('rlp: cancelling the run (Ctrl-C again leaves it alone and exits)');
    void session.client.call('run.cancel', { trace_id: traceId, reason: 'interrupted' });
  };
  if (environment.interrupted.aborted) cancel();
  environment.interrupted.addEventListener('abort', cancel, { once: true });
  let last: RunEvent | undefined;
  let denied = false;
  let exhausted = false;
  let nobodyIsAsked = false;
  const open = new Map<string, AbortController>();
  let question: Promise<void> = Promise.resolve();
  try {
    const options = { signal: left.signal };
    for await (const event of events(session, traceId, options, view === undefined ? undefined : tools)) {
      last = event;
      const line = `${showJson(JSON.stringify(event))}\n`;
      keep?.push(line);
      if (view === undefined) environment.streams.out.write(line);
      else view.show(event);
      if (event.kind === 'run.accepted') nobodyIsAsked = event.meta['on_confirm'] === 'deny';
      if (event.kind === 'action.requested' && !nobodyIsAsked) {
        const answered = new AbortController();
        open.set(String(event.meta['action']), answered);
        question = question.then(() => ask(session, event, tools, view, answered.signal));
      } else if (event.kind === 'node.finished') exhausted ||= event.meta['code'] === 'BudgetExceeded';
      else if (event.kind === 'action.decided') {
        denied ||= event.meta['decision'] === 'deny' || event.meta['decision'] === 'expired';
        open.get(String(event.meta['action']))?.abort(new Answered(showLine(event.message)));
        open.delete(String(event.meta['action']));
      }
      if (event.kind === 'run.finished') break;
    }
  } catch (error) {
    if (!(error instanceof FollowError)) throw error;
    if (left.signal.aborted) return errorTable.Cancelled.exit;
    view?.end();
    return tools.fail(error.failure);
  } finally {
    for (const answered of open.values()) answered.abort();
    environment.interrupted.removeEventListener('abort', cancel);
  }
  await question;
  if (left.signal.aborted) return errorTable.Cancelled.exit;
  view?.end();
  if (view !== undefined && following.view === undefined) await showArtifacts(session.client, traceId, tools);
  if (exhausted && last?.meta['state'] === 'failed') return errorTable.BudgetExceeded.exit;
  return exitCode(last, denied, environment.interrupted.aborted);
}

/** The events of a run; with `tools` it goes on where it was when the daemon was killed, after the next one has started. */
async function* events(
  session: Session,
  traceId: TraceId,
  options: FollowOptions,
  tools: Tools | undefined,
): AsyncGenerator<RunEvent> {
  let afterSeq = 0;
  for (;;) {
    try {
      for await (const event of session.client.follow(traceId, { ...options, afterSeq })) {
        afterSeq = event.seq ?? afterSeq;
        yield event;
      }
      return;
    } catch (error) {
      const isLost = error instanceof FollowError && error.failure.code === 'DaemonUnavailable';
      if (!isLost || tools === undefined || session.client.isDraining) throw error;
      tools.screen.note('\nrlp: the daemon is gone; the run goes on with the next one');
      const again = await tools.connect();
      if (!again.ok) throw new FollowError(again.error);
      session.client = again.value;
    }
  }
}

async function ask(
  session: Session,
  { meta }: RunEvent,
  tools: Tools,
  view: View | undefined,
  signal: AbortSignal,
): Promise<void> {
  const id = String(meta['action']);
  // Who comes later reads what was asked and answered in one go.
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  if (signal.aborted) return;
  const sayHow = (): void => {
    const done = isCutOff(meta) ? `, done ${id}` : '';
    tools.screen.note(
      `rlp: the run waits for your answer: rlp approve show ${id}, then rlp approve yes ${id}${done} or no ${id}`,
    );
  };
  if (!canAsk(tools.environment)) return sayHow();
  view?.pause();
  const answer = await askApproval(tools, meta, signal);
  const decided =
    answer === undefined
      ? undefined
      : await session.client.call('action.decide', { action: id, hash: meta['hash'], decision: answer });
  if (signal.reason instanceof Answered) tools.screen.note(`  ${signal.reason.message}`);
  view?.resume();
  if (decided === undefined) {
    // Not answered here (Ctrl-D), nor elsewhere.
    if (!signal.aborted && !tools.environment.interrupted.aborted) sayHow();
  } else if (!decided.ok && decided.error.code !== 'Conflict') tools.screen.failure(decided.error);
}

/** Why a question is not asked any more: somebody has answered it. */
class Answered extends Error {}

async function showArtifacts(client: Client, traceId: TraceId, tools: Tools): Promise<void> {
  const found = await client.call('kb.artifacts', { trace_id: traceId });
  if (!found.ok) return;
  const { artifacts } = found.value as { artifacts: readonly { digest: string; type: string; node: string }[] };
  for (const { digest, type, node } of artifacts) {
    const blob = await client.call('kb.blob', { digest });
    if (!blob.ok) continue;
    const { printArtifact } = await import('./print-artifact.ts');
    printArtifact(tools.screen, {
      node,
      type,
      digest,
      bytes: Buffer.from((blob.value as { base64: string }).base64, 'base64'),
    });
  }
}

function exitCode(last: RunEvent | undefined, denied: boolean, interrupted: boolean): number {
  const state = last?.kind === 'run.finished' ? last.meta['state'] : undefined;
  if (state === 'succeeded') return 0;
  if (state === 'cancelled' && interrupted) return errorTable.Cancelled.exit;
  return denied ? errorTable.ApprovalDenied.exit : errorTable.RunFailed.exit;
}
