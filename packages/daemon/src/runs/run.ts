/**
 * One live run: its driver, the attempts that are under way, its deadline and its approvals.
 *
 * R1. An attempt that was interrupted, by a crash, for a person or by a neighbour in its cell, runs again over its recorded calls.
 * R2. What an attempt gives is stored together with the event that tells of it; a failure's reason is a value too (the `err` port).
 */
import {
  cleanLabel,
  digestJson,
  type Failure,
  isClean,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  type Label,
  ok,
  type Random,
  type Result,
  toHex,
} from '@runloop/core';
import type { BlobDraft, StoredEvent } from '@runloop/kb';
import { inputsOf, type NodeSpec, type Outcome, type RunState, type Usage } from '@runloop/openings';
import {
  type ApprovalAnswer,
  type ApprovalRequest,
  type AttemptOutcome,
  type Bundle,
  type CallContext,
  type Caps,
  type Cells,
  type Divergence,
  type Kernel,
  type KernelDoor,
  type PerformContext,
  type RecordedCall,
} from '@runloop/runtime';
import type { Action } from './actions.ts';
import { askAnew, refusedAnew } from './anew.ts';
import { CutOff } from './cut-off.ts';
import { Deadline } from './deadline.ts';
import { type DriverDeps, type Performer, RunDriver, type RunIdentity } from './driver.ts';
import { budgetsOf } from './budgets-of.ts';
import { editAction } from './edit.ts';
import { stopAt } from './stop-at.ts';
import { passedBy } from './gate.ts';
import { loadInputs } from './inputs.ts';
import { RunMemory } from './memory.ts';
import { type AgentPins, pinOf } from './pin-of.ts';
import { effectiveFor, emptyCaps, folderTold, type GrantPlaces, startAudit } from './effective.ts';
import { type Given, shownReason } from './outputs.ts';
import { storeOutputs } from './store-outputs.ts';
import type {
  AgentSource,
  CallScope,
  Exhausted,
  HostPerformer,
  OperatorWill,
  QuarantinePort,
  Raised,
  RunDraft,
  Spender,
} from './ports.ts';
import { Questions } from './questions.ts';
import { loadCalls, type SpentCall, tapeKey, type TapedCall, type Told } from './tape.ts';
import { isStorageFault, type Values } from './values.ts';

export type RunDeps = DriverDeps & {
  readonly random: Random;
  readonly values: Values;
  readonly agents: AgentSource;
  readonly cells: Cells;
  readonly kernel: Kernel;
  readonly performer: Pick<HostPerformer, 'repeats' | 'forfeit' | 'raise'>;
  /** What `~` means in a grant. */
  readonly homeDir: string;
  readonly operator: OperatorWill;
  readonly quarantine: QuarantinePort;
  /** Told of each run that goes on after a restart, with what it had called and spent. */
  readonly recovered: (traceId: string, spent: readonly SpentCall[]) => void;
};

export type RunOptions = {
  readonly onConfirm: 'wait' | 'deny';
  /** The operator has agreed to the opening's text. */
  readonly trusted: boolean;
  /** The nested openings to whose texts the operator has agreed. */
  readonly trustedGroups: ReadonlySet<string>;
  /** Digests of bundles, pinned when the run was accepted. */
  readonly pins: AgentPins;
  /** What a fork calls instead of the model that an agent asks for. */
  readonly model?: string | undefined;
  /** What `.` means in a grant of files. */
  readonly folder?: string | undefined;
  /** An agent of whose capabilities nothing is left is refused. */
  readonly failOnEmpty: boolean;
  /** Questions of the agent that are open, in all runs. */
  readonly openOf: (agent: string) => number;
  readonly ended: (run: Run, fault: Failure | undefined) => void;
};

type Attempt = {
  bundle?: Bundle;
  /** The opening has taken from its limits: whatever it runs into there is not the agent's fault. */
  narrowed?: boolean;
  readonly agent: string;
  /** Digest of its bundle. */
  readonly pin: string;
  /** Why the agent may not run any more. */
  refused?: Failure;
  /** Of all that it was given and told by now. */
  label?: () => Label;
  readonly held: Promise<unknown>[];
  readonly node: string;
  readonly attempt: number;
  readonly abort: AbortController;
  /** What it asked for, where its tape says otherwise. */
  diverged?: Divergence | undefined;
  waits?: { for: 'approval' | 'budget' | 'operator'; action?: string } | undefined;
  /** Why it may not go on although nothing refused its agent. */
  fault?: Failure;
};

export class Run implements Performer {
  readonly driver: RunDriver;
  readonly options: RunOptions;
  readonly memory: RunMemory;
  readonly questions: Questions;
  readonly cutOff: CutOff;
  readonly places: GrantPlaces;
  readonly #deps: RunDeps;
  readonly #attempts = new Map<string, Attempt>();
  readonly #deadline: Deadline;

  constructor(
    deps: RunDeps,
    identity: RunIdentity,
    state: RunState,
    options: RunOptions,
    rows: readonly StoredEvent[] = [],
  ) {
    this.#deps = deps;
    this.options = options;
    this.places = { homeDir: deps.homeDir, folder: options.folder };
    this.memory = new RunMemory(rows);
    this.driver = new RunDriver(deps, identity, state, this);
    this.#deadline = new Deadline(deps.clock, this.driver);
    const raised = (one: Raised): void => deps.performer.raise?.(one);
    this.questions = new Questions(deps, this.driver, { ...options, raised });
    this.cutOff = new CutOff(deps, this.driver, this.memory, this.questions);
  }

  get state(): RunState {
    return this.driver.state;
  }

  /** Keeps the attempt from ending before what it did has been noted. */
  hold(node: string, attempt: number, noting: Promise<unknown>): void {
    this.#attempts.get(tapeKey(node, attempt))?.held.push(noting);
  }

  /** What a host call may know of where it comes from. */
  scopeOf(ctx: PerformContext): CallScope {
    const { traceId, runId, actor } = this.driver.identity;
    const bundle = this.#attempts.get(tapeKey(ctx.node, ctx.attempt))?.bundle;
    if (bundle === undefined) throw new Error(`attempt ${ctx.attempt} of ${ctx.node} is not under way`);
    const { opening } = this.state;
    return {
      traceId,
      runId,
      opening: this.state.opening.name,
      node: ctx.node,
      attempt: ctx.attempt,
      bundle,
      caps: ctx.caps,
      actor,
      callId: ctx.call,
      label: ctx.label,
      approved: ctx.approved,
      repeated: this.memory.repeated(ctx.node, ctx.attempt, ctx.call),
      budgets: budgetsOf(opening, opening.nodes[this.state.graph.indexOf.get(ctx.node) ?? -1]),
      evidence: this.memory.evidence(ctx.node, this.state),
    };
  }

  /** On whose account calls of the node go; undefined where its agent cannot be found any more. */
  async spenderOf(node: string, attempt: number): Promise<Spender | undefined> {
    const { opening, graph } = this.state;
    const spec = opening.nodes[graph.indexOf.get(node) ?? -1];
    if (spec === undefined) return undefined;
    const bundle = await this.#deps.agents.pinned(spec.use.name, pinOf(this.options.pins, spec));
    const { traceId, actor } = this.driver.identity;
    const budgets = budgetsOf(opening, spec);
    return bundle.ok
      ? { traceId, opening: opening.name, actor, node, attempt, bundle: bundle.value, budgets }
      : undefined;
  }

  /** The arguments that a call is performed with: a fork may call another model than its agents ask for. */
  performed(op: string, args: JsonValue): JsonValue {
    const { model } = this.options;
    return model === undefined || op !== 'model.complete' || !isJsonObject(args) ? args : { ...args, model };
  }

  start(node: string, index: number, attempt: number): void {
    this.#deadline.arm();
    const spec = this.state.opening.nodes[index];
    if (spec === undefined) throw new Error(`no node ${node}`);
    const agent = spec.use.name;
    const pin = pinOf(this.options.pins, spec);
    const entry: Attempt = { node, attempt, agent, pin, abort: new AbortController(), held: [] };
    this.#attempts.set(tapeKey(node, attempt), entry);
    void this.#attempt(entry, index, spec).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#deps.log.log('error', 'an attempt failed inside the daemon', { node, reason });
      return this.#end(entry, { state: 'failed', code: 'Internal', reason, retryable: false, error: '' }, nothingUsed);
    });
  }

  stop(node: string, attempt: number): void {
    this.#attempts.get(tapeKey(node, attempt))?.abort.abort();
  }

  /** Stops what runs of agents that may not run any more: their signer or their bundle was revoked. */
  async recheck(): Promise<void> {
    for (const entry of this.#attempts.values()) {
      const bundle = await this.#deps.agents.pinned(entry.agent, entry.pin);
      if (bundle.ok) continue;
      entry.refused = bundle.error;
      entry.abort.abort();
    }
  }

  finished(): void {
    this.#deadline[Symbol.dispose]();
    this.options.ended(this, undefined);
  }

  faulted(fault: Failure): void {
    this.close();
    this.options.ended(this, fault);
  }

  /** Ends everything under way without ending the run: it goes on at the next start. */
  close(): void {
    this.#deadline[Symbol.dispose]();
    this.driver.stop();
    for (const entry of this.#attempts.values()) entry.abort.abort();
  }

  get underWay(): number {
    return this.#attempts.size;
  }

  async #attempt(entry: Attempt, index: number, spec: NodeSpec): Promise<void> {
    const { node, attempt } = entry;
    const refuse = (fault: Failure): Promise<void> => this.#fail(entry, fault.code, fault.message, false, nothingUsed);
    const bundle = await this.#deps.agents.pinned(entry.agent, entry.pin);
    if (!bundle.ok) return this.#refuse(entry, bundle.error, nothingUsed);
    const held = this.#deps.quarantine.refusal(bundle.value);
    if (held !== undefined) return this.#refuse(entry, held, nothingUsed);
    const allowed = effectiveFor(bundle.value, spec, this.places);
    if (!allowed.ok) return refuse(allowed.error);
    if (allowed.value.empty) {
      const nothing = emptyCaps(bundle.value);
      if (this.options.failOnEmpty) return this.#refuse(entry, nothing, nothingUsed);
      this.driver.note([startAudit(entry, entry.pin, 'empty', nothing)]);
    }
    const effective = allowed.value.bundle;
    entry.bundle = effective;
    entry.narrowed = digestJson(effective.caps.limits) !== digestJson(bundle.value.caps.limits);
    const left = refusedAnew(entry, this);
    if (left !== undefined) return refuse(left);
    const inputs = await loadInputs(this.#deps.values, inputsOf(this.state, index));
    if (!inputs.ok) return refuse(inputs.error);
    const settled = await this.cutOff.settle(node, attempt);
    if (!settled.ok) return refuse(settled.error);
    const request = { with: spec.with, inputs: inputs.value };
    const { clock } = this.#deps;
    const beganMs = clock.monotonicMs();
    const limitMs = effective.caps.limits.wall_ms;
    let outcome: AttemptOutcome;
    let strandings = 0;
    let alone = false;
    do {
      const calls = await this.#calls(entry, settled.value);
      if (!calls.ok) return refuse(calls.error);
      const leftMs = Math.min(spec.timeout_ms ?? Infinity, limitMs) - (clock.monotonicMs() - beganMs);
      outcome = await this.#invoke(entry, effective, request, calls.value, leftMs, alone);
      await Promise.all(entry.held);
      if (outcome.type === 'suspended' && outcome.reason === 'bystander') strandings += 1;
      alone ||= (outcome.type === 'suspended' && outcome.reason === 'elsewhere') || strandings >= strandingsMax;
    } while (outcome.type === 'suspended' && (outcome.reason === 'elsewhere' || outcome.reason === 'bystander'));
    outcome = { ...outcome, usage: { ...outcome.usage, wall_ms: clock.monotonicMs() - beganMs } };
    await this.#settle(entry, effective, outcome);
  }

  /** What this attempt called before, and what earlier ones did that must not be done twice. */
  async #calls(
    { node, attempt }: Attempt,
    stands: (call: TapedCall) => boolean,
  ): Promise<Result<{ readonly tape: RecordedCall[]; readonly earlier: RecordedCall[] }, Failure>> {
    const { values } = this.#deps;
    const tape = await loadCalls(this.memory.calls(node, attempt).filter(stands), values);
    if (!tape.ok) return tape;
    const earlier = await loadCalls(this.memory.earlier(node, attempt).filter(stands), values);
    return earlier.ok ? ok({ tape: tape.value, earlier: earlier.value }) : earlier;
  }

  #refuse(entry: Attempt, fault: Failure, usage: Usage): Promise<void> {
    this.driver.note([startAudit(entry, entry.pin, 'deny', fault)]);
    return this.#fail(entry, fault.code, fault.message, false, usage);
  }

  async #invoke(
    entry: Attempt,
    bundle: Bundle,
    request: { with: JsonObject; inputs: { [port: string]: JsonValue[] } },
    calls: { readonly tape: readonly RecordedCall[]; readonly earlier: readonly RecordedCall[] },
    timeoutMs: number,
    alone: boolean,
  ): Promise<AttemptOutcome> {
    const { node, attempt } = entry;
    const { traceId, runId } = this.driver.identity;
    const given = this.memory.given(node, this.state);
    const door = this.#deps.kernel.open({
      agent: bundle.name,
      run_id: runId,
      trace_id: traceId,
      node,
      attempt,
      caps: bundle.caps,
      ...calls,
      label: given,
      mode: 'live',
    });
    entry.label = () => door.label();
    const deadlineMs = Math.max(1, Math.round(Math.min(timeoutMs, this.#deadline.leftMs(node))));
    const told = this.#tell(entry, deadlineMs, bundle.caps);
    const run = {
      trace_id: traceId,
      run_id: runId,
      node,
      attempt,
      seed: toHex(this.state.seed),
      accepted_ms: this.state.acceptedMs,
      ...told,
    };
    const share = alone
      ? {}
      : {
          share: digestJson({
            caps: bundle.caps,
            owner: this.driver.identity.actor,
            label: [given.trust, given.secrecy],
          }),
        };
    const { limits } = bundle.caps;
    const invocation = { bundle, run, request, limits, leftMs: deadlineMs, ...share };
    const outcome = await this.#deps.cells.run(invocation, door, entry.abort.signal);
    await this.#settled(entry, door);
    entry.diverged = door.diverged();
    return outcome;
  }

  /** What the attempt had asked for and did not wait for is told before it ends, and not begun again while it goes on. */
  async #settled({ node }: Attempt, door: KernelDoor): Promise<void> {
    const late = Promise.withResolvers<void>();
    using _timer = this.#deps.clock.after(callsEndMsMax, () => {
      this.#deps.log.log('error', 'calls of an attempt that is over do not end', { node, waited_ms: callsEndMsMax });
      late.resolve();
    });
    await Promise.race([door.settled(), late.promise]);
  }

  /** What the agent is told of its time, money, directories and clock, noted on the tape: run again, it is told the same. */
  #tell({ node, attempt }: Attempt, deadlineMs: number, { fs, time }: Caps): Told {
    return this.memory.told(node, attempt, () => {
      const { budget_tokens: tokens } = this.state.opening.policy;
      const left = tokens === undefined ? {} : { tokens_left: Math.max(0, tokens - this.state.tokens) };
      const granted = { ...(fs.length === 0 ? {} : { fs }), ...(time ? { time } : {}) };
      const told: Told = { deadline_ms: deadlineMs, ...left, ...granted, ...folderTold(this.places, fs) };
      const message = `${node} may take ${deadlineMs} ms.`;
      this.driver.note([{ kind: 'run.trace', level: 'debug', message, meta: { node, attempt, told } }]);
      return told;
    });
  }

  async #settle(entry: Attempt, bundle: Bundle, outcome: AttemptOutcome): Promise<void> {
    const usage: Usage = {
      duration_ms: Math.round(outcome.usage.wall_ms),
      fuel: outcome.usage.fuel,
      memory_bytes: outcome.usage.memory_bytes,
      tokens: 0,
      usd_nano: 0,
    };
    if (entry.refused !== undefined) return this.#refuse(entry, entry.refused, usage);
    if (!entry.narrowed) await this.#deps.quarantine.note(bundle, outcome);
    if (outcome.type === 'succeeded' || outcome.type === 'failed') this.#mark(entry, bundle);
    switch (outcome.type) {
      case 'succeeded':
        return this.#succeed(entry, bundle, outcome.outputs, usage);
      case 'failed':
        return this.#fail(entry, outcome.code, outcome.reason, outcome.retryable, usage);
      case 'cancelled':
        return this.#end(entry, { state: 'cancelled', reason: 'it was stopped' }, usage);
      case 'suspended':
        if (entry.fault !== undefined) return this.#fail(entry, entry.fault.code, entry.fault.message, false, usage);
        entry.waits ??=
          entry.diverged === undefined
            ? await this.cutOff.ask(entry.node, entry.attempt, bundle.name)
            : await askAnew(entry, entry.diverged, this);
        this.#release(entry);
        this.driver.send({
          type: 'suspended',
          node: entry.node,
          attempt: entry.attempt,
          ...(entry.waits ?? { for: 'operator' }),
        });
        this.questions.wakeIfDecided(entry.node, entry.waits?.action);
        return;
    }
    outcome satisfies never;
  }

  /** Notes, with the end of the attempt, what its answer or failure carries. */
  #mark({ node, attempt, label: now }: Attempt, bundle: Bundle): void {
    const ended = now?.() ?? cleanLabel;
    const label = this.#deps.operator.declassifies(bundle.digest) ? { ...ended, secrecy: 'public' as const } : ended;
    this.memory.give(node, label);
    if (isClean(ended)) return;
    const message = `What ${node} gives is ${label.trust} and ${label.secrecy}.`;
    const meta = { node, attempt, label: label as unknown as JsonObject };
    this.driver.note([{ kind: 'run.trace', level: 'debug', message, meta }]);
  }

  async #succeed(entry: Attempt, bundle: Bundle, given: Given, usage: Usage): Promise<void> {
    const stored = await storeOutputs(this.#deps.values, this.state.opening, entry.node, bundle, given);
    if (!stored.ok) return this.#fail(entry, stored.error.code, stored.error.message, false, usage);
    const { outputs, artifacts, blobs } = stored.value;
    if (artifacts.length > 0)
      this.driver.note(artifacts, {
        evidence: this.memory.evidence(entry.node, this.state),
        label: this.memory.of(entry.node) as unknown as JsonObject,
      });
    return this.#end(entry, { state: 'succeeded', outputs }, usage, blobs);
  }

  async #fail(entry: Attempt, code: Failure['code'], reason: string, retryable: boolean, usage: Usage): Promise<void> {
    if (isStorageFault({ code })) return this.driver.fault({ code, message: reason });
    const shown = shownReason(reason);
    const error = await this.#deps.values.keep({ reason: shown, retryable });
    if (!error.ok) return this.driver.fault(error.error);
    const { value: digest, blobs } = error.value;
    return this.#end(entry, { state: 'failed', code, reason: shown, retryable, error: digest }, usage, blobs);
  }

  #end(entry: Attempt, outcome: Outcome, usage: Usage, blobs: readonly BlobDraft[] = []): void {
    this.#release(entry);
    this.driver.send({ type: 'outcome', node: entry.node, attempt: entry.attempt, outcome, usage }, blobs);
  }

  #release(entry: Attempt): void {
    this.#attempts.delete(tapeKey(entry.node, entry.attempt));
    this.driver.releaseSlot();
  }

  /** Asks a person; a question that is open makes the attempt give its cell up. */
  async ask(ctx: CallContext, request: ApprovalRequest): Promise<ApprovalAnswer> {
    const { trusted, trustedGroups } = this.options;
    const gate = { confirms: this.#deps.operator.confirms, trusted, trustedGroups };
    const passes = passedBy(gate, this.state.opening, ctx.node, request);
    const answer = await this.questions.ask({ node: ctx.node, agent: ctx.agent }, request, '', passes);
    const entry = this.#attempts.get(tapeKey(ctx.node, ctx.attempt));
    if (answer.type === 'pending' && entry !== undefined) entry.waits = { for: 'approval', action: answer.action };
    return answer.type === 'edited' ? { edited: answer.args } : answer.type;
  }

  /** A budget has no room for a call: the attempt gives its cell up, to wait or to fail. */
  async stopAt(ctx: PerformContext, exhausted: Exhausted, events: readonly RunDraft[]): Promise<void> {
    const stopped = await stopAt(this, ctx, exhausted, events);
    const entry = this.#attempts.get(tapeKey(ctx.node, ctx.attempt));
    if (entry === undefined) return;
    if ('fault' in stopped) entry.fault = stopped.fault;
    else entry.waits = stopped.waits;
  }

  /** A person asks for other arguments. */
  edit(action: Action, hash: string, args: JsonObject, by: string): Promise<Failure | undefined> {
    return editAction(this, this.#deps, action, hash, args, by);
  }
}

/** After so many losses of a shared cell that were not its own fault an attempt gets one for itself. */
const strandingsMax = 3;
/** How long the calls of an attempt that is over may take to end. */
const callsEndMsMax = 5_000;
const nothingUsed: Usage = { duration_ms: 0, fuel: 0, memory_bytes: 0, tokens: 0, usd_nano: 0 };
