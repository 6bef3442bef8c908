/**
 * A daemon's runs on a simulated world: the real engine, ledger, kernel, broker and bus, wired as the daemon wires them, on
 * a clock and in an order that the schedule decides; life after life over one state directory.
 *
 * Beside it stand the people: a client who submits until it is told that the run is accepted, and an operator who answers
 * every question, truthfully where a call was cut off, for it can look into the world's books.
 */
import { type Bus, createBus, defaultBusLimits, type Principal } from '@runloop/bus';
import {
  type Clock,
  type Config,
  err,
  type Failure,
  type JsonObject,
  type Log,
  ok,
  type Random,
  type Result,
  type RunEvent,
  type TraceId,
  unwrap,
} from '@runloop/core';
import { type Kb, openKb, type StoredEvent } from '@runloop/kb';
import { createDecoder, createRegistry, type Decoded, schema } from '@runloop/rmp';
import { type Cells, createFetcher, createFiles, createSchemaChecks } from '@runloop/runtime';
import { actionOperations } from '../control/action-operations.ts';
import { createControl } from '../control/control.ts';
import { createModels, type Models } from '../host/models.ts';
import { createPerformer } from '../host/performer.ts';
import type { AgentSource, HostPerformer } from '../runs/ports.ts';
import type { Submission } from '../runs/submission.ts';
import { readRun } from '../runs/tape.ts';
import type { Values } from '../runs/values.ts';
import { Scrubber } from '../secrets/scrubber.ts';
import type { Secrets } from '../secrets/store.ts';
import { type WiredRuns, wireRuns } from '../wire-runs.ts';
import { type Crash, type Life, Schedule } from './schedule.ts';
import { type Faults, scheduledAgents, scheduledCells, scheduledKb } from './scheduled.ts';
import { noSecrets, World, worldModels } from './world.ts';

export type StageParts = {
  /** The state directory: a ledger may stand in it already. */
  readonly dir: string;
  readonly config: Config;
  readonly agents: AgentSource;
  readonly cells: Cells;
  /** What cells, files and schema checks go by: the real one. */
  readonly realClock: Clock;
  readonly random: Random;
  readonly startMs: number;
  readonly homeDir: string;
  /** Folders that no agent sees. */
  readonly hidden: readonly string[];
  readonly faults?: Faults & { readonly provider?: () => boolean };
  /** Changes how calls are performed: what is broken on purpose is found. */
  readonly around?: (real: HostPerformer) => HostPerformer;
  /** What the operator says to a question; yes where left out. What was edited once is approved. */
  readonly answers?: (op: string, call: string) => 'approve' | 'deny' | 'edit';
};

export type Asked = Omit<Submission, 'actor'>;

/** What an operator has to know of a request. */
type Question = {
  readonly action: string;
  readonly call: string;
  readonly hash: string;
  readonly op: string;
  readonly args: JsonObject;
  readonly replaces?: string;
};

const operator: Principal = { type: 'operator', id: 'operator:0', uid: 0, pid: 0, name: 'operator', grants: [] };
const noTrace = '0'.repeat(32) as TraceId;
const quiet: Log = { log: () => undefined };

export class Stage {
  readonly world: World;
  readonly schedule: Schedule;
  /** All that subscribers of the bus were told, in each life. */
  readonly heard: RunEvent[][] = [];
  /** The events of each run, as they stood when everything was over. */
  rows: readonly (readonly StoredEvent[])[] = [];
  readonly #parts: StageParts;
  readonly #finished = new Set<string>();
  readonly #accepted = new Set<string>();
  /** Why a run was not accepted. */
  #refusal: Failure | undefined;

  constructor(parts: StageParts) {
    this.#parts = parts;
    this.world = new World(parts.faults?.provider);
    this.schedule = new Schedule(parts.random, parts.startMs);
  }

  /** Runs everything to its end, over as many lives as it takes; each of `crashes` ends one. */
  async play(asked: readonly Asked[], crashes: readonly Crash[] = []): Promise<Result<'done' | 'stuck', Failure>> {
    const left = [...crashes];
    for (;;) {
      this.schedule.crash = left.shift();
      const ended = await this.#live(asked);
      if (this.#refusal !== undefined) return err(this.#refusal);
      if (ended !== 'crashed') return ok(ended);
    }
  }

  async #live(asked: readonly Asked[]): Promise<'done' | 'crashed' | 'stuck'> {
    const { dir, random } = this.#parts;
    const life = this.schedule.begin();
    const options = { rootDir: dir, simulated: true };
    const kb = unwrap(await openKb({ clock: life.clock, random, log: quiet }, options), 'the ledger opens');
    try {
      const wired = this.#wire(life, kb);
      void this.#begin(life, wired, kb, asked);
      const ended = await this.schedule.run(
        () => this.#refusal !== undefined || asked.every(({ traceId }) => this.#finished.has(traceId)),
      );
      if (ended === 'crashed') return ended;
      this.rows = await Promise.all(
        asked.map(async ({ traceId }) => unwrap(await readRun(kb, traceId), 'the events of a run')),
      );
      return ended;
    } finally {
      this.schedule.end();
      await kb.close();
    }
  }

  #wire(life: Life, kb: Kb): WiredRuns {
    const { config, agents, cells, random, homeDir, faults = {} } = this.#parts;
    const { clock } = life;
    const bus = createBus({ clock, limits: defaultBusLimits, registry: createRegistry() });
    const scheduled = scheduledKb(life, kb, faults);
    const deps = { clock, random, log: quiet, secrets: noSecrets, http: this.world.http(life) };
    const models = unwrap(createModels(deps, { ...config, models: worldModels }), 'the models of the world');
    const scrubber = new Scrubber();
    const wired = wireRuns({
      clock,
      random,
      log: quiet,
      config,
      kb: scheduled,
      scrubber,
      agents: scheduledAgents(life, agents),
      cells: scheduledCells(life, cells, faults),
      quarantine: { refusal: () => undefined, note: () => Promise.resolve() },
      operator: { confirms: true, trusts: () => false, declassifies: () => false },
      homeDir,
      performer: (values) => this.#performer(life, scheduled, values, models, scrubber),
      publish: (topic, message) => {
        bus.publish(topic, message);
        bus.flush();
      },
      agentLine: () => undefined,
      runRecovered: (traceId, spent) => models.restoreRun(traceId, spent),
      runEnded: (traceId) => models.endRun(traceId),
    });
    this.#listen(life, bus, scheduled, wired);
    life.onEnd(() => wired.runs.close());
    return wired;
  }

  /** The real performer, whose outermost doors lead into the world. */
  #performer(life: Life, kb: Kb, values: Values, models: Models, scrubber: Scrubber): HostPerformer {
    const { config, hidden, realClock, around = (real: HostPerformer) => real } = this.#parts;
    const real = createPerformer({
      clock: life.clock,
      kb,
      values,
      models,
      secrets: noSecrets as unknown as Secrets,
      scrubber,
      mail: this.world.mail(life),
      mcpServers: new Map(),
      files: createFiles({ never: hidden, commandDirs: [] }),
      fetcher: createFetcher({ clock: realClock }),
      schemas: createSchemaChecks({ clock: realClock }),
      execTimeoutMs: config.runtime.exec_timeout_ms,
      hidden,
    });
    return this.world.around(life, around(real));
  }

  /** A watcher on the bus, and the operator, who is told of questions there. */
  #listen(life: Life, bus: Bus, kb: Kb, { runs }: WiredRuns): void {
    const heard: RunEvent[] = [];
    this.heard.push(heard);
    const control = createControl(actionOperations({ kb, runs }));
    const answer = (question: Question): void =>
      void this.#answer(life, question, (op, args, traceId) =>
        control.call({ op, args, principal: operator, traceId, signal: new AbortController().signal }),
      );
    const decoder = createDecoder({ registry: createRegistry(), nowMs: () => life.clock.nowMs() });
    const seat = bus.attach('watcher', operator, {
      write: (pieces) => {
        for (const piece of pieces) decoder.push(piece);
        for (let item: Decoded | undefined = decoder.next(); item !== undefined; item = decoder.next()) {
          if (item.type !== 'frame') throw new Error('assumed that the bus hands on whole frames');
          const event = item.payload() as RunEvent;
          if (item.header.schemaId === schema.runEvent) this.#hear(heard, event);
          else answer(event.meta as Question);
        }
        return true;
      },
      disconnect: () => undefined,
    });
    unwrap(seat.subscribe(1, 'rlp/runs/*/events'), 'a subscription');
    unwrap(seat.subscribe(2, 'rlp/actions/requests'), 'a subscription');
    this.#pending = () => {
      for (const run of runs.live()) for (const { meta } of run.driver.actions.pending()) answer(meta as Question);
    };
  }

  #pending: () => void = () => undefined;

  #hear(heard: RunEvent[], event: RunEvent): void {
    heard.push(event);
    if (event.kind === 'run.finished') this.#finished.add(event.trace_id);
  }

  /** What a daemon does at its start, and then the people. */
  async #begin(life: Life, { runs }: WiredRuns, kb: Kb, asked: readonly Asked[]): Promise<void> {
    unwrap(await runs.recover(), 'recovery');
    // Somebody who comes to a daemon that has been started again looks at what waits.
    this.#pending();
    for (const one of asked) {
      if (this.#accepted.has(one.traceId)) {
        await this.#look(runs, kb, one.traceId);
        continue;
      }
      void this.#submit(life, runs, kb, one);
    }
  }

  /** A run that is not under way has ended, unless it was put away for now. */
  async #look(runs: WiredRuns['runs'], kb: Kb, traceId: string): Promise<void> {
    if (runs.get(traceId) !== undefined) return;
    const rows = await readRun(kb, traceId);
    if (rows.ok && rows.value.some((row) => row.kind === 'run.finished')) this.#finished.add(traceId);
  }

  async #submit(life: Life, runs: WiredRuns['runs'], kb: Kb, one: Asked): Promise<void> {
    for (;;) {
      await life.task(`submit ${one.traceId}`, () => Promise.resolve());
      const submitted = await runs.submit({ ...one, actor: operator.id });
      if (submitted.ok) {
        this.#accepted.add(one.traceId);
        return this.#look(runs, kb, one.traceId);
      }
      if (submitted.error.code !== 'StorageFull') {
        this.#refusal = submitted.error;
        return;
      }
      await new Promise<void>((resolve) => life.clock.after(1_000, resolve));
    }
  }

  async #answer(
    life: Life,
    { action, call, hash, op, args, replaces }: Question,
    order: (op: string, args: JsonObject, traceId: TraceId) => Promise<Result<unknown, unknown>>,
  ): Promise<void> {
    const [about = '', again] = call.split('/');
    await life.task(`operator ${action}`, () => Promise.resolve());
    const decision =
      again === undefined
        ? replaces === undefined
          ? (this.#parts.answers?.(op, about) ?? 'approve')
          : 'approve'
        : again === 'again' && this.world.happened(about)
          ? 'done'
          : 'approve';
    for (;;) {
      const decided =
        decision === 'edit'
          ? await order('action.edit', { action, hash, args: { ...args, edited: true } }, noTrace)
          : await order('action.decide', { action, hash, decision }, noTrace);
      // Answered before a crash, or by a deadline: nothing is left to say.
      if (decided.ok || (decided.error as { code?: string }).code !== 'StorageFull') return;
      await new Promise<void>((resolve) => life.clock.after(1_000, resolve));
    }
  }
}
