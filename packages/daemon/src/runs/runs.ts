/**
 * All runs of this daemon: submit, find, recover.
 *
 * 1. A run is accepted when its `run.accepted` is durable; from then on it goes to its end, whatever happens to the daemon.
 * 2. At start every run that was accepted and has not finished is folded from the ledger and goes on by itself.
 * 3. A run whose ledger refused an append is put away and recovered from disk until that succeeds.
 * 4. A trace id names one run for ever: submitted again, also after a restart, it is answered with that run or refused.
 */
import {
  digestJson,
  digestText,
  type Failure,
  failure,
  fromHex,
  isJsonObject,
  type JsonObject,
  newRunId,
  type Result,
  err,
  ok,
  toHex,
} from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import {
  type Agents,
  groupsOf,
  newState,
  type Opening,
  parseOpening,
  planOf,
  step,
  validateOpening,
} from '@runloop/openings';
import type { RunIdentity } from './driver.ts';
import { openingIdOf } from './opening-id.ts';
import { effectiveFor } from './effective.ts';
import { raisedIn } from './exhausted.ts';
import { loosenings, notInForce } from './gate.ts';
import { settleLostCalls } from './lost-calls.ts';
import { type ForkRequest, planFork } from './fork.ts';
import { type AgentPins } from './pin-of.ts';
import type { HostPerformer, RunDraft } from './ports.ts';
import { Run, type RunDeps, type RunOptions } from './run.ts';
import {
  againAs,
  type NestedTexts,
  type OpeningText,
  type Planned,
  type Submission,
  type Submitted,
  submitted,
  taken,
} from './submission.ts';
import { metaOf, readRun, spentOf, waitsOf } from './tape.ts';

/** Ends a run that a restored backup knows as unfinished. */
const restoredEnding: RunDraft = {
  kind: 'run.trace',
  level: 'warn',
  message: 'The run is being ended: the ledger was restored from a backup.',
  meta: {
    ending: { state: 'cancelled', reason: 'the ledger was restored from a backup; what it did since is not known' },
  },
};

/** How long to wait before a run whose ledger refused is recovered again. */
export const recoveryMs = 5000;
/** Version of the engine's rules, pinned in each run. */
export const engineVersion = '1';

export type RunsOptions = {
  readonly runsMax: number;
  readonly maxParallel: number;
  readonly bootId: string;
  readonly failOnEmpty?: boolean;
};

export class Runs {
  readonly #deps: RunDeps;
  readonly #options: RunsOptions;
  readonly #live = new Map<string, Run>();
  readonly #faults = new Map<string, Failure>();
  readonly #retries = new Set<Disposable>();
  /** Trace ids whose submission is being looked at. */
  readonly #submitting = new Set<string>();
  #closed = false;
  #restoredAt = 0;
  #draining = false;

  constructor(deps: RunDeps, options: RunsOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  get(traceId: string): Run | undefined {
    return this.#live.get(traceId);
  }

  live(): readonly Run[] {
    return [...this.#live.values()];
  }

  /** Runs whose events could not be written, and why. */
  faults(): ReadonlyMap<string, Failure> {
    return this.#faults;
  }

  /** The trust policy is another one: what may not run any more is stopped. */
  async recheck(): Promise<void> {
    await Promise.all([...this.#live.values()].map((run) => run.recheck()));
  }

  drain(): void {
    this.#draining = true;
  }

  async submit(request: Submission): Promise<Result<Submitted, Failure>> {
    return this.#alone(request.traceId, () => this.#submit(request));
  }

  /** A new run that takes everything before one node from the tape of another (fork.ts). */
  async fork(request: ForkRequest): Promise<Result<Submitted, Failure>> {
    return this.#alone(request.traceId, () => this.#fork(request));
  }

  /** One new run for one trace id at a time. */
  async #alone(traceId: string, begin: () => Promise<Result<Submitted, Failure>>): Promise<Result<Submitted, Failure>> {
    if (this.#draining)
      return err(failure('Busy', 'the daemon is stopping and takes no new runs', { hint: 'try again in a moment' }));
    if (this.#submitting.has(traceId)) return err(taken(traceId));
    this.#submitting.add(traceId);
    try {
      return await begin();
    } finally {
      this.#submitting.delete(traceId);
    }
  }

  async #fork(request: ForkRequest): Promise<Result<Submitted, Failure>> {
    const first = await this.#firstOf(request.traceId);
    if (!first.ok) return first;
    const forked_from = { trace_id: request.of, at: request.at };
    if (first.value !== undefined) {
      const { actor, name, forked_from: before } = metaOf(first.value);
      if (digestJson(before ?? null) !== digestJson(forked_from) || actor !== request.actor)
        return err(taken(request.traceId));
      return ok(submitted(request.traceId, String(first.value.payload?.['run_id']), String(name), true));
    }
    const rows = await readRun(this.#deps.ledger, request.of);
    if (!rows.ok) return rows;
    const fork = await planFork(this.#deps, rows.value, request);
    if (!fork.ok) return fork;
    const { opening, pins, seed, prefix, folder } = fork.value;
    const openingId = openingIdOf(opening);
    if (!openingId.ok) return openingId;
    const full = this.#full(opening.nodes.length - prefix.length);
    if (full !== undefined) return err(full);
    const { model } = request;
    const more = { forked_from, ...(model === undefined ? {} : { model }) };
    return this.#accept(
      { ...request, seed, folder },
      opening,
      openingId.value,
      pins,
      { trusted: false, trustedGroups: new Set() },
      more,
      prefix,
    );
  }

  async #firstOf(traceId: string): Promise<Result<StoredEvent | undefined, Failure>> {
    const rows = await this.#deps.ledger.runEvents({ traceId, max: 1 });
    return rows.ok ? ok(rows.value.events[0]) : rows;
  }

  /** Why so many more nodes, in one run more, are too many. Asked last: many at once do not slip past together. */
  #full(nodes: number): Failure | undefined {
    const { slots } = this.#deps;
    if (slots.waiting + nodes > slots.waitingMax)
      return failure(
        'LimitExceeded',
        `${slots.waiting} nodes wait for a slot, with this run's it would be more than ${slots.waitingMax}`,
        { hint: 'wait, or raise daemon.nodes_waiting_max' },
      );
    if (this.#live.size < this.#options.runsMax) return undefined;
    return failure(
      'LimitExceeded',
      `${this.#live.size} runs are under way, at most ${this.#options.runsMax} are allowed`,
      { hint: 'wait, or raise daemon.runs_max' },
    );
  }

  async #submit(request: Submission): Promise<Result<Submitted, Failure>> {
    const opening = await this.check(request, request.params, request.nested);
    if (!opening.ok) return opening;
    const openingId = openingIdOf(opening.value);
    if (!openingId.ok) return openingId;
    const first = await this.#firstOf(request.traceId);
    if (!first.ok) return first;
    if (first.value !== undefined) return againAs(request, opening.value.name, openingId.value, first.value);
    const pins = Object.create(null) as { [agent: string]: string };
    const used = [...new Set(opening.value.nodes.map(({ use }) => use.name))];
    const bundles = await Promise.all(used.map((name) => this.#deps.agents.pin(name)));
    for (const [i, bundle] of bundles.entries()) {
      if (!bundle.ok) return bundle;
      pins[used[i] ?? ''] = bundle.value.digest;
      for (const node of opening.value.nodes.filter(({ use }) => use.name === used[i])) {
        const effective = effectiveFor(bundle.value, node, { homeDir: this.#deps.homeDir, folder: request.folder });
        if (!effective.ok) return effective;
        for (const warning of effective.value.warnings)
          this.#deps.log.log('warn', warning, { trace_id: request.traceId, agent: used[i] });
      }
    }
    const full = this.#full(opening.value.nodes.length);
    if (full !== undefined) return err(full);
    const trusted = loosenings(opening.value).length > 0 && this.#deps.operator.trusts(digestText(request.text));
    const trustedGroups: ReadonlySet<string> = trusted ? this.#trustedGroups(opening.value) : new Set();
    return this.#accept(request, opening.value, openingId.value, pins, { trusted, trustedGroups });
  }

  /** The opening resolved against the agents that are here; a refusal carries the diagnostics. */
  async check(source: OpeningText, params: JsonObject, nested?: NestedTexts): Promise<Result<Opening, Failure>> {
    const checked = await this.#check(source, params, nested);
    return checked.ok ? ok(checked.value.opening) : checked;
  }

  /** What `rlp plan` shows, with what the opening asks for that only counts once its text is trusted. */
  async plan(source: OpeningText, params: JsonObject, nested?: NestedTexts): Promise<Result<Planned, Failure>> {
    const checked = await this.#check(source, params, nested);
    if (!checked.ok) return checked;
    const { opening, agents } = checked.value;
    const digest = digestText(source.text);
    const trusted = this.#deps.operator.trusts(digest);
    const agreed = this.#trustedGroups(opening);
    const not_in_force = notInForce(opening, trusted, agreed);
    const plan = planOf(opening, agents);
    const nodes = plan.nodes.map((node) =>
      groupsOf(opening, node.id).every(({ id }) => agreed.has(id))
        ? node
        : { ...node, flow: { ...node.flow, confirmed: true } },
    );
    return ok({ ...plan, nodes, digest, trusted, not_in_force });
  }

  async #check(
    { file, text }: OpeningText,
    params: JsonObject,
    nested: NestedTexts = new Map(),
  ): Promise<Result<{ readonly opening: Opening; readonly agents: Agents }, Failure>> {
    const parsed = parseOpening(file, text);
    const inner = new Map(
      [...nested].map(([name, one]) => [
        name,
        { parsed: parseOpening(one.file, one.text), digest: digestText(one.text) },
      ]),
    );
    const nodes = [parsed, ...[...inner.values()].map((one) => one.parsed)].flatMap(
      ({ opening }) => opening?.nodes ?? [],
    );
    const names = nodes.filter(({ use }) => use.kind === 'agent').map(({ use }) => use.name);
    const interfaces = await this.#deps.agents.interfaces(names);
    if (!interfaces.ok) return interfaces;
    const opening = validateOpening(parsed, interfaces.value, params, inner);
    if (opening !== undefined) return ok({ opening, agents: interfaces.value });
    const diagnostics = parsed.diagnostics.list;
    const errors = diagnostics.filter((item) => item.severity === 'error').length + parsed.diagnostics.dropped;
    return err(
      failure('InvalidOpening', `${file}: ${errors} error${errors === 1 ? '' : 's'}`, {
        details: { diagnostics: diagnostics },
      }),
    );
  }

  async #accept(
    request: Pick<Submission, 'traceId' | 'actor' | 'priority' | 'onConfirm' | 'seed' | 'folder'>,
    opening: Opening,
    openingId: string,
    pins: AgentPins,
    { trusted, trustedGroups }: Pick<RunOptions, 'trusted' | 'trustedGroups'>,
    more: { readonly forked_from?: JsonObject; readonly model?: string } = {},
    prefix: readonly RunDraft[] = [],
  ): Promise<Result<Submitted, Failure>> {
    const seed = request.seed === undefined ? this.#deps.random.bytes(32) : fromHex(request.seed);
    const identity: RunIdentity = {
      traceId: request.traceId,
      runId: newRunId(this.#deps.random),
      openingId,
      actor: request.actor,
      priority: request.priority,
    };
    const missing = notInForce(opening, trusted, trustedGroups);
    const run = this.#make(identity, opening, seed, {
      onConfirm: request.onConfirm,
      pins,
      trusted,
      trustedGroups,
      model: more.model,
      folder: request.folder,
    });
    for (const { meta } of prefix) run.memory.take(meta);
    this.#live.set(request.traceId, run);
    const accepted: RunDraft = {
      kind: 'run.accepted',
      level: 'info',
      message: `The run of ${opening.name} was accepted.`,
      meta: {
        name: opening.name,
        params: opening.params,
        seed: toHex(seed),
        priority: request.priority,
        opening: opening,
        agents: pins,
        engine: engineVersion,
        on_confirm: request.onConfirm,
        actor: request.actor,
        max_parallel: this.#options.maxParallel,
        ...(request.folder === undefined ? {} : { folder: request.folder }),
        ...more,
        ...(trusted ? { trusted } : {}),
        ...(trustedGroups.size === 0 ? {} : { trusted_groups: [...trustedGroups] }),
        ...(missing.length === 0 ? {} : { not_in_force: missing }),
      },
    };
    const recorded = await run.driver.record([accepted, ...prefix]);
    if (!recorded.ok) {
      this.#live.delete(request.traceId);
      this.#faults.delete(request.traceId);
      return recorded;
    }
    return ok(submitted(request.traceId, identity.runId, opening.name, false));
  }

  #trustedGroups({ groups = [] }: Opening): ReadonlySet<string> {
    return new Set(groups.filter(({ digest }) => this.#deps.operator.trusts(digest)).map(({ id }) => id));
  }

  #make(
    identity: RunIdentity,
    opening: Opening,
    seed: Uint8Array,
    given: Omit<RunOptions, 'ended' | 'failOnEmpty' | 'openOf'>,
    rows: readonly StoredEvent[] = [],
  ): Run {
    const state = newState(opening, seed, this.#options.maxParallel);
    const { failOnEmpty = false } = this.#options;
    const options = {
      ...given,
      failOnEmpty,
      openOf: (agent: string) => this.live().reduce((sum, run) => sum + run.questions.openOf(agent), 0),
      ended: (run: Run, fault?: Failure) => this.#ended(run, fault),
    };
    return new Run(this.#deps, identity, state, options, rows);
  }

  /** Takes up every run that had not finished; answers how many. */
  async recover(): Promise<Result<number, Failure>> {
    const open = await this.#deps.ledger.openRuns();
    if (!open.ok) return open;
    const restored = await this.#deps.ledger.restoredAt();
    if (!restored.ok) return restored;
    this.#restoredAt = restored.value;
    // What each of them may have spent is booked before any of them spends more: they share budgets.
    const ready: (() => Promise<void>)[] = [];
    for (const traceId of open.value) {
      const resume = await this.#takeUp(traceId);
      if (resume !== undefined) ready.push(resume);
    }
    for (const resume of ready) await resume();
    return ok(open.value.length);
  }

  async #recoverOne(traceId: string): Promise<void> {
    await (
      await this.#takeUp(traceId)
    )?.();
  }

  /** Makes the run again from its events and books what it has spent; the answer lets it go on. */
  async #takeUp(traceId: string): Promise<(() => Promise<void>) | undefined> {
    if (this.#closed || this.#live.has(traceId)) return undefined;
    const rows = await readRun(this.#deps.ledger, traceId);
    if (!rows.ok) {
      this.#again(traceId, rows.error);
      return undefined;
    }
    if (rows.value.length === 0) {
      // Its run.accepted was the event that the ledger refused: there never was such a run.
      this.#faults.delete(traceId);
      return undefined;
    }
    const run = this.#fold(traceId, rows.value);
    if (!run.ok) {
      this.#deps.log.log('error', 'a run cannot be recovered', { trace_id: traceId, reason: run.error.message });
      this.#faults.set(traceId, run.error);
      return undefined;
    }
    if (run.value.driver.finished) return undefined;
    this.#live.set(traceId, run.value);
    this.#faults.delete(traceId);
    this.#deps.recovered(traceId, spentOf(rows.value));
    for (const raised of raisedIn(rows.value)) this.#deps.performer.raise?.(raised);
    return this.#settled(run.value, rows.value);
  }

  #fold(traceId: string, rows: readonly StoredEvent[]): Result<Run, Failure> {
    const [first] = rows;
    const accepted = first === undefined ? {} : metaOf(first);
    if (first?.kind !== 'run.accepted' || !isJsonObject(accepted['opening'])) {
      return err(failure('StorageCorrupt', `run ${traceId} does not begin with run.accepted`));
    }
    const identity: RunIdentity = {
      traceId,
      runId: String(first.payload?.['run_id']),
      openingId: String(first.payload?.['opening_id']),
      actor: String(accepted['actor']),
      priority: Number(accepted['priority'] ?? 0),
    };
    const run = this.#make(
      identity,
      accepted['opening'] as unknown as Opening,
      fromHex(String(accepted['seed'])),
      {
        onConfirm: accepted['on_confirm'] === 'deny' ? 'deny' : 'wait',
        pins: (accepted['agents'] ?? {}) as AgentPins,
        model: typeof accepted['model'] === 'string' ? accepted['model'] : undefined,
        folder: typeof accepted['folder'] === 'string' ? accepted['folder'] : undefined,
        trusted: accepted['trusted'] === true,
        trustedGroups: new Set((accepted['trusted_groups'] ?? []) as readonly string[]),
      },
      rows,
    );
    for (const row of rows) {
      const meta = metaOf(row);
      step(run.state, { type: 'fact', kind: row.kind as RunDraft['kind'], tsMs: row.ts_ms, meta });
      run.driver.actions.fold(row.kind as RunDraft['kind'], meta);
    }
    return ok(run);
  }

  /** Books the calls whose answer was lost, and answers how the run goes on. */
  async #settled(run: Run, rows: readonly StoredEvent[]): Promise<() => Promise<void>> {
    const { values, performer } = this.#deps;
    const forfeit: HostPerformer['forfeit'] = (op, args, spender) =>
      performer.forfeit?.(op, run.performed(op, args) as JsonObject, spender);
    const lost = await settleLostCalls({ values, performer: { forfeit } }, rows, (node, attempt) =>
      run.spenderOf(node, attempt),
    );
    const waits = waitsOf(rows);
    // It may have gone on after the backup was made, and what it did then would be done again.
    const isPast = (rows[0]?.id ?? 0) < this.#restoredAt;
    return () => this.#resume(run, [...(isPast ? [restoredEnding] : []), ...lost], waits);
  }

  async #resume(run: Run, before: readonly RunDraft[], waits: ReadonlyMap<string, string>): Promise<void> {
    for (const node of run.state.nodes) if (node.phase === 'running') run.driver.takeSlot();
    const recovered: RunDraft = {
      kind: 'run.recovered',
      level: 'warn',
      message: 'The run goes on after a restart of the daemon.',
      meta: { boot: this.#options.bootId },
    };
    const recorded = await run.driver.record([...before, recovered]);
    if (!recorded.ok) return;
    for (const action of run.driver.actions.pending())
      run.questions.expireLater(action.id, action.hash, action.expiresMs);
    for (const [node, action] of waits) run.questions.wakeIfDecided(node, action);
  }

  #ended(run: Run, fault: Failure | undefined): void {
    const { traceId } = run.driver.identity;
    this.#live.delete(traceId);
    if (fault !== undefined) this.#again(traceId, fault);
  }

  #again(traceId: string, fault: Failure): void {
    this.#faults.set(traceId, fault);
    this.#deps.log.log('error', 'a run was put away: its events cannot be written', {
      trace_id: traceId,
      code: fault.code,
      reason: fault.message,
    });
    if (this.#closed) return;
    const timer = this.#deps.clock.after(recoveryMs, () => {
      this.#retries.delete(timer);
      void this.#recoverOne(traceId);
    });
    this.#retries.add(timer);
  }

  /** Stops driving; the runs go on at the next start. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#retries) timer[Symbol.dispose]();
    for (const run of this.#live.values()) run.close();
    this.#live.clear();
  }
}
