/**
 * One live run: its driver, the attempts that are under way, its deadline and its approvals.
 *
 * R1. An attempt that was interrupted, by a crash or for a person, runs again over its recorded calls.
 * R2. What an attempt gives is stored before it is told; a failure's reason is a value too (the `err` port).
 */
import { type Failure, type JsonObject, type JsonValue, ok, type Random, type Result, showLine } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import { errPort, inputsOf, type Outcome, type RunState, type Usage } from '@runloop/openings';
import type {
  ApprovalRequest,
  AttemptOutcome,
  Bundle,
  CallContext,
  Cells,
  Kernel,
  RecordedCall,
} from '@runloop/runtime';
import { CutOff } from './cut-off.ts';
import { type DriverDeps, type Performer, RunDriver, type RunIdentity } from './driver.ts';
import { RunMemory } from './memory.ts';
import { effectiveFor } from './effective.ts';
import type { AgentSource, CallScope, HostPerformer, RunDraft } from './ports.ts';
import { Questions } from './questions.ts';
import { loadCalls, tapeKey, type Told } from './tape.ts';
import type { Values } from './values.ts';

export type RunDeps = DriverDeps & {
  readonly random: Random;
  readonly values: Values;
  readonly agents: AgentSource;
  readonly cells: Cells;
  readonly kernel: Kernel;
  readonly performer: Pick<HostPerformer, 'repeats'>;
};

export type RunOptions = {
  readonly onConfirm: 'wait' | 'deny';
  readonly acceptedMs: number;
  /** Digest of each agent's bundle, pinned when the run was accepted. */
  readonly pins: { readonly [agent: string]: string };
  /** An agent of whose capabilities nothing is left is refused. */
  readonly failOnEmpty: boolean;
  readonly ended: (run: Run, fault: Failure | undefined) => void;
};

type Attempt = {
  bundle?: Bundle;
  readonly agent: string;
  /** Why the agent may not run any more. */
  refused?: Failure;
  readonly held: Promise<unknown>[];
  readonly node: string;
  readonly attempt: number;
  readonly abort: AbortController;
  waits?: { for: 'approval' | 'operator'; action?: string } | undefined;
};

export class Run implements Performer {
  readonly driver: RunDriver;
  readonly options: RunOptions;
  readonly memory: RunMemory;
  readonly questions: Questions;
  readonly cutOff: CutOff;
  readonly #deps: RunDeps;
  readonly #attempts = new Map<string, Attempt>();
  #deadline: Disposable | undefined;

  constructor(
    deps: RunDeps,
    identity: RunIdentity,
    state: RunState,
    options: RunOptions,
    rows: readonly StoredEvent[] = [],
  ) {
    this.#deps = deps;
    this.options = options;
    this.memory = new RunMemory(rows);
    this.driver = new RunDriver(deps, identity, state, this);
    this.questions = new Questions(deps, this.driver, options.onConfirm);
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
  scopeOf(ctx: CallContext & { readonly call: string }): CallScope {
    const { traceId, runId, actor } = this.driver.identity;
    const bundle = this.#attempts.get(tapeKey(ctx.node, ctx.attempt))?.bundle;
    if (bundle === undefined) throw new Error(`attempt ${ctx.attempt} of ${ctx.node} is not under way`);
    const { opening } = this.state;
    const { budget_tokens: runTokens, budget_usd: runUsd } = opening.policy;
    const nodeTokens = opening.nodes[this.state.graph.indexOf.get(ctx.node) ?? -1]?.budget_tokens;
    const budgets = {
      ...(runTokens === undefined ? {} : { runTokens }),
      ...(runUsd === undefined ? {} : { runUsd }),
      ...(nodeTokens === undefined ? {} : { nodeTokens }),
    };
    return {
      traceId,
      runId,
      opening: opening.name,
      node: ctx.node,
      attempt: ctx.attempt,
      bundle,
      actor,
      callId: ctx.call,
      budgets,
      evidence: this.memory.evidence(ctx.node, this.state),
    };
  }

  start(node: string, index: number, attempt: number): void {
    this.#armDeadline();
    const agent = this.state.opening.nodes[index]?.use.name ?? '';
    const entry: Attempt = { node, attempt, agent, abort: new AbortController(), held: [] };
    this.#attempts.set(tapeKey(node, attempt), entry);
    void this.#attempt(entry, index).catch((error: unknown) => {
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
      const bundle = await this.#deps.agents.pinned(entry.agent, this.options.pins[entry.agent] ?? '');
      if (bundle.ok) continue;
      entry.refused = bundle.error;
      entry.abort.abort();
    }
  }

  finished(): void {
    this.#deadline?.[Symbol.dispose]();
    this.options.ended(this, undefined);
  }

  faulted(fault: Failure): void {
    this.close();
    this.options.ended(this, fault);
  }

  /** Ends everything under way without ending the run: it goes on at the next start. */
  close(): void {
    this.#deadline?.[Symbol.dispose]();
    this.driver.stop();
    for (const entry of this.#attempts.values()) entry.abort.abort();
  }

  get underWay(): number {
    return this.#attempts.size;
  }

  async #attempt(entry: Attempt, index: number): Promise<void> {
    const { node, attempt } = entry;
    const spec = this.state.opening.nodes[index];
    if (spec === undefined) throw new Error(`no node ${node}`);
    const refuse = (fault: Failure): Promise<void> => this.#fail(entry, fault.code, fault.message, false, nothingUsed);
    const bundle = await this.#deps.agents.pinned(spec.use.name, this.options.pins[spec.use.name] ?? '');
    if (!bundle.ok) return this.#refuse(entry, bundle.error, nothingUsed);
    const effective = effectiveFor(bundle.value, spec);
    if (!effective.ok) return refuse(effective.error);
    if (effective.value.empty) {
      const nothing = emptyCaps(bundle.value);
      if (this.options.failOnEmpty) return this.#refuse(entry, nothing, nothingUsed);
      this.#audit(entry, 'empty', nothing);
    }
    entry.bundle = effective.value.bundle;
    const inputs = await this.#inputs(index);
    if (!inputs.ok) return refuse(inputs.error);
    const settled = await this.cutOff.settle(node, attempt);
    if (!settled.ok) return refuse(settled.error);
    const { values } = this.#deps;
    const tape = await loadCalls(this.memory.calls(node, attempt).filter(settled.value), values);
    if (!tape.ok) return refuse(tape.error);
    const earlier = await loadCalls(this.memory.earlier(node, attempt).filter(settled.value), values);
    if (!earlier.ok) return refuse(earlier.error);
    const outcome = await this.#invoke(
      entry,
      entry.bundle,
      { with: spec.with, inputs: inputs.value },
      tape.value,
      earlier.value,
      spec.timeout_ms,
    );
    await this.#settle(entry, entry.bundle, outcome);
  }

  #refuse(entry: Attempt, fault: Failure, usage: Usage): Promise<void> {
    this.#audit(entry, 'deny', fault);
    return this.#fail(entry, fault.code, fault.message, false, usage);
  }

  /** An agent that may not run, or not do anything, is a refusal of its capability to run. */
  #audit({ agent, node }: Attempt, decision: 'deny' | 'empty', { message: reason }: Failure): void {
    const target = this.options.pins[agent] ?? '';
    const cap = decision === 'empty' ? 'caps_empty' : 'run';
    const meta = { agent, node, cap, op: 'agent.start', target, args_hash: '', decision, reason };
    this.driver.note([{ kind: 'cap.audit', level: 'warn', message: `${agent}: ${reason}`, meta }]);
  }

  #invoke(
    entry: Attempt,
    bundle: Bundle,
    request: { with: JsonObject; inputs: { [port: string]: JsonValue[] } },
    tape: readonly RecordedCall[],
    earlier: readonly RecordedCall[],
    timeoutMs: number | undefined,
  ): Promise<AttemptOutcome> {
    const { node, attempt } = entry;
    const { traceId, runId } = this.driver.identity;
    const door = this.#deps.kernel.open({
      agent: bundle.name,
      run_id: runId,
      trace_id: traceId,
      node,
      attempt,
      caps: bundle.caps,
      tape,
      earlier,
      mode: 'live',
    });
    const deadlineMs = Math.max(
      1,
      Math.round(Math.min(timeoutMs ?? Infinity, this.#runLeftMs(), bundle.caps.limits.wall_ms)),
    );
    const told = this.#tell(entry, deadlineMs);
    const run = {
      trace_id: traceId,
      run_id: runId,
      node,
      attempt,
      seed: seedText(this.state.seed),
      accepted_ms: this.options.acceptedMs,
      ...told,
    };
    const limits = { ...bundle.caps.limits, wall_ms: deadlineMs };
    return this.#deps.cells.run({ bundle, run, request, limits }, door, entry.abort.signal);
  }

  /** What the agent is told of its time and money, noted on the tape: run again, it is told the same. */
  #tell({ node, attempt }: Attempt, deadlineMs: number): Told {
    return this.memory.told(node, attempt, () => {
      const { budget_tokens: tokens } = this.state.opening.policy;
      const left = tokens === undefined ? {} : { tokens_left: Math.max(0, tokens - this.state.tokens) };
      const told: Told = { deadline_ms: deadlineMs, ...left };
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
    await Promise.all(entry.held);
    if (entry.refused !== undefined) return this.#refuse(entry, entry.refused, usage);
    switch (outcome.type) {
      case 'succeeded':
        return this.#succeed(entry, bundle, outcome.outputs, usage);
      case 'failed':
        return this.#fail(entry, outcome.code, outcome.reason, outcome.retryable, usage);
      case 'cancelled':
        return this.#end(entry, { state: 'cancelled', reason: 'it was stopped' }, usage);
      case 'suspended':
        entry.waits ??= await this.cutOff.ask(entry.node, entry.attempt, bundle.name);
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

  async #succeed(
    entry: Attempt,
    bundle: Bundle,
    given: { readonly [port: string]: readonly { type: string; value: JsonValue }[] },
    usage: Usage,
  ): Promise<void> {
    // Without a prototype: a port may be named like something that every object has.
    const outputs = Object.create(null) as { [port: string]: { type: string; digest: string; value?: JsonValue }[] };
    const artifacts: RunDraft[] = [];
    const read = this.#portsRead(entry.node);
    for (const [port, items] of Object.entries(given)) {
      const declared = Object.hasOwn(bundle.ports.out, port) ? bundle.ports.out[port] : undefined;
      if (declared === undefined)
        return this.#fail(
          entry,
          'AgentFailed',
          `it gave a value on the port "${port}", which its manifest does not declare`,
          false,
          usage,
        );
      for (const { type, value } of items) {
        if (!declared.includes(type) && !declared.includes('*')) {
          return this.#fail(
            entry,
            'AgentFailed',
            `it gave a ${type} on the port "${port}", which its manifest declares as ${declared.join(' or ')}`,
            false,
            usage,
          );
        }
        const digest = await this.#deps.values.put(value);
        if (!digest.ok) return this.#fail(entry, digest.error.code, digest.error.message, false, usage);
        (outputs[port] ??= []).push({
          type,
          digest: digest.value,
          ...(read.has(port) && isScalar(value) ? { value } : {}),
        });
        if (this.state.opening.artifacts.save.some((ref) => ref.node === entry.node && ref.port === port)) {
          const bytes = Buffer.byteLength(JSON.stringify(value));
          const meta = { node: entry.node, port, type, digest: digest.value, bytes };
          artifacts.push({
            kind: 'artifact.created',
            level: 'info',
            message: `${entry.node} made an artifact (${type}, ${bytes} bytes).`,
            meta,
          });
        }
      }
    }
    this.driver.note(artifacts, { evidence: this.memory.evidence(entry.node, this.state) });
    return this.#end(entry, { state: 'succeeded', outputs: outputs }, usage);
  }

  async #fail(entry: Attempt, code: string, reason: string, retryable: boolean, usage: Usage): Promise<void> {
    const shown = showLine(reason).slice(0, 2000);
    const error = await this.#deps.values.put({ reason: shown, retryable });
    return this.#end(
      entry,
      { state: 'failed', code, reason: shown, retryable, error: error.ok ? error.value : '' },
      usage,
    );
  }

  #end(entry: Attempt, outcome: Outcome, usage: Usage): void {
    this.#release(entry);
    this.driver.send({ type: 'outcome', node: entry.node, attempt: entry.attempt, outcome, usage });
  }

  #release(entry: Attempt): void {
    this.#attempts.delete(tapeKey(entry.node, entry.attempt));
    this.driver.releaseSlot();
  }

  async #inputs(index: number): Promise<Result<{ [port: string]: JsonValue[] }, Failure>> {
    const inputs = Object.create(null) as { [port: string]: JsonValue[] };
    for (const [port, refs] of Object.entries(inputsOf(this.state, index))) {
      const list: JsonValue[] = [];
      for (const ref of refs) {
        const value = await this.#deps.values.get(ref.digest);
        if (!value.ok) return value;
        list.push(value.value);
      }
      inputs[port] = list;
    }
    return ok(inputs);
  }

  /** Ports of a node whose values a predicate or condition reads. */
  #portsRead(node: string): Set<string> {
    const { edges, success } = this.state.opening;
    const ports = edges
      .filter((edge) => edge.from.node === node && edge.when !== undefined)
      .map((edge) => edge.from.port);
    const conditions = (success?.conditions ?? [])
      .filter((condition) => condition.port.node === node)
      .map((condition) => condition.port.port);
    return new Set([...ports, ...conditions].filter((port) => port !== errPort));
  }

  /** Asks a person; a question that is open makes the attempt give its cell up. */
  async ask(ctx: CallContext, request: ApprovalRequest): Promise<'approved' | 'denied' | 'pending'> {
    const answer = await this.questions.ask({ node: ctx.node, agent: ctx.agent }, request);
    const entry = this.#attempts.get(tapeKey(ctx.node, ctx.attempt));
    if (answer.type === 'pending' && entry !== undefined) entry.waits = { for: 'approval', action: answer.action };
    return answer.type;
  }

  #runLeftMs(): number {
    const limit = this.state.opening.policy.timeout_ms;
    if (limit === undefined) return Infinity;
    const sinceLast = this.state.phase === 'running' ? Math.max(0, this.driver.nowMs() - this.state.lastTsMs) : 0;
    return Math.max(1, limit - this.state.activeMs - sinceLast);
  }

  #armDeadline(): void {
    const left = this.#runLeftMs();
    this.#deadline?.[Symbol.dispose]();
    if (left === Infinity) return;
    this.#deadline = this.#deps.clock.after(left, () => {
      if (this.state.phase !== 'running') return;
      if (this.#runLeftMs() > 1) this.#armDeadline();
      else this.driver.send({ type: 'deadline' });
    });
  }
}

function emptyCaps({ name }: Bundle): Failure {
  return {
    code: 'CapabilityDenied',
    message: `agent ${name} asks for capabilities, and nothing of them is left: it can only compute`,
    hint: `who took what: rlp caps show ${name}`,
  };
}

const nothingUsed: Usage = { duration_ms: 0, fuel: 0, memory_bytes: 0, tokens: 0, usd_nano: 0 };

function isScalar(value: JsonValue): boolean {
  return typeof value === 'boolean' || typeof value === 'number' || (typeof value === 'string' && value.length <= 1024);
}

function seedText(seed: Uint8Array): string {
  return Buffer.from(seed).toString('hex');
}
