/**
 * Openings of 100, 1,000 and 10,000 nodes: planning them, running them through the engine alone, folding their events again.
 *
 * Nothing here touches a disk. `a step` is one fact folded or one signal answered; flat means that it does not depend on
 * the size of the opening.
 */
import {
  type AgentInterface,
  type Effect,
  type Fact,
  formatOpening,
  newState,
  type Opening,
  parseOpening,
  planOf,
  type RunState,
  type Signal,
  step,
  validateOpening,
} from '../packages/openings/src/index.ts';
import { type Shape, shapes, yamlOf } from './dags.ts';
import { type BenchRow, median } from './types.ts';

const sizes = [100, 1_000, 10_000];
const largest = 10_000;
const seed = new Uint8Array(32);
const usage = { duration_ms: 1, fuel: 0, memory_bytes: 0, tokens: 0, usd_nano: 0 };
const agents: ReadonlyMap<string, AgentInterface> = new Map([
  ['noop', { name: 'noop', in: { in: ['*'] }, out: { out: ['*'] } }],
]);
const output = { out: [{ type: 'json', digest: 'ab'.repeat(32) }] };

function plan(file: string, text: string): Opening {
  const opening = validateOpening(parseOpening(file, text), agents, {});
  if (opening === undefined) throw new Error(`${file} is not valid`);
  planOf(opening, agents);
  return opening;
}

/** Every event of a run whose agents succeed at once; `steps` counts what the engine was asked. */
function runAlone(opening: Opening): { readonly facts: readonly Fact[]; readonly steps: number } {
  const state: RunState = newState(opening, seed, 64);
  const facts: Fact[] = [];
  let steps = 0;
  let queue: (Effect | Signal)[] = [
    { type: 'append', kind: 'run.accepted', level: 'info', message: '', meta: {} } satisfies Effect,
  ];
  // A wave of everything that is due at once, as the driver takes it.
  while (queue.length > 0) {
    const next: (Effect | Signal)[] = [];
    const ask = (event: Fact | Signal): void => {
      steps += 1;
      for (const effect of step(state, event)) next.push(effect);
    };
    for (const item of queue) {
      if (item.type === 'append') {
        const fact: Fact = { type: 'fact', kind: item.kind, tsMs: facts.length, meta: item.meta };
        facts.push(fact);
        ask(fact);
      } else if (item.type === 'enqueue') ask({ type: 'slot', node: item.node });
      else if (item.type === 'start') {
        const { node, attempt } = item;
        ask({ type: 'outcome', node, attempt, outcome: { state: 'succeeded', outputs: output }, usage });
      }
    }
    queue = next;
  }
  if (state.phase !== 'succeeded') throw new Error(`the run is ${state.phase}`);
  return { facts, steps };
}

/** The engine's state from the events of a run that is over: recovery and replay begin with it. */
function fold(opening: Opening, facts: readonly Fact[]): void {
  const state = newState(opening, seed, 64);
  for (const fact of facts) step(state, fact);
  if (state.phase !== 'succeeded') throw new Error(`the run is ${state.phase}`);
}

function medianMs(times: number, work: () => unknown): number {
  work();
  return median(
    Array.from({ length: times }, () => {
      const began = performance.now();
      work();
      return performance.now() - began;
    }),
  );
}

/** The same value over three sizes, each against the smallest; what grows with the size has a ratio far from 1. */
function curve(name: string, unit: string, values: readonly number[], goal: string): BenchRow[] {
  const [floor = 1] = values;
  return values.map((value, i) => ({
    name: `${name}, ${sizes[i]?.toLocaleString('en-US')} nodes`,
    value,
    unit,
    ...(i === 0 ? {} : { floor, ratio: value / floor, goal }),
  }));
}

function planRows(): BenchRow[] {
  const yaml = yamlOf('layers', largest);
  const brace = formatOpening('bench.yaml', yaml, 'brace').text ?? '';
  const opening = plan('bench.yaml', yaml);
  return [
    ...shapes.map((shape) => {
      const text = yamlOf(shape, largest);
      return {
        name: `plan of a 10,000-node opening, YAML, ${shape}`,
        value: medianMs(3, () => plan('bench.yaml', text)),
      };
    }),
    { name: 'plan of a 10,000-node opening, braces, layers', value: medianMs(3, () => plan('bench.opening', brace)) },
    { name: 'plan of a 10,000-node opening, IR, layers', value: medianMs(3, () => planOf(opening, agents)) },
  ].map((row) => ({ ...row, unit: 'ms', goal: '<= 1000' }));
}

export function rows(): readonly BenchRow[] {
  const of = (shape: Shape): Opening[] => sizes.map((size) => plan('bench.yaml', yamlOf(shape, size)));
  return [
    ...planRows(),
    ...shapes.flatMap((shape) => {
      const openings = of(shape);
      const microseconds = openings.map((opening) => {
        const { steps } = runAlone(opening);
        const times = largest / opening.nodes.length;
        const ms = medianMs(5, () => {
          for (let i = 0; i < times; i += 1) runAlone(opening);
        });
        return (ms / steps / times) * 1_000;
      });
      return curve(`engine alone, ${shape}, a step`, 'µs', microseconds, '<= 3 x');
    }),
    ...shapes.map((shape): BenchRow => {
      const [, , opening] = of(shape);
      if (opening === undefined) throw new Error('assumed three sizes');
      const { facts } = runAlone(opening);
      const value = (facts.length / medianMs(5, () => fold(opening, facts))) * 1_000;
      return {
        name: `replay of ${facts.length} events through the engine, ${shape}`,
        value,
        unit: 'events/s',
        goal: '>= 100000',
      };
    }),
  ];
}
