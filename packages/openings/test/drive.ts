/**
 * Drives the engine in memory: folds what it appends at once, gives every node a slot, and asks `agent` for each outcome.
 */
import {
  type Effect,
  type Fact,
  newState,
  type Opening,
  type Outcome,
  parseOpening,
  type RunState,
  type Signal,
  step,
} from '../src/index.ts';

export type Agent = (node: string, attempt: number, state: RunState) => Outcome | 'hold';
export const usage = { duration_ms: 1, fuel: 0, memory_bytes: 0, tokens: 0, usd_nano: 0 };
export const done = (outputs: Record<string, unknown> = { out: 'x' }): Outcome => ({
  state: 'succeeded',
  outputs: Object.fromEntries(
    Object.entries(outputs).map(([port, value]) => [
      port,
      [{ type: 'any', digest: `d:${JSON.stringify(value)}`, value: value as string }],
    ]),
  ),
});
export const failed = (retryable = false, reason = 'boom'): Outcome => ({
  state: 'failed',
  code: 'AgentFailed',
  reason,
  retryable,
  error: 'd:err',
});

export type Drive = {
  state: RunState;
  facts: Fact[];
  starts: string[];
  timers: number[];
  send(signal: Signal): void;
  parallelMax: number;
  stops: string[];
};

export function openingOf(yaml: string): Opening {
  const parsed = parseOpening('test.yaml', `version: 0\nname: t\n${yaml}`);
  if (parsed.opening === undefined) throw new Error(JSON.stringify(parsed.diagnostics.list));
  return parsed.opening;
}

/** `taken` are ends of nodes that a fork begins with. */
export function drive(opening: Opening, agent: Agent, maxParallel = 8, taken: readonly Fact[] = []): Drive {
  const state = newState(opening, new Uint8Array(32), maxParallel);
  const result: Drive = { state, facts: [], starts: [], timers: [], stops: [], parallelMax: 0, send };
  const queue: Effect[] = [];
  let now = 1000;
  function fold(fact: Fact): void {
    result.facts.push(fact);
    queue.push(...step(state, fact));
    result.parallelMax = Math.max(result.parallelMax, state.counts.running);
  }
  function send(signal: Signal): void {
    queue.push(...step(state, signal));
    run();
  }
  function run(): void {
    const held: Effect[] = [];
    for (;;) {
      // Appends first, then slots, then outcomes: the whole parallelism is reached before a node ends.
      const at = ['append', 'enqueue', 'timer', 'start', 'stop', 'finished']
        .map((type) => queue.findIndex((effect) => effect.type === type))
        .find((index) => index !== -1);
      if (at === undefined) {
        const idle = step(state, { type: 'idle' });
        if (idle.length === 0) break;
        queue.push(...idle);
        continue;
      }
      const [effect] = queue.splice(at, 1);
      if (effect === undefined) break;
      if (effect.type === 'append') fold({ type: 'fact', kind: effect.kind, tsMs: (now += 1), meta: effect.meta });
      else if (effect.type === 'enqueue') queue.push(...step(state, { type: 'slot', node: effect.node }));
      else if (effect.type === 'timer') {
        result.timers.push(effect.delayMs);
        queue.push(...step(state, { type: 'timer', node: effect.node }));
      } else if (effect.type === 'start') {
        result.starts.push(`${effect.node}#${effect.attempt}`);
        const outcome = agent(effect.node, effect.attempt, state);
        if (outcome === 'hold') held.push(effect);
        else
          queue.push(...step(state, { type: 'outcome', node: effect.node, attempt: effect.attempt, outcome, usage }));
      } else if (effect.type === 'stop') {
        result.stops.push(effect.node);
        queue.push(
          ...step(state, {
            type: 'outcome',
            node: effect.node,
            attempt: effect.attempt,
            outcome: { state: 'cancelled', reason: effect.reason },
            usage,
          }),
        );
      }
    }
  }
  fold({ type: 'fact', kind: 'run.accepted', tsMs: now, meta: {} });
  for (const fact of taken) fold(fact);
  run();
  return result;
}
