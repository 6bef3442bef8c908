/**
 * Runs a finished run again over its tape and compares: needs no daemon, calls no provider, writes nothing.
 *
 * 1. The engine must decide again what it decided: every event it derives stands on the ledger.
 * 2. Each attempt runs in a cell with its recorded inputs; every host call is answered from the tape.
 * 3. Equal means: per node the digests of the outputs, per call the operation and the hash of its arguments.
 * 4. What a limit decided (time, fuel, memory, a kill) is taken from the tape and not measured again.
 */
import { join } from 'node:path';
import {
  canonicalJson,
  type Clock,
  type Config,
  digestJson,
  err,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  type Log,
  ok,
  type Random,
  type Result,
  fromHex,
} from '@runloop/core';
import { openTapeReader, type StoredEvent } from '@runloop/kb';
import { inputsOf, newState, type Opening, type Outputs, type RunState, step } from '@runloop/openings';
import {
  type AttemptOutcome,
  type Bundle,
  type Cells,
  createCells,
  createKernel,
  type Divergence,
  hostKey,
  type KernelPorts,
} from '@runloop/runtime';
import { AgentRegistry } from '../agents/registry.ts';
import { Trust } from '../agents/trust.ts';
import { homeAt } from '../home/home.ts';
import { effectiveFor } from '../runs/effective.ts';
import { type AgentPins, pinOf } from '../runs/pin-of.ts';
import type { RunDraft } from '../runs/ports.ts';
import { outputProblem, shownReason } from '../runs/outputs.ts';
import { loadCalls, metaOf, readRun, type TapedCall, tapeKey, tapeOf, type Told, toldOf } from '../runs/tape.ts';
import { Values } from '../runs/values.ts';
import { Scrubber } from '../secrets/scrubber.ts';

export type ReplayDeps = { readonly clock: Clock; readonly random: Random; readonly log: Log };
export type ReplayOptions = { readonly root: string; readonly config: Config; readonly traceId: string };

export type NodeReplay = {
  readonly node: string;
  readonly attempt: number;
  readonly equal: boolean;
  readonly calls: number;
  readonly how: 'ran' | 'taken from the tape';
};
export type ReplayDivergence = {
  readonly node: string;
  readonly attempt: number;
  readonly what: string;
  readonly recorded: JsonValue;
  readonly replayed: JsonValue;
};
export type ReplayReport = {
  readonly trace_id: string;
  readonly name: string;
  readonly state: string;
  readonly equal: boolean;
  readonly nodes: readonly NodeReplay[];
  readonly divergence?: ReplayDivergence;
};

/** Outcomes that a limit or the machine decided. */
const fromTape: ReadonlySet<string> = new Set([
  'DeadlineExceeded',
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

export async function replayRun(
  deps: ReplayDeps,
  options: ReplayOptions,
  progress: (node: NodeReplay) => void,
): Promise<Result<ReplayReport, Failure>> {
  const home = homeAt(options.root, options.config);
  const reader = openTapeReader(deps, { rootDir: home.kb, eventsDb: join(home.kb, options.config.kb.events_db) });
  if (!reader.ok) return reader;
  using tape = reader.value;
  const rows = await readRun(tape, options.traceId);
  if (!rows.ok) return rows;
  const [first] = rows.value;
  if (first === undefined)
    return err(failure('NotFound', `there is no run ${options.traceId}`, { hint: 'see: rlp runs' }));
  if (rows.value.some((row) => row.payload === null))
    return err(failure('NotFound', `run ${options.traceId} was forgotten: its values were erased`));
  const last = rows.value.findLast((row) => row.kind === 'run.finished');
  if (last === undefined)
    return err(failure('Busy', `run ${options.traceId} has not finished`, { hint: 'wait for it: rlp attach' }));
  const key = await hostKey(home.keys);
  if (!key.ok) return key;
  const agents = new AgentRegistry(
    { ...deps, hostKey: key.value, trust: new Trust({ ...deps, hostKey: key.value }, { root: options.root }) },
    { searchDirs: [], cacheDir: home.cache, storeDir: home.store },
  );
  await using cells = createCells({ ...deps, hostKey: key.value }, { cacheDir: join(home.cache, 'cells'), spares: 0 });
  const values = new Values(
    {
      getBlob: (digest) => tape.getBlob(digest),
      putBlob: () => Promise.resolve(err(failure('Internal', 'a replay writes nothing'))),
    },
    new Scrubber(),
  );
  const replay = new Replay(options.traceId, rows.value, values, agents, cells);
  const report = await replay.run(progress);
  return report.ok
    ? ok({
        trace_id: options.traceId,
        name: String(metaOf(first)['name']),
        state: String(metaOf(last)['state']),
        ...report.value,
      })
    : report;
}

type Compared = { readonly nodes: NodeReplay[]; readonly equal: boolean; readonly divergence?: ReplayDivergence };

class Replay {
  readonly #traceId: string;
  readonly #rows: readonly StoredEvent[];
  readonly #values: Values;
  readonly #agents: AgentRegistry;
  readonly #cells: Cells;
  readonly #accepted: JsonObject;
  readonly #tape: ReadonlyMap<string, TapedCall[]>;
  readonly #told: ReadonlyMap<string, Told>;

  constructor(traceId: string, rows: readonly StoredEvent[], values: Values, agents: AgentRegistry, cells: Cells) {
    this.#traceId = traceId;
    this.#rows = rows;
    this.#values = values;
    this.#agents = agents;
    this.#cells = cells;
    this.#accepted = rows[0] === undefined ? {} : metaOf(rows[0]);
    this.#tape = tapeOf(rows);
    this.#told = toldOf(rows);
  }

  async run(progress: (node: NodeReplay) => void): Promise<Result<Compared, Failure>> {
    const opening = this.#accepted['opening'] as unknown as Opening;
    const state = newState(
      opening,
      fromHex(String(this.#accepted['seed'])),
      Number(this.#accepted['max_parallel'] ?? 4),
    );
    const undecided = this.#refold(state);
    if (undecided !== undefined) return ok({ nodes: [], equal: false, divergence: undecided });
    const nodes: NodeReplay[] = [];
    for (const { node, attempt, end } of this.#attempts()) {
      const compared = await this.#attempt(state, node, attempt, end);
      if (!compared.ok) return compared;
      nodes.push(compared.value.node);
      progress(compared.value.node);
      if (compared.value.divergence !== undefined)
        return ok({ nodes, equal: false, divergence: compared.value.divergence });
    }
    return ok({ nodes, equal: true });
  }

  /** Folds the facts; each event that the engine derives from them must stand among them. */
  #refold(state: RunState): ReplayDivergence | undefined {
    const due: RunDraft[] = [];
    for (const row of this.#rows) {
      const meta = metaOf(row);
      const at = due.findIndex((draft) => draft.kind === row.kind && sameJson(draft.meta, meta));
      if (at !== -1) due.splice(at, 1);
      const effects = step(state, { type: 'fact', kind: row.kind as RunDraft['kind'], tsMs: row.ts_ms, meta });
      for (const effect of effects) if (effect.type === 'append') due.push(effect);
    }
    const [missing] = due;
    if (missing === undefined) return undefined;
    return {
      node: String(missing.meta['node'] ?? ''),
      attempt: 0,
      what: `the engine decided on a ${missing.kind}`,
      recorded: null,
      replayed: missing.meta,
    };
  }

  /** Every attempt that began, with the event that ended it. */
  #attempts(): { node: string; attempt: number; end: StoredEvent | undefined }[] {
    const seen = new Map<string, { node: string; attempt: number; end: StoredEvent | undefined }>();
    for (const row of this.#rows) {
      const meta = metaOf(row);
      const key = tapeKey(String(meta['node']), Number(meta['attempt']));
      if (row.kind === 'node.started')
        seen.set(key, { node: String(meta['node']), attempt: Number(meta['attempt']), end: undefined });
      const entry = seen.get(key);
      if ((row.kind === 'node.finished' || row.kind === 'node.retrying') && entry !== undefined) entry.end = row;
    }
    return [...seen.values()];
  }

  async #attempt(
    state: RunState,
    node: string,
    attempt: number,
    end: StoredEvent | undefined,
  ): Promise<Result<{ node: NodeReplay; divergence?: ReplayDivergence }, Failure>> {
    const calls = this.#tape.get(tapeKey(node, attempt)) ?? [];
    const meta = end === undefined ? {} : metaOf(end);
    const code = typeof meta['code'] === 'string' ? meta['code'] : '';
    if (end === undefined || meta['state'] === 'cancelled' || fromTape.has(code)) {
      return ok({ node: { node, attempt, equal: true, calls: calls.length, how: 'taken from the tape' } });
    }
    const index = state.graph.indexOf.get(node) ?? -1;
    const spec = state.opening.nodes[index];
    if (spec === undefined) throw new Error(`no node ${node}`);
    const bundle = await this.#agents.pinned(spec.use.name, pinOf(this.#accepted['agents'] as AgentPins, spec));
    if (!bundle.ok) return bundle;
    const inputs = await this.#inputs(inputsOf(state, index));
    if (!inputs.ok) return inputs;
    const effective = effectiveFor(bundle.value, spec);
    if (!effective.ok) return effective;
    const played = await this.#play(effective.value.bundle, node, attempt, calls, {
      with: spec.with,
      inputs: inputs.value,
    });
    if (!played.ok) return played;
    const divergence = compare(node, attempt, calls, meta, played.value);
    return ok({
      node: { node, attempt, equal: divergence === undefined, calls: calls.length, how: 'ran' },
      ...(divergence === undefined ? {} : { divergence }),
    });
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

  async #inputs(refs: Outputs): Promise<Result<{ [port: string]: JsonValue[] }, Failure>> {
    const inputs: { [port: string]: JsonValue[] } = {};
    for (const [port, list] of Object.entries(refs)) {
      for (const { digest } of list) {
        const value = await this.#values.get(digest);
        if (!value.ok) return value;
        (inputs[port] ??= []).push(value.value);
      }
    }
    return ok(inputs);
  }
}

type Played = { readonly outcome: AttemptOutcome; readonly divergence: Divergence | undefined; readonly made: number };

function compare(
  node: string,
  attempt: number,
  calls: readonly TapedCall[],
  end: JsonObject,
  { outcome, divergence, made }: Played,
): ReplayDivergence | undefined {
  const differs = (what: string, recorded: JsonValue, replayed: JsonValue): ReplayDivergence => ({
    node,
    attempt,
    what,
    recorded,
    replayed,
  });
  if (divergence !== undefined) {
    const { index, expected, actual } = divergence;
    return differs(`host call ${index + 1}`, expected ?? null, actual);
  }
  if (made < calls.length) return differs('the number of host calls', calls.length, made);
  if (outcome.type === 'failed') {
    return end['reason'] === shownReason(outcome.reason)
      ? undefined
      : differs('the outcome', end['reason'] ?? end['state'] ?? null, `failed: ${outcome.reason}`);
  }
  if (outcome.type !== 'succeeded') return differs('the outcome', end['state'] ?? null, outcome.type);
  const recorded = isJsonObject(end['outputs']) ? (end['outputs'] as unknown as Outputs) : {};
  for (const port of new Set([...Object.keys(recorded), ...Object.keys(outcome.outputs)])) {
    const before = (recorded[port] ?? []).map(({ type, digest }) => `${type} ${digest}`);
    const after = (outcome.outputs[port] ?? []).map(({ type, value }) => `${type} ${digestJson(value)}`);
    if (before.join('\n') !== after.join('\n')) return differs(`the output port "${port}"`, before, after);
  }
  return undefined;
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

function sameJson(a: JsonObject, b: JsonObject): boolean {
  const [left, right] = [canonicalJson(a), canonicalJson(b)];
  return left.ok && right.ok && left.value === right.value;
}
