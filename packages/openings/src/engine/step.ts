/**
 * The engine: `step(state, event) → effects`, the state changed in place. It reads no clock, no random source and no file.
 *
 * E1. Only facts change a state; a signal (answer.ts) is answered by `append` effects alone. Same facts, same state.
 * E2. A node is ready when each inbound edge is settled and at least one was delivered, or it has none.
 * E3. An edge whose predicate is false, whose port was not given, or whose source did not succeed, is skipped;
 *     a node all of whose inbound edges were skipped is skipped.
 * E4. At most `maxParallel` nodes are handed to the scheduler or running; ties go by position in the file.
 * E5. `node.retrying` follows only a retryable failure with attempts left; its delay comes from the run's seed.
 * E6. `run.finished` is the last event, appended once, when nothing runs or can run any more.
 * E7. One step costs the degree of the node it touches, and the logarithm of how many are ready (the end of a run costs its
 *     size, once).
 * E8. Nodes that a fork has taken from a tape finish before `run.started`; what is left of the graph begins there.
 */
import { streamedKinds } from '@runloop/core';
import { groupIdsOf } from '../groups.ts';
import { errPort, holds } from '../ir.ts';
import { answer } from './answer.ts';
import { append, type Effect, type EngineEvent, type Fact, finished } from './event.ts';
import { enter, finalPhases, type NodeState, type Outputs, outputsOn, type RunState } from './state.ts';
import { verdict } from './verdict.ts';

const streamed: ReadonlySet<string> = new Set(streamedKinds);

export function step(state: RunState, event: EngineEvent): Effect[] {
  const effects: Effect[] = [];
  if (event.type === 'fact') applyFact(state, event, effects);
  else answer(state, event, effects);
  return effects;
}

function applyFact(state: RunState, fact: Fact, effects: Effect[]): void {
  if (streamed.has(fact.kind)) state.seq += 1;
  if (state.phase === 'running' && fact.kind !== 'run.recovered')
    state.activeMs += Math.max(0, fact.tsMs - state.lastTsMs);
  state.lastTsMs = Math.max(state.lastTsMs, fact.tsMs);
  const { meta } = fact;
  switch (fact.kind) {
    case 'run.accepted':
      state.acceptedMs = fact.tsMs;
      effects.push(append('run.started', 'The run started.', {}));
      return;
    case 'run.started':
      state.phase = 'running';
      state.nodes.forEach((node, index) => {
        if (node.phase === 'pending' && node.unsettled === 0) announce(state, index, effects);
      });
      return;
    case 'run.recovered':
      recover(state, effects);
      return;
    case 'run.paused':
      state.phase = 'paused';
      takeBack(state);
      return;
    case 'run.waiting':
      state.phase = 'waiting';
      return;
    case 'run.resumed':
      state.phase = 'running';
      state.steps = Number(meta['steps'] ?? 0);
      if (state.steps > 0) state.phase = 'paused';
      hand(state, effects);
      return;
    case 'run.finished':
      state.phase = meta['state'] as RunState['phase'];
      effects.push({ type: 'finished' });
      return;
    case 'run.trace':
      // The one ledger-only fact that changes a run: somebody or the clock decided that it ends.
      if (typeof meta['ending'] === 'object' && state.ending === undefined)
        windUp(state, meta['ending'] as NonNullable<RunState['ending']>, effects);
      return;
    case 'model.called':
    case 'budget.settled':
      state.tokens += Number(meta['tokens_in'] ?? 0) + Number(meta['tokens_out'] ?? 0);
      state.usdNano += Number(meta['usd_nano'] ?? 0);
      return;
    default:
      if (fact.kind.startsWith('node.')) applyNodeFact(state, fact, effects);
  }
}

function applyNodeFact(state: RunState, fact: Fact, effects: Effect[]): void {
  const index = state.graph.indexOf.get(String(fact.meta['node']));
  if (index === undefined) return;
  const id = String(fact.meta['node']);
  switch (fact.kind) {
    case 'node.ready': {
      const node = enter(state, index, 'ready');
      if (fact.meta['anew'] === true) node.waitingFor = undefined;
      state.ready.push(index);
      hand(state, effects);
      return;
    }
    case 'node.started': {
      const node = enter(state, index, 'running');
      node.attempt = Number(fact.meta['attempt']);
      node.waitingFor = undefined;
      for (const group of groupIdsOf(id)) {
        const at = state.groups.get(group);
        if (at !== undefined) at.startedMs ??= state.activeMs;
      }
      effects.push({ type: 'start', node: id, index, attempt: node.attempt });
      return;
    }
    case 'node.retrying': {
      const node = enter(state, index, 'waiting');
      node.waitingFor = 'timer';
      state.timed += 1;
      effects.push({ type: 'timer', node: id, delayMs: Number(fact.meta['delay_ms']) });
      hand(state, effects);
      return;
    }
    case 'node.waiting': {
      const node = enter(state, index, 'waiting');
      node.waitingFor = fact.meta['for'] as NodeState['waitingFor'];
      hand(state, effects);
      return;
    }
    case 'node.finished':
      finishNode(state, index, fact, effects);
      return;
    default:
      return;
  }
}

function finishNode(state: RunState, index: number, fact: Fact, effects: Effect[]): void {
  const { meta } = fact;
  const phase = meta['state'] as 'succeeded' | 'failed' | 'skipped' | 'cancelled';
  const node = enter(state, index, phase);
  node.waitingFor = undefined;
  for (const group of groupIdsOf(state.opening.nodes[index]?.id ?? '')) {
    const at = state.groups.get(group);
    if (at === undefined) continue;
    at.left -= 1;
    if (phase === 'skipped') at.skipped += 1;
  }
  node.code = meta['code'] as string | undefined;
  node.reason = meta['reason'] as string | undefined;
  node.outputs = (meta['outputs'] as Outputs | undefined) ?? {};
  let caught = false;
  for (const edge of state.graph.outbound[index] ?? []) caught = settle(state, edge) || caught;
  const before = state.failure;
  if (phase === 'failed' && !caught)
    state.failure ??= `node ${state.opening.nodes[index]?.id} failed: ${node.reason ?? ''}`;
  const mayDecide = before === undefined || state.judged.has(index) || state.groups.size > 0;
  const doomed =
    state.failure !== undefined &&
    (state.opening.success === undefined || (mayDecide && verdict(state) === 'impossible'));
  if (doomed && state.ending === undefined) windUp(state, { state: 'failed', reason: state.failure ?? '' }, effects);
  if (state.phase === 'new') return;
  if (state.ending === undefined) announceTargets(state, index, effects);
  hand(state, effects);
  maybeFinish(state, effects);
}

/** Settles one edge whose source has ended; true when it carries the source's failure on. */
function settle(state: RunState, edgeIndex: number): boolean {
  const edge = state.opening.edges[edgeIndex];
  if (edge === undefined || state.edges[edgeIndex] !== 'pending') return false;
  const source = state.nodes[state.graph.indexOf.get(edge.from.node) ?? -1];
  const target = state.nodes[state.graph.indexOf.get(edge.to.node) ?? -1];
  if (source === undefined || target === undefined) return false;
  const values = outputsOn(source, edge.from.port);
  const [only] = values;
  const delivered =
    values.length > 0 && (edge.when === undefined || (values.length === 1 && holds(only?.value, edge.when).result));
  state.edges[edgeIndex] = delivered ? 'delivered' : 'skipped';
  target.unsettled -= 1;
  if (delivered) target.delivered += 1;
  return delivered && edge.from.port === errPort && source.phase === 'failed';
}

function announce(state: RunState, index: number, effects: Effect[]): void {
  const node = state.nodes[index];
  const id = state.opening.nodes[index]?.id ?? '';
  const inbound = state.graph.inbound[index]?.length ?? 0;
  if (inbound > 0 && node?.delivered === 0) {
    effects.push(
      finished(id, 0, 'skipped', { reason: 'all its inbound edges were skipped' }, `Node ${id} was skipped.`),
    );
  } else {
    effects.push(append('node.ready', `Node ${id} is ready.`, { node: id }));
  }
}

/** Announces the nodes that wait for nothing more now that the node at `index` has ended. */
function announceTargets(state: RunState, index: number, effects: Effect[]): void {
  const seen = new Set<number>();
  for (const edgeIndex of state.graph.outbound[index] ?? []) {
    const target = state.graph.indexOf.get(state.opening.edges[edgeIndex]?.to.node ?? '') ?? -1;
    const node = state.nodes[target];
    if (node?.phase !== 'pending' || node.unsettled > 0 || seen.has(target)) continue;
    seen.add(target);
    announce(state, target, effects);
  }
}

/** Stops what runs and cancels what has not: the run ends when the last of them has. */
function windUp(state: RunState, ending: NonNullable<RunState['ending']>, effects: Effect[]): void {
  state.ending = ending;
  state.nodes.forEach((node, index) => {
    const id = state.opening.nodes[index]?.id ?? '';
    if (node.phase === 'running')
      effects.push({ type: 'stop', node: id, attempt: node.attempt, reason: ending.reason });
    else if (node.phase === 'pending' || node.phase === 'ready' || node.phase === 'waiting') {
      effects.push(finished(id, node.attempt, 'cancelled', { reason: ending.reason }, `Node ${id} was cancelled.`));
    }
  });
}

function maybeFinish(state: RunState, effects: Effect[]): void {
  const { counts } = state;
  if (counts.pending + counts.ready + counts.running + counts.waiting > 0 || finalPhases.has(state.phase)) return;
  let ending = state.ending;
  if (ending === undefined) {
    const judged = verdict(state);
    ending =
      judged === 'met'
        ? { state: 'succeeded', reason: '' }
        : { state: 'failed', reason: 'the success condition was not met' };
  }
  const meta = {
    state: ending.state,
    ...(ending.reason === '' ? {} : { reason: ending.reason }),
    duration_ms: state.activeMs,
    tokens: state.tokens,
    usd_nano: state.usdNano,
  };
  const level = ending.state === 'succeeded' ? 'info' : 'error';
  const message = `The run ${ending.state === 'cancelled' ? 'was cancelled' : ending.state}${ending.reason === '' ? '' : `: ${ending.reason}`}.`;
  effects.push({ type: 'append', kind: 'run.finished', level, message, meta });
}

/** Hands ready nodes to the scheduler as far as the run's parallelism goes. */
function hand(state: RunState, effects: Effect[]): void {
  if (state.ending !== undefined) return;
  while (state.counts.running + state.enqueued < state.maxParallel) {
    if (state.phase !== 'running' && !(state.phase === 'paused' && state.steps > 0)) return;
    const index = state.ready.take();
    if (index === undefined) return;
    const node = state.nodes[index];
    if (node?.phase !== 'ready' || node.enqueued) continue;
    if (state.phase === 'paused') state.steps -= 1;
    node.enqueued = true;
    state.enqueued += 1;
    effects.push({ type: 'enqueue', node: state.opening.nodes[index]?.id ?? '', index });
  }
}

/** Takes back what was handed to the scheduler and has not started; how many. */
function takeBack(state: RunState): number {
  const handed = state.enqueued;
  state.nodes.forEach((node, index) => {
    if (!node.enqueued) return;
    node.enqueued = false;
    state.enqueued -= 1;
    state.ready.push(index);
  });
  return handed;
}

/** After a crash: what ran runs again, same attempt; what was handed out or timed is asked for again. */
function recover(state: RunState, effects: Effect[]): void {
  const handed = takeBack(state);
  // A step that was given and has not begun is still to be made.
  if (state.phase === 'paused') state.steps += handed;
  state.nodes.forEach((node, index) => {
    const id = state.opening.nodes[index]?.id ?? '';
    if (node.phase === 'running') {
      if (state.ending === undefined) effects.push({ type: 'start', node: id, index, attempt: node.attempt });
      else
        effects.push(
          finished(id, node.attempt, 'cancelled', { reason: state.ending.reason }, `Node ${id} was cancelled.`),
        );
    } else if (node.phase === 'waiting' && node.waitingFor === 'timer')
      effects.push({ type: 'timer', node: id, delayMs: 0 });
  });
  hand(state, effects);
}
