/**
 * Runs over a real ledger, a real kernel and the real performer of the knowledge base; only cells and agents are the
 * test's own: an agent is a function that makes host calls.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Config,
  digestText,
  err,
  failure,
  type JsonValue,
  ok,
  systemClock,
  systemRandom,
  unwrap,
} from '@runloop/core';
import { type Kb, openKb, type StoredEvent } from '@runloop/kb';
import {
  type AttemptFailureCode,
  type Bundle,
  type Caps,
  type Cells,
  createFetcher,
  createFiles,
  createKernel,
  createSchemaChecks,
  type Fetcher,
  type SchemaChecks,
  type HostAnswer,
  type HostCalls,
  type Invocation,
  noCaps,
} from '@runloop/runtime';
import { memoryLog } from '@runloop/testkit';
import { Quarantine } from '../src/agents/quarantine.ts';
import { mailTransport } from '../src/host/mail-transport.ts';
import type { ModelPort } from '../src/host/model-calls.ts';
import type { Models } from '../src/host/models.ts';
import { createPerformer } from '../src/host/performer.ts';
import { kernelPorts } from '../src/runs/kernel-ports.ts';
import type { AgentSource, HostPerformer, OperatorWill, RunLedger } from '../src/runs/ports.ts';
import type { SecretsBackend } from '../src/secrets/backend.ts';
import { envBackend } from '../src/secrets/given.ts';
import { Scrubber } from '../src/secrets/scrubber.ts';
import { Secrets } from '../src/secrets/store.ts';
import { Runs } from '../src/runs/runs.ts';
import type { Submission } from '../src/runs/submission.ts';
import { Slots } from '../src/runs/slots.ts';
import { metaOf, readRun } from '../src/runs/tape.ts';
import { Values } from '../src/runs/values.ts';

/** What an agent of these tests does; `call` throws what suspends or cancels it. */
export type Script = (
  call: (op: string, args: JsonValue) => Promise<HostAnswer>,
  node: string,
  told: Invocation['run'],
) => Promise<JsonValue>;

class Suspended extends Error {}

/** Thrown by a script, it ends the attempt with this code. */
export class Ends extends Error {
  readonly code: AttemptFailureCode;
  readonly retryable: boolean;

  constructor(code: AttemptFailureCode, retryable: boolean) {
    super(code);
    this.code = code;
    this.retryable = retryable;
  }
}

const caps: Caps = { ...noCaps, kb_read: true, kb_write: true, mail: { from: 'me@localhost', to: ['*'] } };
export const bundle: Bundle = {
  name: 'scripted',
  version: '1.0.0',
  dir: '/nowhere',
  digest: digestText('scripted'),
  kind: 'component',
  ports: { in: { in: ['*'], constructor: ['*'] }, out: { out: ['*'], constructor: ['*'] } },
  asks: caps,
  caps,
  component: { path: '/nowhere', digest: digestText('component') },
  signer: 'test',
  signerKey: '00'.repeat(32),
  trusted: true,
};

export function opening(nodes = 1, more = ''): string {
  const list = Array.from({ length: nodes }, (_, i) => `  - { id: n${i}, use: "agent:scripted" }`).join('\n');
  return `version: 0\nname: test\nnodes:\n${list}\n${more}`;
}

const usage = { wall_ms: 0, fuel: 0, memory_bytes: 0, hostcalls: 0, output_bytes: 0, log_bytes_dropped: 0 };

function cellsOf(script: Script, port: string): Cells {
  return {
    async run(invocation, host: HostCalls, signal) {
      const gone = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
      });
      try {
        const value = await Promise.race([
          gone,
          script(
            async (op, args) => {
              const answer = await host.call(op, args, signal);
              if (answer.type === 'suspend') throw new Suspended(answer.reason);
              return answer;
            },
            invocation.run.node,
            invocation.run,
          ),
        ]);
        return { type: 'succeeded', outputs: { [port]: [{ type: 'json', value }] }, usage };
      } catch (error) {
        if (error instanceof Suspended) return { type: 'suspended', reason: error.message, usage };
        if (signal.aborted) return { type: 'cancelled', usage };
        const { code, retryable } = error instanceof Ends ? error : new Ends('AgentFailed', false);
        return { type: 'failed', code, reason: String(error), retryable, usage };
      }
    },
    warm: () => Promise.resolve(ok(undefined)),
    confinement: () => Promise.resolve(undefined),
    stats: () => ({ alive: 0, spare: 0, waiting: 0, started: 0 }),
    pids: () => [],
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const agentsOf = (agent: Bundle): AgentSource => ({
  interfaces: () =>
    Promise.resolve(
      ok(
        new Map([
          ['scripted', { name: 'scripted', in: bundle.ports.in, out: bundle.ports.out }],
          ['plain', { name: 'plain', in: { in: ['*'] }, out: { out: ['*'] } }],
        ]),
      ),
    ),
  pin: () => Promise.resolve(ok(agent)),
  pinned: () => Promise.resolve(ok(agent)),
});

export type Boot = {
  readonly runs: Runs;
  readonly submit: (more?: Partial<Submission>) => ReturnType<Runs['submit']>;
  /** Waits until an event of this kind stands on the ledger. */
  readonly until: (kind: string, traceId?: string) => Promise<StoredEvent[]>;
};

export const traceId = 'ab'.repeat(16);

export class Place implements AsyncDisposable {
  readonly #path: string;
  readonly #kb: Kb;
  readonly #boots: Runs[] = [];
  readonly #fetcher: Fetcher = createFetcher({ clock: systemClock });
  readonly #schemas: SchemaChecks = createSchemaChecks({ clock: systemClock });

  private constructor(path: string, kb: Kb) {
    this.#path = path;
    this.#kb = kb;
  }

  static async open(): Promise<Place> {
    const path = mkdtempSync(join(tmpdir(), 'rl-'));
    const log = memoryLog();
    return new Place(
      path,
      unwrap(await openKb({ clock: systemClock, random: systemRandom, log }, { rootDir: path }), 'kb'),
    );
  }

  get path(): string {
    return this.#path;
  }

  get kb(): Kb {
    return this.#kb;
  }

  /** A daemon's worth of runs; what ran before on this ledger is put away as by a crash, and taken up again. */
  /** Ends what was booted, and waits until the writer has written what that had sent. */
  async stop(): Promise<void> {
    for (const before of this.#boots.splice(0)) before.close();
    await this.#kb.putBlob(new Uint8Array(1));
  }

  async boot(
    script: Script,
    options: {
      port?: string;
      performer?: (real: HostPerformer) => HostPerformer;
      runsMax?: number;
      nodesWaitingMax?: number;
      models?: Models;
      caps?: Caps;
      audits?: { readonly deny?: boolean; readonly allow?: boolean };
      operator?: Partial<OperatorWill>;
      ledger?: (real: Kb) => RunLedger;
      nowMs?: () => number;
      bundle?: Bundle;
      env?: { readonly [name: string]: string };
      secrets?: SecretsBackend;
      mail?: Config['mail'];
    } = {},
  ): Promise<Boot> {
    await this.stop();
    const kb = this.#kb;
    const scrubber = new Scrubber();
    const env = options.env ?? {};
    const secretsDeps = { clock: systemClock, log: memoryLog(), scrubber, env };
    const values = new Values(kb, scrubber);
    const noModels: ModelPort = {
      clears: () => true,
      forfeit: () => undefined,
      raise: () => undefined,
      call: () => Promise.resolve({ outcome: err(failure('ProviderUnavailable', 'no models here')), spent: [] }),
    };
    const models = options.models ?? noModels;
    const store = new Secrets(secretsDeps, options.secrets ?? envBackend(env));
    const mail =
      options.mail === undefined
        ? undefined
        : unwrap(mailTransport({ secrets: store, idleMs: 2_000 }, options.mail), 'mail');
    const real = createPerformer({
      mail,
      clock: systemClock,
      kb,
      values,
      models,
      files: createFiles({ never: [this.#path], commandDirs: [] }),
      fetcher: this.#fetcher,
      schemas: this.#schemas,
      secrets: store,
      scrubber,
      mcpServers: new Map(),
      execTimeoutMs: 10_000,
      hidden: [this.#path],
    });
    const performer = options.performer?.(real) ?? real;
    const kernel = createKernel(
      kernelPorts({
        runOf: (id) => runs.get(id),
        values,
        performer,
        audits: { deny: true, allow: false, ...options.audits },
        scrub: (text) => text,
        log: () => undefined,
      }),
    );
    const runs: Runs = new Runs(
      {
        clock: options.nowMs === undefined ? systemClock : { ...systemClock, nowMs: options.nowMs },
        random: systemRandom,
        log: memoryLog(),
        ledger: options.ledger?.(kb) ?? kb,
        publisher: { published: () => undefined, lossy: () => undefined },
        slots: new Slots(4, options.nodesWaitingMax ?? 100_000),
        scrubber,
        values,
        agents: agentsOf(options.bundle ?? { ...bundle, caps: options.caps ?? bundle.caps }),
        cells: cellsOf(script, options.port ?? 'out'),
        kernel,
        performer,
        homeDir: '/nonexistent',
        recovered: (id, spent) => options.models?.restoreRun(id, spent),
        quarantine: new Quarantine(
          { clock: systemClock, log: memoryLog(), record: () => Promise.resolve(true) },
          join(this.#path, 'quarantine.json'),
        ),
        operator: { confirms: true, trusts: () => false, declassifies: () => false, ...options.operator },
      },
      { runsMax: options.runsMax ?? 100, maxParallel: 4, bootId: 'boot' },
    );
    this.#boots.push(runs);
    unwrap(await runs.recover(), 'recovery');
    return {
      runs,
      submit: (more = {}) =>
        runs.submit({
          traceId,
          file: 'test.yaml',
          text: opening(),
          params: {},
          onConfirm: 'wait',
          priority: 0,
          actor: 'operator:1',
          ...more,
        }),
      until: async (kind, id = traceId) => {
        const rows: StoredEvent[] = [];
        for (;;) {
          const page = await kb.runEvents({ traceId: id, afterId: rows.at(-1)?.id, max: 1000 });
          rows.push(...unwrap(page, 'a page').events);
          if (rows.some((row) => row.kind === kind)) return rows;
          await new Promise((resolve) => {
            setTimeout(resolve, 10);
          });
        }
      },
    };
  }

  async rows(id: string = traceId): Promise<StoredEvent[]> {
    return unwrap(await readRun(this.#kb, id), 'the rows of a run');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const runs of this.#boots) runs.close();
    await this.#fetcher[Symbol.asyncDispose]();
    await this.#schemas[Symbol.asyncDispose]();
    await this.#kb[Symbol.asyncDispose]();
    rmSync(this.#path, { recursive: true, force: true });
  }
}

export function of(rows: readonly StoredEvent[], kind: string): StoredEvent[] {
  return rows.filter((row) => row.kind === kind);
}

export function endOf(rows: readonly StoredEvent[]): unknown {
  return metaOf(rows.findLast((row) => row.kind === 'run.finished') ?? ({ payload: {} } as StoredEvent));
}
