/**
 * Follows one run to its end: NDJSON for programs, a live view for people, and the question when one is asked.
 *
 * 1. Events come from the ledger, each once and in order, whatever the connection does meanwhile.
 * 2. The first Ctrl-C asks the daemon to cancel the run and goes on to its end; the second leaves. Who only looks on leaves at once.
 * 3. Questions are asked on the terminal, never in the stream; without one the run waits, and says how to answer.
 */
import { errorTable, type RunEvent, showJson, type TraceId } from '@runloop/core';
import { type Client, FollowError } from '@runloop/sdk';
import { askApproval, canAsk } from './ask-approval.ts';
import type { Tools } from './command.ts';
import { RunView } from './run-view.ts';

export type Following = {
  readonly client: Client;
  readonly traceId: TraceId;
  readonly tools: Tools;
  readonly ndjson: boolean;
  /** Whether Ctrl-C cancels the run (whoever started it) or only leaves (who looks on). */
  readonly owns: boolean;
  /** Takes every event as a line, where they are kept. */
  readonly keep: string[] | undefined;
};

export async function follow({ client, traceId, tools, ndjson, owns, keep }: Following): Promise<number> {
  const { environment, screen } = tools;
  const view = ndjson ? undefined : new RunView(environment, screen);
  const left = new AbortController();
  const cancel = (): void => {
    if (!owns) {
      screen.note('rlp: the run goes on without you');
      left.abort();
      return;
    }
    screen.note('rlp: cancelling the run (Ctrl-C again leaves it alone and exits)');
    void client.call('run.cancel', { trace_id: traceId, reason: 'interrupted' });
  };
  if (environment.interrupted.aborted) cancel();
  environment.interrupted.addEventListener('abort', cancel, { once: true });
  let last: RunEvent | undefined;
  let denied = false;
  let nobodyIsAsked = false;
  const open = new Map<string, RunEvent>();
  const asking = new AbortController();
  let question: Promise<void> = Promise.resolve();
  try {
    for await (const event of client.follow(traceId, { signal: left.signal })) {
      last = event;
      const line = `${showJson(JSON.stringify(event))}\n`;
      keep?.push(line);
      if (view === undefined) environment.streams.out.write(line);
      else view.show(event);
      if (event.kind === 'run.accepted') nobodyIsAsked = event.meta['on_confirm'] === 'deny';
      if (event.kind === 'action.requested' && !nobodyIsAsked) {
        open.set(String(event.meta['action']), event);
        question = question.then(() => ask(client, event, tools, view, open, asking.signal));
      } else if (event.kind === 'action.decided') {
        denied ||= event.meta['decision'] !== 'approve';
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
    asking.abort();
    environment.interrupted.removeEventListener('abort', cancel);
  }
  await question;
  if (left.signal.aborted) return errorTable.Cancelled.exit;
  view?.end();
  if (view !== undefined) await showArtifacts(client, traceId, tools);
  return exitCode(last, denied, environment.interrupted.aborted);
}

async function ask(
  client: Client,
  event: RunEvent,
  tools: Tools,
  view: RunView | undefined,
  open: ReadonlyMap<string, RunEvent>,
  signal: AbortSignal,
): Promise<void> {
  const id = String(event.meta['action']);
  if (!open.has(id) || signal.aborted) return;
  const sayHow = (): void =>
    tools.screen.note(
      `rlp: the run waits for your answer: rlp approve show ${id}, then rlp approve yes ${id} or no ${id}`,
    );
  if (!canAsk(tools.environment)) return sayHow();
  view?.pause();
  const answer = await askApproval(tools, event.meta, () => open.has(id), signal);
  view?.resume();
  if (answer === undefined) {
    // Not answered here (Ctrl-D), nor elsewhere.
    if (open.has(id) && !signal.aborted && !tools.environment.interrupted.aborted) sayHow();
    return;
  }
  const decided = await client.call('action.decide', { action: id, hash: event.meta['hash'], decision: answer });
  if (!decided.ok && decided.error.code !== 'Conflict') tools.screen.failure(decided.error);
}

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
