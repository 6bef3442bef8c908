/**
 * Drives one run: folds news through the engine, makes the resulting events durable, then acts on them.
 *
 * D1. One turn at a time, and one place that waits: the ledger's answer.
 * D2. All that a turn decides is one ledger transaction; nothing is published or performed before it is durable (A6).
 * D3. `seq` is given here and nowhere else, in the order in which events reach the ledger.
 * D4. When the ledger refuses, the driver stops and says so: memory may not run ahead of the disk. Recovery begins anew.
 */
import {
  type Clock,
  type Failure,
  isStreamedKind,
  type Log,
  type Result,
  err,
  ok,
  type RunEvent,
  wellFormed,
} from '@runloop/core';
import { type Effect, finalPhases, type RunState, type Signal, step } from '@runloop/openings';
import { Actions } from './actions.ts';
import type { BlobDraft, EventDraft } from '@runloop/kb';
import type { RunDraft, RunLedger, RunPublisher } from './ports.ts';
import type { Scrubber } from '../secrets/scrubber.ts';
import type { Slots } from './slots.ts';

/** News that one turn takes; the rest waits for the next, so that no transaction grows without end. */
export const turnInputsMax = 512;
/** Notes that wait for a durable event to go with; one more and they are made durable by themselves. */
export const notesMax = 256;

export type RunIdentity = {
  readonly traceId: string;
  readonly runId: string;
  readonly openingId: string;
  readonly actor: string;
  readonly priority: number;
};

export type DriverDeps = {
  readonly clock: Clock;
  readonly log: Log;
  readonly ledger: RunLedger;
  readonly publisher: RunPublisher;
  readonly slots: Slots;
  /** Takes secrets out of whatever is told. */
  readonly scrubber: Scrubber;
};

/** What the driver asks of its owner once an event is durable. */
export interface Performer {
  start(node: string, index: number, attempt: number): void;
  stop(node: string, attempt: number, reason: string): void;
  finished(): void;
  faulted(failure: Failure): void;
}

type Input =
  | {
      readonly type: 'signal';
      readonly signal: Signal;
      readonly blobs: readonly BlobDraft[];
      readonly done?: (result: Result<boolean, Failure>) => void;
    }
  | {
      readonly type: 'record';
      readonly drafts: readonly RunDraft[];
      readonly provenance: RunDraft['meta'];
      readonly done: (result: Result<void, Failure>) => void;
    };

export class RunDriver {
  readonly state: RunState;
  readonly identity: RunIdentity;
  readonly actions: Actions = new Actions();
  readonly #deps: DriverDeps;
  readonly #performer: Performer;
  readonly #inputs: Input[] = [];
  readonly #timers = new Set<Disposable>();
  /** Monotonic time at which the run's own time last moved. */
  #movedAt: number;
  #turning = false;
  #stopped = false;
  /** Slots this run holds. */
  #held = 0;
  #batch: { draft: EventDraft; event: RunEvent }[] = [];
  #blobs: BlobDraft[] = [];
  #after: Effect[] = [];

  constructor(deps: DriverDeps, identity: RunIdentity, state: RunState, performer: Performer) {
    this.#deps = deps;
    this.identity = identity;
    this.state = state;
    this.#performer = performer;
    this.#movedAt = deps.clock.monotonicMs();
  }

  /** The run's time: the wall clock's, but for a clock that was set back: then it goes on from the last event. */
  nowMs(): number {
    const wallMs = this.#deps.clock.nowMs();
    const { lastTsMs } = this.state;
    if (wallMs >= lastTsMs) return wallMs;
    return lastTsMs + Math.floor(this.#deps.clock.monotonicMs() - this.#movedAt);
  }

  get finished(): boolean {
    return finalPhases.has(this.state.phase);
  }

  /** `blobs` are what the signal names and is not durable yet. */
  send(signal: Signal, blobs: readonly BlobDraft[] = []): void {
    this.#inputs.push({ type: 'signal', signal, blobs });
    this.#kick();
  }

  /** The same, answered once what came of it is durable: whether anything did. */
  order(signal: Signal): Promise<Result<boolean, Failure>> {
    if (this.#stopped) return Promise.resolve(err(stoppedFailure));
    return new Promise((done) => {
      this.#inputs.push({ type: 'signal', signal, blobs: [], done });
      this.#kick();
    });
  }

  /** Makes events durable as part of this run; answered when they are. */
  record(drafts: readonly RunDraft[], provenance: RunDraft['meta'] = {}): Promise<Result<void, Failure>> {
    if (this.#stopped) return Promise.resolve(err(stoppedFailure));
    return new Promise((done) => {
      this.#inputs.push({ type: 'record', drafts, provenance, done });
      this.#kick();
    });
  }

  /** The same with the next event that is made durable; never waited for. */
  note(drafts: readonly RunDraft[], provenance: RunDraft['meta'] = {}): void {
    this.#inputs.push({ type: 'record', drafts, provenance, done: () => undefined });
    if (this.#inputs.length > notesMax) this.#kick();
  }

  /** A bounded, lossy event: shown if somebody looks, never stored. */
  lossy(kind: 'node.stdout' | 'node.stderr' | 'model.delta', message: string, meta: RunDraft['meta']): void {
    this.#deps.publisher.lossy(
      this.#event({ kind, level: 'info', message, meta }, undefined, this.#deps.clock.nowMs()),
    );
  }

  /** A node's attempt is over: its slot is free. */
  releaseSlot(): void {
    if (this.#held === 0) return;
    this.#held -= 1;
    this.#deps.slots.release();
  }

  takeSlot(): void {
    this.#held += 1;
    this.#deps.slots.take();
  }

  /** Ends the driver without ending the run. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
    this.#deps.slots.forget(this.identity.traceId);
    while (this.#held > 0) this.releaseSlot();
    for (const input of this.#inputs.splice(0)) input.done?.(err(stoppedFailure));
  }

  /** What a run needs cannot be stored: it is put away, and goes on when that is over. */
  fault(failure: Failure): void {
    if (this.#stopped) return;
    this.stop();
    this.#performer.faulted(failure);
  }

  #kick(): void {
    if (this.#turning || this.#stopped) return;
    this.#turning = true;
    void this.#turn();
  }

  async #turn(): Promise<void> {
    // Whoever called has more to say in the same tick as often as not.
    await Promise.resolve();
    while (this.#inputs.length > 0 && !this.#stopped) {
      const waiters: ((result: Result<void, Failure>) => void)[] = [];
      for (const input of this.#inputs.splice(0, turnInputsMax)) {
        if (input.type === 'signal') {
          this.#blobs.push(...input.blobs);
          const effects = step(this.state, input.signal);
          this.#fold(effects);
          const { done } = input;
          if (done !== undefined) waiters.push((written) => done(written.ok ? ok(effects.length > 0) : written));
        } else if (this.finished) input.done(err(stoppedFailure));
        else {
          this.#fold(
            input.drafts.map(({ blobs = [], ...draft }) => {
              this.#blobs.push(...blobs);
              return { type: 'append' as const, ...draft };
            }),
            input.provenance,
          );
          waiters.push(input.done);
        }
      }
      if (this.#inputs.length === 0) this.#fold(step(this.state, { type: 'idle' }));
      const batch = this.#batch;
      const blobs = this.#blobs;
      const after = this.#after;
      this.#batch = [];
      this.#blobs = [];
      this.#after = [];
      const drafts = batch.map((item) => item.draft);
      const written = batch.length === 0 ? ok([]) : await this.#deps.ledger.append(drafts, blobs);
      // A question is nobody's to see, and an answer nobody's to act on, before it is durable.
      if (written.ok) for (const { event } of batch) this.actions.fold(event.kind, event.meta);
      for (const done of waiters) done(written.ok ? ok(undefined) : written);
      if (!written.ok) return this.fault(written.error);
      for (const { event } of batch) if (event.seq !== undefined) this.#deps.publisher.published(event);
      for (const effect of after) this.#perform(effect);
    }
    this.#turning = false;
    if (this.#inputs.length > 0) this.#kick();
  }

  #fold(effects: readonly Effect[], provenance: RunDraft['meta'] = {}): void {
    const queue = [...effects];
    for (let at = 0; at < queue.length; at += 1) {
      const effect = queue[at];
      if (effect === undefined) return;
      if (effect.type === 'append') queue.push(...this.#append(effect, provenance));
      else if (effect.type === 'enqueue') queue.push(...this.#enqueue(effect.node));
      else this.#after.push(effect);
    }
  }

  #append(draft: RunDraft, provenance: RunDraft['meta']): Effect[] {
    const tsMs = this.nowMs();
    if (tsMs > this.state.lastTsMs) this.#movedAt = this.#deps.clock.monotonicMs();
    const next = step(this.state, { type: 'fact', kind: draft.kind, tsMs, meta: draft.meta });
    const seq = isStreamedKind(draft.kind) ? this.state.seq : undefined;
    const event = this.#event(draft, seq, tsMs);
    const { run_id, opening_id, level, message, meta } = event;
    this.#batch.push({
      event,
      draft: {
        ts_ms: tsMs,
        actor: this.identity.actor,
        kind: draft.kind,
        scope: `run/${this.identity.traceId}`,
        payload: { run_id, opening_id, level, message, meta, ...(seq === undefined ? {} : { seq }) },
        provenance: { run: this.identity.traceId, ...provenance },
        trace_id: this.identity.traceId,
        ...(seq === undefined ? {} : { run_seq: seq }),
        ...(draft.kind === 'run.accepted' ? { dedupe_key: `run/${this.identity.traceId}` } : {}),
      },
    });
    return next;
  }

  /** Asks for a slot; one that is free at once makes the node start in this very turn. */
  #enqueue(node: string): Effect[] {
    let inThisTurn: Effect[] | undefined = [];
    const grant = (): boolean => {
      if (this.#stopped) return false;
      const effects = step(this.state, { type: 'slot', node });
      if (effects.length === 0) return false;
      this.#held += 1;
      if (inThisTurn === undefined) this.send({ type: 'slot', node });
      else inThisTurn.push(...effects);
      return true;
    };
    this.#deps.slots.request(this.identity.traceId, this.identity.priority, grant);
    const effects = inThisTurn;
    inThisTurn = undefined;
    return effects;
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'start':
        return this.#performer.start(effect.node, effect.index, effect.attempt);
      case 'stop':
        return this.#performer.stop(effect.node, effect.attempt, effect.reason);
      case 'timer':
        return this.later(effect.delayMs, () => this.send({ type: 'timer', node: effect.node }));
      case 'finished':
        this.stop();
        return this.#performer.finished();
      case 'append':
      case 'enqueue':
        return;
    }
    effect satisfies never;
  }

  /** Calls `fn` later, unless the driver has stopped by then. */
  later(delayMs: number, fn: () => void): void {
    if (this.#stopped) return;
    const timer = this.#deps.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      fn();
    });
    this.#timers.add(timer);
  }

  #event(draft: RunDraft, seq: number | undefined, tsMs: number): RunEvent {
    return {
      ...(seq === undefined ? {} : { seq }),
      ts_ms: tsMs,
      trace_id: this.identity.traceId,
      run_id: this.identity.runId,
      opening_id: this.identity.openingId,
      kind: draft.kind,
      level: draft.level,
      message: this.#deps.scrubber.scrub(draft.message).toWellFormed(),
      meta: wellFormed(this.#deps.scrubber.scrubJson(draft.meta)),
    };
  }
}

const stoppedFailure: Failure = { code: 'Cancelled', message: 'the run has ended or its driver was stopped' };
