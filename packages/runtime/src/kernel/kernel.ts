/**
 * The capability kernel: the one door between agents and everything else (A8).
 *
 * Each call goes through the same steps:
 * 1. the table of operations says what it is; what the table does not know is refused;
 * 2. the effective capabilities cover it, or it is refused, audited, and the error names the missing grant;
 * 3. the tape answers it if it was recorded; another call in its place is a divergence;
 * 4. an action that leaves, or that would take what carries a label to where it may not go unasked, is approved together
 *    with what its arguments refer to, or waits, or is denied;
 * 5. its intent is durable, then it is performed, then its result is durable, and only then the agent sees it (A6).
 *
 * A `once` call that was begun and has no result is never begun again: the attempt is suspended as `unknown_outcome`.
 * The kernel performs nothing itself and knows no socket, file or database: the daemon joins its ports.
 */
import {
  type Digest,
  type JsonValue,
  type Label,
  canonicalJson,
  cleanLabel,
  digestJson,
  digestText,
  eventLevelsMax,
  joinLabels,
  readBy,
  wellFormed,
} from '@runloop/core';
import type { Caps } from '../caps.ts';
import type { HostAnswer, HostCalls } from '../outcome.ts';
import { callId } from './call-id.ts';
import { type Sink, leakOf, taintOf } from './flow.ts';
import { type Verdict, isReadingCommand, judge } from './grants.ts';
import { type Operation, type RetryClass, operation } from './operations.ts';

export type CallResult =
  | { readonly ok: true; readonly value: JsonValue; readonly label?: Label }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly retryable: boolean };

export type RecordedCall = {
  readonly index: number;
  readonly call: string;
  readonly op: string;
  readonly args_hash: string;
  readonly cls: RetryClass;
  readonly result?: CallResult;
  /** Of what was answered. */
  readonly label?: Label;
};

/** What was decided about a request; `edited` are other arguments, about which is asked in their turn. */
export type ApprovalAnswer = 'approved' | 'denied' | 'pending' | { readonly edited: JsonValue };

export type CallContext = {
  readonly agent: string;
  readonly run_id: string;
  readonly trace_id: string;
  readonly node: string;
  readonly attempt: number;
  readonly caps: Caps;
};

export type KernelContext = CallContext & {
  /** The calls that this attempt made before. */
  readonly tape: readonly RecordedCall[];
  /** `once` calls of earlier attempts of this node. */
  readonly earlier?: readonly RecordedCall[];
  /** Of everything that the node was given. */
  readonly label?: Label;
  readonly mode: 'live' | 'replay';
};

/** A call on its way: what is journalled before it is performed. */
export type CallRecord = RecordedCall & {
  readonly args: JsonValue;
  /** What is performed in place of what the agent asked for: a person has edited it. */
  readonly performed?: { readonly args: JsonValue; readonly args_hash: Digest };
};

export type ApprovalRequest = {
  readonly call: string;
  readonly op: string;
  readonly args: JsonValue;
  readonly args_hash: string;
  readonly target: string;
  readonly referents?: Referents;
  /** The operation is asked about whatever it carries. */
  readonly always: boolean;
  /** Of all that the agent has seen by now. */
  readonly label: Label;
  /** Where it would take what the label says, if that is why it is asked about. */
  readonly leak?: Sink;
};

/** What whoever performs a call may know beside its arguments. */
export type PerformContext = CallContext & {
  readonly call: string;
  /** Of all that the agent has seen by now: what it writes carries it. */
  readonly label: Label;
  /** A person has agreed to this very call. */
  readonly approved: boolean;
};

/** Digests of what a call's arguments refer to, by what it is: an executable, a tool's schema. */
export type Referents = { readonly [what: string]: string };

export type CapAudit = {
  readonly agent: string;
  readonly cap: string;
  readonly op: string;
  readonly target: string;
  readonly args_hash: string;
  readonly decision: 'allow' | 'deny';
  readonly reason: string;
};

export type KernelPorts = {
  readonly journal: {
    /** Resolves when the intent is durable. */
    intent(record: CallRecord, ctx: CallContext): Promise<void>;
    /** Resolves when the result is durable. */
    result(record: CallRecord & { readonly result: CallResult }, ctx: CallContext): Promise<void>;
    /** Recorded with the next durable event. */
    note(record: CallRecord & { readonly result: CallResult }, ctx: CallContext): void;
  };
  readonly approvals: {
    /** `pending` gives the cell up; the attempt is run again over its tape when there is a decision. */
    ask(request: ApprovalRequest, ctx: CallContext): Promise<ApprovalAnswer>;
  };
  /** What a call needs beside the grant that the table names, and does not have. */
  missing?(op: string, args: JsonValue, ctx: PerformContext): Verdict | undefined;
  /** What the arguments of a call that is asked about refer to, as it is now. */
  referents?(op: string, args: JsonValue, ctx: PerformContext): Promise<Referents>;
  /** Whether a call of the table's `latent` rows is asked about; without it each of them is. */
  leaves?(op: string, args: JsonValue, ctx: CallContext): Promise<boolean>;
  /** Whether a model that takes private data serves this request. */
  cleared(args: JsonValue, ctx: CallContext): boolean;
  /** Undefined where the call was made and nobody knows what came of it; `waits` where it was not, and may be later. */
  perform(
    op: string,
    args: JsonValue,
    ctx: PerformContext,
    signal: AbortSignal,
  ): Promise<CallResult | 'waits' | undefined>;
  /** Told of every refusal and every grant that is used. */
  audit(audit: CapAudit, ctx: CallContext): void;
  line(stream: 'log' | 'stdout' | 'stderr', level: string, text: string, ctx: CallContext): void;
};

export type Divergence = {
  readonly index: number;
  readonly expected?: { readonly op: string; readonly args_hash: string };
  readonly actual: { readonly op: string; readonly args_hash: string; readonly args: JsonValue };
};

export type KernelDoor = HostCalls & {
  diverged(): Divergence | undefined;
  /** Of all that the agent has been given and told by now; what it answers carries it. */
  label(): Label;
  /** Resolves when no call is under way any more: of an attempt that is over, they have been told to stop. */
  settled(): Promise<void>;
};

export interface Kernel {
  open(ctx: KernelContext): KernelDoor;
}

export function createKernel(ports: KernelPorts): Kernel {
  return { open: (ctx) => new Door(ports, ctx) };
}

class Door implements KernelDoor {
  readonly #ports: KernelPorts;
  readonly #ctx: KernelContext;
  readonly #tape: ReadonlyMap<number, RecordedCall>;
  readonly #earlier: ReadonlyMap<string, RecordedCall>;
  readonly #equal = new Map<string, number>();
  #next = 0;
  #label: Label;
  #divergence: Divergence | undefined;
  readonly #underWay = new Set<Promise<HostAnswer>>();

  constructor(ports: KernelPorts, ctx: KernelContext) {
    this.#ports = ports;
    this.#ctx = ctx;
    this.#label = ctx.label ?? cleanLabel;
    this.#tape = new Map(ctx.tape.map((call) => [call.index, call]));
    this.#earlier = new Map((ctx.earlier ?? []).map((call) => [call.call, call]));
  }

  diverged(): Divergence | undefined {
    return this.#divergence;
  }

  label(): Label {
    return this.#label;
  }

  log(level: string, text: string): void {
    this.#ports.line('log', level, text, this.#ctx);
  }

  stdout(text: string): void {
    this.#ports.line('stdout', 'info', text, this.#ctx);
  }

  stderr(text: string): void {
    this.#ports.line('stderr', 'info', text, this.#ctx);
  }

  async call(op: string, args: JsonValue, signal: AbortSignal): Promise<HostAnswer> {
    const answer = this.#call(op, args, signal);
    this.#underWay.add(answer);
    try {
      return await answer;
    } finally {
      this.#underWay.delete(answer);
    }
  }

  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  async #call(op: string, args: JsonValue, signal: AbortSignal): Promise<HostAnswer> {
    const index = this.#next;
    this.#next += 1;
    const row = this.#operation(op, args);
    if (row === undefined) return this.#unknown(op.slice(0, 64), args);
    const canonical = canonicalJson(args, eventLevelsMax);
    if (!canonical.ok) return refusal('InvalidParams', `${op}: ${canonical.error.path}: ${canonical.error.why}`);
    const hash = digestText(canonical.value);
    const record = this.#record(index, op, args, hash, row);
    if (this.#ctx.mode === 'replay') return this.#replay(record);
    const verdict = this.#judge(record, row);
    if (!verdict.allowed) return this.#refuse(record, row, verdict);
    return this.#recorded(record) ?? this.#admit(record, row, verdict.target, signal);
  }

  /** Asks where somebody has to be asked, then performs; arguments that a person has edited begin anew at the grants. */
  async #admit(record: CallRecord, row: Operation, target: string, signal: AbortSignal): Promise<HostAnswer> {
    const { op, call } = record;
    const { args, args_hash } = record.performed ?? record;
    const leak = this.#leak(op, args);
    const always =
      row.approval || record.performed !== undefined || (row.latent === true && (await this.#leaves(op, args)));
    const asked = always || leak !== undefined;
    if (asked) {
      const referents = await this.#referents(record);
      const request = { call, op, args, args_hash, target, referents, always, label: this.#label };
      const decision = await this.#ports.approvals.ask(
        { ...request, ...(leak === undefined ? {} : { leak }) },
        this.#ctx,
      );
      if (typeof decision === 'object') return this.#edited(record, row, decision.edited, signal);
      if (decision === 'pending') return { type: 'suspend', reason: 'approval' };
      if (decision === 'denied') return this.#noted(record, denied(op));
      const changed = digestJson(await this.#referents(record)) !== digestJson(referents);
      if (changed) return this.#noted(record, changedSince(op));
    }
    return this.#perform(record, row, { approved: asked, target }, signal);
  }

  #edited(
    record: CallRecord,
    { cls }: Operation,
    args: JsonValue,
    signal: AbortSignal,
  ): Promise<HostAnswer> | HostAnswer {
    const edited = { ...record, performed: { args, args_hash: digestJson(args) } };
    const row = this.#operation(record.op, args);
    // It was begun, or was not, by the rules of what the agent asked for.
    if (row?.cls !== cls) return this.#noted(edited, editedAway(record.op));
    const verdict = this.#judge(edited, row);
    return verdict.allowed ? this.#admit(edited, row, verdict.target, signal) : this.#refuse(edited, row, verdict);
  }

  #judge(record: CallRecord, row: Operation): Verdict {
    const { args } = record.performed ?? record;
    const verdict = judge(this.#ctx.caps, row.capability, record.op, args);
    return verdict.allowed ? (this.#ports.missing?.(record.op, args, this.#about(record)) ?? verdict) : verdict;
  }

  #unknown(op: string, args: JsonValue): HostAnswer {
    const { agent } = this.#ctx;
    const reason = `there is no operation "${op}"`;
    const canonical = canonicalJson(args);
    const hash = canonical.ok ? digestText(canonical.value) : '';
    this.#ports.audit({ agent, cap: op, op, target: '', args_hash: hash, decision: 'deny', reason }, this.#ctx);
    return refusal('InvalidParams', reason);
  }

  async #leaves(op: string, args: JsonValue): Promise<boolean> {
    return (await this.#ports.leaves?.(op, args, this.#ctx)) ?? true;
  }

  /** A command that can only read is no way out, and may be repeated. */
  #operation(op: string, args: JsonValue): Operation | undefined {
    return isReadingCommand(this.#ctx.caps, op, args) ? readingCommand : operation(op, args);
  }

  #leak(op: string, args: JsonValue): Sink | undefined {
    if (isReadingCommand(this.#ctx.caps, op, args)) return undefined;
    const leak = leakOf(op, args, this.#label);
    return leak === 'model' && this.#ports.cleared(args, this.#ctx) ? undefined : leak;
  }

  async #referents(record: CallRecord): Promise<Referents> {
    const { args } = record.performed ?? record;
    return (await this.#ports.referents?.(record.op, args, this.#about(record))) ?? {};
  }

  /** A call that nobody has agreed to yet. */
  #about({ call }: CallRecord): PerformContext {
    return { ...this.#ctx, call, label: this.#label, approved: false };
  }

  #record(index: number, op: string, args: JsonValue, hash: Digest, row: Operation): CallRecord {
    const { run_id, node, attempt } = this.#ctx;
    const same = `${op} ${hash}`;
    const equal = this.#equal.get(same) ?? 0;
    this.#equal.set(same, equal + 1);
    return {
      index,
      call: callId({ run_id, node, attempt, index, equal }, row.cls, op, hash),
      op,
      args_hash: hash,
      cls: row.cls,
      args,
    };
  }

  /** What the record answers; undefined where the call has to be made. */
  #recorded(record: CallRecord): HostAnswer | undefined {
    const taped = this.#tape.get(record.index);
    if (taped !== undefined && !sameCall(taped, record)) return this.#diverge(record, taped);
    if (taped?.result !== undefined) return this.#told(taped.result, taped.label);
    const before = record.cls === 'once' ? (taped ?? this.#earlier.get(record.call)) : undefined;
    if (before === undefined) return undefined;
    if (before.result === undefined) return { type: 'suspend', reason: 'unknown_outcome' };
    return this.#noted({ ...record, ...(before.label === undefined ? {} : { label: before.label }) }, before.result);
  }

  /** What the agent is told becomes part of all that it does from here on. */
  #told(result: CallResult, label: Label | undefined): HostAnswer {
    if (label !== undefined) this.#label = joinLabels(this.#label, label);
    return answerOf(result);
  }

  #replay(record: CallRecord): HostAnswer {
    const taped = this.#tape.get(record.index);
    if (taped?.result === undefined || !sameCall(taped, record)) return this.#diverge(record, taped);
    return answerOf(taped.result);
  }

  #diverge(record: CallRecord, taped: RecordedCall | undefined): HostAnswer {
    this.#divergence ??= {
      index: record.index,
      ...(taped === undefined ? {} : { expected: { op: taped.op, args_hash: taped.args_hash } }),
      actual: { op: record.op, args_hash: record.args_hash, args: record.args },
    };
    return { type: 'suspend', reason: 'diverged' };
  }

  #refuse(
    record: CallRecord,
    row: Operation,
    verdict: { readonly target: string; readonly grant: string },
  ): HostAnswer {
    const { agent } = this.#ctx;
    this.#audit(record, row, verdict.target, `policy.caps does not grant it: ${verdict.grant}`);
    const message = `agent ${agent} may not use ${record.op}${verdict.target === '' ? '' : ` on ${verdict.target}`}; missing grant: ${verdict.grant}`;
    return this.#noted(record, { ok: false, code: 'CapabilityDenied', message, retryable: false });
  }

  /** Once for each call: an attempt that runs over its tape again is not told of twice. */
  #audit(
    { index, op, args_hash, performed }: CallRecord,
    { capability }: Operation,
    target: string,
    reason: string,
    decision: CapAudit['decision'] = 'deny',
  ): void {
    const { agent } = this.#ctx;
    const hash = performed?.args_hash ?? args_hash;
    const audit = { agent, cap: capability ?? op, op, target, args_hash: hash, decision, reason };
    if (!this.#tape.has(index)) this.#ports.audit(audit, this.#ctx);
  }

  #noted(record: CallRecord, result: CallResult): HostAnswer {
    if (!this.#tape.has(record.index)) this.#ports.journal.note({ ...record, result }, this.#ctx);
    return this.#told(result, record.label);
  }

  async #perform(
    record: CallRecord,
    row: Operation,
    { approved, target }: { readonly approved: boolean; readonly target: string },
    signal: AbortSignal,
  ): Promise<HostAnswer> {
    if (row.capability !== undefined) this.#audit(record, row, target, 'policy.caps grants it', 'allow');
    // Begun again after it was cut off, it is said again: what it cost before was lost.
    if (row.cls !== 'pure') await this.#ports.journal.intent(record, this.#ctx);
    const ctx = { ...this.#ctx, call: record.call, label: this.#label, approved };
    const { args } = record.performed ?? record;
    const performed = await this.#ports.perform(record.op, args, ctx, signal);
    if (performed === 'waits') return { type: 'suspend', reason: 'budget' };
    if (performed === undefined) return { type: 'suspend', reason: 'unknown_outcome' };
    const result = keepable(performed);
    if (!result.ok && result.code === 'CapabilityDenied') this.#audit(record, row, target, result.message);
    const told = joinLabels(
      taintOf(record.op, args, this.#ctx.caps),
      (result.ok ? result.label : undefined) ?? cleanLabel,
    );
    const label = readBy(told, this.#ctx.node);
    const done = { ...record, result, ...(label === cleanLabel || label.sources.length === 0 ? {} : { label }) };
    if (row.cls === 'pure') this.#ports.journal.note(done, this.#ctx);
    else await this.#ports.journal.result(done, this.#ctx);
    return this.#told(result, label);
  }
}

/** Whoever answers may answer with half a character, which no event can hold. */
function keepable(result: CallResult): CallResult {
  return result.ok
    ? { ...result, value: wellFormed(result.value) }
    : { ...result, message: result.message.toWellFormed() };
}

const readingCommand: Operation = { cls: 'pure', capability: 'exec', approval: false };

function denied(op: string): CallResult {
  return { ok: false, code: 'ApprovalDenied', message: `${op} was not approved`, retryable: false };
}

function editedAway(op: string): CallResult {
  const message = `${op}: its arguments were edited into another kind of call; it was not performed`;
  return { ok: false, code: 'InvalidParams', message, retryable: false };
}

function changedSince(op: string): CallResult {
  const message = `${op}: what its arguments refer to changed after it was approved; it was not performed`;
  return { ok: false, code: 'Conflict', message, retryable: false };
}

function sameCall(taped: RecordedCall, record: RecordedCall): boolean {
  return taped.op === record.op && taped.args_hash === record.args_hash;
}

function answerOf(result: CallResult): HostAnswer {
  if (result.ok) return { type: 'value', value: result.value };
  const { code, message, retryable } = result;
  return { type: 'error', code, message, retryable };
}

function refusal(code: string, message: string): HostAnswer {
  return { type: 'error', code, message, retryable: false };
}
