/**
 * Signals: what the engine makes of news that is not durable yet. It changes no state; it says which events to append.
 *
 * A signal that no longer fits (an outcome of an attempt that is over, a slot for a node that was taken back) is ignored.
 */
import { digestText, fraction, fromHex, type JsonObject, seededRandom, toHex } from '@runloop/core';
import { defaultRetry, errPort } from '../ir.ts';
import { append, type Effect, finished, type Outcome, type Signal, type Usage } from './event.ts';
import { finalPhases, type NodeState, type RunState } from './state.ts';

export function answer(state: RunState, signal: Signal, effects: Effect[]): void {
  if (finalPhases.has(state.phase)) return;
  switch (signal.type) {
    case 'slot':
      return answerSlot(state, signal.node, effects);
    case 'outcome':
      return answerOutcome(state, signal, effects);
    case 'suspended': {
      const node = running(state, signal.node, signal.attempt);
      if (node === undefined) return;
      if (state.ending !== undefined) {
        const reason = state.ending.reason;
        effects.push(
          finished(signal.node, signal.attempt, 'cancelled', { reason }, `Node ${signal.node} was cancelled.`),
        );
        return;
      }
      const meta = {
        node: signal.node,
        attempt: signal.attempt,
        for: signal.for,
        ...(signal.action === undefined ? {} : { action: signal.action }),
      };
      effects.push(append('node.waiting', `Node ${signal.node} waits for ${signal.for}.`, meta));
      return;
    }
    case 'timer':
    case 'decided': {
      const node = state.nodes[state.graph.indexOf.get(signal.node) ?? -1];
      if (node?.phase !== 'waiting' || (signal.type === 'timer') !== (node.waitingFor === 'timer')) return;
      if (state.phase === 'waiting') effects.push(append('run.resumed', 'The run goes on.', {}));
      effects.push(append('node.ready', `Node ${signal.node} is ready again.`, { node: signal.node }));
      return;
    }
    case 'deadline':
      return end(state, 'failed', `${whoseTime(signal.group)} reached its time limit (policy.timeout_ms)`, effects);
    case 'idle':
      return answerIdle(state, effects);
    case 'pause':
      if (state.phase === 'running' || state.phase === 'waiting')
        effects.push(append('run.paused', `Paused by ${signal.by}.`, { by: signal.by }));
      return;
    case 'resume':
    case 'step':
      if (state.phase !== 'paused') return;
      effects.push(
        append(
          'run.resumed',
          `Resumed by ${signal.by}.`,
          signal.type === 'step' ? { by: signal.by, steps: 1 } : { by: signal.by },
        ),
      );
      return;
    case 'cancel':
      return end(state, 'cancelled', signal.reason, effects);
  }
  signal satisfies never;
}

function whoseTime(group: string | undefined): string {
  return group === undefined ? 'the run' : `the nested opening "${group}"`;
}

function end(state: RunState, as: 'failed' | 'cancelled', reason: string, effects: Effect[]): void {
  if (state.ending !== undefined) return;
  effects.push(append('run.trace', `The run is being ended: ${reason}.`, { ending: { state: as, reason } }));
}

/** Nothing is under way: a run that hangs on people alone says that it waits. */
function answerIdle(state: RunState, effects: Effect[]): void {
  const { counts } = state;
  if (
    state.phase !== 'running' ||
    state.ending !== undefined ||
    counts.running + counts.ready > 0 ||
    counts.waiting === 0 ||
    state.timed > 0
  )
    return;
  const reason = state.nodes.find((node) => node.phase === 'waiting')?.waitingFor ?? 'operator';
  effects.push(append('run.waiting', `The run waits for ${reason}.`, { reason }));
}

function answerSlot(state: RunState, id: string, effects: Effect[]): void {
  const index = state.graph.indexOf.get(id) ?? -1;
  const node = state.nodes[index];
  if (node?.phase !== 'ready' || !node.enqueued) return;
  // A node that waited for a person goes on with the attempt it had; a retry begins the next.
  const attempt = node.waitingFor === undefined || node.waitingFor === 'timer' ? node.attempt + 1 : node.attempt;
  const agent = state.opening.nodes[index]?.use.name ?? '';
  effects.push(
    append('node.started', `Node ${id} started${attempt > 1 ? ` (attempt ${attempt})` : ''}.`, {
      node: id,
      attempt,
      agent,
    }),
  );
}

function answerOutcome(state: RunState, signal: Extract<Signal, { type: 'outcome' }>, effects: Effect[]): void {
  const { node: id, attempt, outcome, usage } = signal;
  if (running(state, id, attempt) === undefined) return;
  if (state.ending !== undefined && outcome.state !== 'succeeded') {
    effects.push(
      finished(id, attempt, 'cancelled', { reason: state.ending.reason, ...spent(usage) }, `Node ${id} was cancelled.`),
    );
    return;
  }
  if (outcome.state === 'failed' && state.ending === undefined) {
    const delayMs = retryDelay(state, id, attempt, outcome);
    if (delayMs !== undefined) {
      const meta = {
        node: id,
        attempt,
        delay_ms: delayMs,
        code: outcome.code,
        reason: outcome.reason,
        ...spent(usage),
      };
      const message = `Node ${id} failed (${outcome.reason}) and is tried again in ${delayMs} ms.`;
      effects.push({ type: 'append', kind: 'node.retrying', level: 'warn', message, meta });
      return;
    }
  }
  effects.push(endOf(id, attempt, outcome, usage));
}

function endOf(id: string, attempt: number, outcome: Outcome, usage: Usage): Effect {
  switch (outcome.state) {
    case 'succeeded':
      return finished(id, attempt, 'succeeded', { outputs: outcome.outputs, ...spent(usage) }, `Node ${id} succeeded.`);
    case 'failed': {
      const { code, reason, retryable, error } = outcome;
      const outputs = { [errPort]: [{ type: 'error', digest: error }] };
      return finished(
        id,
        attempt,
        'failed',
        { code, reason, retryable, outputs, ...spent(usage) },
        `Node ${id} failed: ${reason}`,
      );
    }
    case 'cancelled':
      return finished(
        id,
        attempt,
        'cancelled',
        { reason: outcome.reason, ...spent(usage) },
        `Node ${id} was cancelled.`,
      );
  }
  return outcome satisfies never;
}

function retryDelay(
  state: RunState,
  id: string,
  attempt: number,
  outcome: Extract<Outcome, { state: 'failed' }>,
): number | undefined {
  const spec = state.opening.nodes[state.graph.indexOf.get(id) ?? -1];
  const retry = spec?.retry ?? defaultRetry;
  if (!outcome.retryable || attempt >= Math.max(1, retry.max_attempts)) return undefined;
  const plain = Math.min(retry.max_ms, retry.backoff_ms * retry.multiplier ** (attempt - 1));
  const random = seededRandom(fromHex(digestText(`${toHex(state.seed)}/retry/${id}/${attempt}`)));
  return Math.max(0, Math.round(plain * (1 + retry.jitter * (2 * fraction(random) - 1))));
}

function running(state: RunState, id: string, attempt: number): NodeState | undefined {
  const node = state.nodes[state.graph.indexOf.get(id) ?? -1];
  return node?.phase === 'running' && node.attempt === attempt ? node : undefined;
}

function spent(usage: Usage): JsonObject {
  return { duration_ms: usage.duration_ms, fuel: usage.fuel, memory_bytes: usage.memory_bytes };
}
