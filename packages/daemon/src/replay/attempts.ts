/**
 * One run again: the engine over its facts, and each attempt in a cell over its recorded calls.
 *
 * 1. The engine must decide again what it decided: every event it derives stands on the ledger.
 * 2. Each attempt runs in a cell with its recorded inputs; every host call is answered from the tape.
 * 3. What a limit decided (time, fuel, memory, a kill) is taken from the tape and not measured again.
 */
import {
  canonicalJson,
  type Failure,
  fromHex,
  type JsonObject,
  type JsonValue,
  ok,
  type Result,
  unwrap,
} from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import { inputsOf, newState, type NodeSpec, type Opening, type RunState, step } from '@runloop/openings';
import { type AttemptOutcome, type Bundle, type Cells, createKernel, type KernelPorts } from '@runloop/runtime';
import { effectiveFor } from '../runs/effective.ts';
import { outputProblem } from '../runs/outputs.ts';
import { type AgentPins, pinOf } from '../runs/pin-of.ts';
import type { RunDraft } from '../runs/ports.ts';
import { loadCalls, metaOf, type TapedCall, tapeKey, tapeOf, type Told, toldOf } from '../runs/tape.ts';
import { loadInputs } from '../runs/inputs.ts';
import type { Values } from '../runs/values.ts';
import { compare, type Played } from './compare.ts';
import { actionsOf, checkCalls, checkOutputs } from './intact.ts';
import { differs, type NodeReplay, type ReplayDivergence } from './report.ts';

/** The bundle that a node is replayed with; `NotFound` where it is not here. */
export type AgentFor = (node: NodeSpec, digest: string) => Promise<Result<Bundle, Failure>>;

export type Compared = {
  readonly nodes: readonly NodeReplay[];
  readonly equal: boolean;
  readonly divergence?: ReplayDivergence;
};
type Answer = Result<{ readonly node: NodeReplay; readonly divergence?: ReplayDivergence }, Failure>;

/** Outcomes that a limit or the machine decided. */
const fromTape: ReadonlySet<string> = new Set([
  'DeadlineExceeded',
  'BudgetExceeded',
  'OutOfFuel',
  'OutOfMemory',
  'OutputTooLarge',
  'CellLost',
  'Busy',
  'Internal',
  'Cancelled',
  'SignatureInvalid',
  'InvalidConfig',
]);

export class Replay {
  readonly #traceId: string;
  readonly #rows: readonly StoredEvent[];
  readonly #values: Values;
  readonly #agentFor: AgentFor;
  readonly #cells: Cells;
  readonly #accepted: JsonObject;
  readonly #tape: ReadonlyMap<string, TapedCall[]>;
  readonly #told: ReadonlyMap<string, Told>;
  readonly #actions: ReadonlyMap<string, JsonObject>;
  readonly #with: ReadonlyMap<string, JsonObject>;

  /** `settings` take the place of what the nodes of these ids were given. */
  constructor(
    rows: readonly StoredEvent[],
    values: Values,
    agentFor: AgentFor,
    cells: Cells,
    settings: ReadonlyMap<string, JsonObject> = new Map(),
  ) {
    this.#rows = rows;
    this.#traceId = rows[0]?.trace_id ?? '';
    this.#values = values;
    this.#agentFor = agentFor;
    this.#cells = cells;
    this.#accepted = rows[0] === undefined ? {} : metaOf(rows[0]);
    this.#tape = tapeOf(rows);
    this.#told = toldOf(rows);
    this.#actions = actionsOf(rows);
    this.#with = settings;
  }

  async run(progress: (node: NodeReplay) => void): Promise<Result<Compared, Failure>> {
    const opening = this.#accepted['opening'] as unknown as Opening;
    const state = newState(
      opening,
      fromHex(String(this.#accepted['seed'])),
      Number(this.#accepted['max_parallel'] ?? 4),
    );
    const undecided = this.#refold(state);
    const nodes: NodeReplay[] = [];
    for (const { node, attempt, end } of this.#attempts()) {
      const compared = await this.#attempt(state, node, attempt, end);
      if (!compared.ok) return compared;
      nodes.push(compared.value.node);
      progress(compared.value.node);
      if (compared.value.divergence !== undefined)
        return ok({ nodes, equal: false, divergence: compared.value.divergence });
    }
    if (undecided !== undefined) return ok({ nodes, equal: false, divergence: undecided });
    return ok({ nodes, equal: true });
  }

  /** Folds the facts; each event that the engine derives from them must stand among them. */
  #refold(state: RunState): ReplayDivergence | undefined {
    // By what stands on the ledger of them.
    const due = new Map<string, RunDraft[]>();
    const named = (kind: string, meta: JsonObject): string => `${kind} ${unwrap(canonicalJson(meta), 'JSON')}`;
    for (const row of this.#rows) {
      const meta = metaOf(row);
      due.get(named(row.kind, meta))?.pop();
      const effects = step(state, { type: 'fact', kind: row.kind as RunDraft['kind'], tsMs: row.ts_ms, meta });
      for (const effect of effects) {
        if (effect.type !== 'append') continue;
        const name = named(effect.kind, effect.meta);
        due.set(name, [...(due.get(name) ?? []), effect]);
      }
    }
    const [missing] = [...due.values()].flat();
    if (missing === undefined) return undefined;
    const place = { node: String(missing.meta['node'] ?? ''), attempt: Number(missing.meta['attempt'] ?? 0) };
    const instead = this.#rows.find((row) => row.kind === missing.kind && metaOf(row)['node'] === missing.meta['node']);
    return differs(
      place,
      `the engine decided on a ${missing.kind}`,
      instead === undefined ? null : metaOf(instead),
      missing.meta,
    );
  }

  /** Every attempt that began, with the event that ended it; nodes that were taken from another tape stand among them. */
  #attempts(): { node: string; attempt: number; end: StoredEvent | undefined }[] {
    const seen = new Map<string, { node: string; attempt: number; end: StoredEvent | undefined }>();
    for (const row of this.#rows) {
      const meta = metaOf(row);
      const place = { node: String(meta['node']), attempt: Number(meta['attempt']) };
      const key = tapeKey(place.node, place.attempt);
      if (!seen.has(key) && (row.kind === 'node.started' || meta['from_tape'] === true))
        seen.set(key, { ...place, end: undefined });
      const entry = seen.get(key);
      if ((row.kind === 'node.finished' || row.kind === 'node.retrying') && entry !== undefined) entry.end = row;
    }
    return [...seen.values()];
  }

  async #attempt(state: RunState, node: string, attempt: number, end: StoredEvent | undefined): Promise<Answer> {
    const calls = this.#tape.get(tapeKey(node, attempt)) ?? [];
    const meta = end === undefined ? {} : metaOf(end);
    const code = typeof meta['code'] === 'string' ? meta['code'] : '';
    const found = (divergence: ReplayDivergence | undefined, how: NodeReplay['how']): Answer =>
      ok({
        node: { node, attempt, equal: divergence === undefined, calls: calls.length, how },
        ...(divergence === undefined ? {} : { divergence }),
      });
    const broken = await checkCalls(calls, this.#actions, this.#values);
    if (broken !== undefined) return found(broken, 'taken from the tape');
    const isTaken =
      end === undefined || meta['state'] === 'cancelled' || meta['from_tape'] === true || fromTape.has(code);
    if (isTaken) return found(await checkOutputs({ node, attempt }, meta, this.#values), 'taken from the tape');
    const index = state.graph.indexOf.get(node) ?? -1;
    const spec = state.opening.nodes[index];
    if (spec === undefined) throw new Error(`no node ${node}`);
    const bundle = await this.#agentFor(spec, pinOf(this.#accepted['agents'] as AgentPins, spec));
    if (!bundle.ok) {
      const { code: why, message } = bundle.error;
      if (why === 'NotFound') return bundle;
      const pin = pinOf(this.#accepted['agents'] as AgentPins, spec);
      return found(differs({ node, attempt }, `its agent ${spec.use.name}`, pin, message), 'taken from the tape');
    }
    const inputs = await loadInputs(this.#values, inputsOf(state, index));
    if (!inputs.ok) return inputs;
    const effective = effectiveFor(bundle.value, spec);
    if (!effective.ok) return effective;
    const request = { with: this.#with.get(node) ?? spec.with, inputs: inputs.value };
    const played = await this.#play(effective.value.bundle, node, attempt, calls, request);
    if (!played.ok) return played;
    const divergence =
      (await compare(node, attempt, calls, meta, played.value, this.#values)) ??
      (await checkOutputs({ node, attempt }, meta, this.#values));
    return found(divergence, 'ran');
  }

  async #play(
    bundle: Bundle,
    node: string,
    attempt: number,
    calls: readonly TapedCall[],
    request: { with: JsonObject; inputs: { [port: string]: JsonValue[] } },
  ): Promise<Result<Played, Failure>> {
    const tape = await loadCalls(calls, this.#values);
    if (!tape.ok) return tape;
    const runId = String(this.#rows[0]?.payload?.['run_id']);
    const door = createKernel(silent).open({
      agent: bundle.name,
      run_id: runId,
      trace_id: this.#traceId,
      node,
      attempt,
      caps: bundle.caps,
      tape: tape.value,
      mode: 'replay',
    });
    let made = 0;
    const counted = {
      call: (op: string, args: JsonValue, signal: AbortSignal) => {
        made += 1;
        return door.call(op, args, signal);
      },
      log: () => undefined,
      stdout: () => undefined,
      stderr: () => undefined,
    };
    const run = {
      trace_id: this.#traceId,
      run_id: runId,
      node,
      attempt,
      seed: String(this.#accepted['seed']),
      accepted_ms: this.#rows[0]?.ts_ms ?? 0,
      deadline_ms: bundle.caps.limits.wall_ms,
    };
    const limits = { ...bundle.caps.limits, wall_ms: 600_000 };
    const outcome = await this.#cells.run(
      { bundle, limits, run: { ...run, ...this.#told.get(tapeKey(node, attempt)) }, request },
      counted,
      new AbortController().signal,
    );
    const problem = outcome.type === 'succeeded' ? outputProblem(bundle, outcome.outputs) : undefined;
    const judged: AttemptOutcome =
      problem === undefined
        ? outcome
        : { type: 'failed', code: 'AgentFailed', reason: problem, retryable: false, usage: outcome.usage };
    return ok({ outcome: judged, divergence: door.diverged(), made });
  }
}

const silent: KernelPorts = {
  journal: { intent: () => Promise.resolve(), result: () => Promise.resolve(), note: () => undefined },
  approvals: { ask: () => Promise.resolve('pending') },
  cleared: () => true,
  perform: () =>
    Promise.resolve({ ok: false, code: 'Internal', message: 'a replay performs nothing', retryable: false }),
  audit: () => undefined,
  line: () => undefined,
};
