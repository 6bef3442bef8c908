/**
 * A daemon's runs over a real ledger, with one agent in this process: what is measured is the engine, the kernel, the driver
 * and the ledger, not a sandbox.
 *
 * The agent makes the calls that the node's `with` counts (`calls: n`, messages that are taken at once), then gives
 * one small value.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  digestText,
  hashInWasm,
  type JsonObject,
  ok,
  resolveConfig,
  type RunEvent,
  systemClock,
  systemRandom,
  toHex,
  unwrap,
} from '../packages/core/src/index.ts';
import type { AgentSource, HostPerformer } from '../packages/daemon/src/runs/ports.ts';
import { Scrubber } from '../packages/daemon/src/secrets/scrubber.ts';
import { type WiredRuns, wireRuns } from '../packages/daemon/src/wire-runs.ts';
import { type Kb, openKb } from '../packages/kb/src/index.ts';
import { type Bundle, type Caps, type Cells, noCaps } from '../packages/runtime/src/index.ts';

const caps: Caps = { ...noCaps, mailbox: ['noop'], model: { allow: ['*'] } };
const ports = { in: { in: ['*'] }, out: { out: ['*'] } };
const bundle: Bundle = {
  name: 'noop',
  version: '1.0.0',
  dir: '/nowhere',
  digest: digestText('noop'),
  kind: 'component',
  ports,
  asks: caps,
  caps,
  component: { path: '/nowhere', digest: digestText('component') },
  signer: 'bench',
  signerKey: '00'.repeat(32),
  trusted: true,
};

const agents: AgentSource = {
  interfaces: () =>
    Promise.resolve(
      ok(
        new Map([
          [
            'noop',
            {
              name: 'noop',
              ...ports,
              withSchema: { type: 'object', properties: { calls: { type: 'integer' } } },
            },
          ],
        ]),
      ),
    ),
  pin: () => Promise.resolve(ok(bundle)),
  pinned: () => Promise.resolve(ok(bundle)),
};

const usage = { wall_ms: 0, fuel: 0, memory_bytes: 0, hostcalls: 0, output_bytes: 0, log_bytes_dropped: 0 };

/** What the agent does in a node that is to make so many calls. */
export type Work = (
  call: (op: string, args: JsonObject) => Promise<void>,
  node: string,
  calls: number,
) => Promise<void>;

const sendMessages: Work = async (call, node, calls) => {
  for (let i = 0; i < calls; i += 1)
    await call('mailbox.send', { to: 'noop', type: 'json', value: { from: node, nth: i } });
};

const cellsOf = (work: Work): Cells => ({
  async run({ run, request }, host, signal) {
    const call = async (op: string, args: JsonObject): Promise<void> => {
      const answer = await host.call(op, args, signal);
      if (answer.type !== 'value') throw new Error(`a call was not answered: ${JSON.stringify(answer)}`);
    };
    await work(call, run.node, Number(request.with['calls'] ?? 0));
    return {
      type: 'succeeded',
      outputs: { out: [{ type: 'json', value: { from: run.node, of: run.trace_id } }] },
      usage,
    };
  },
  warm: () => Promise.resolve(ok(undefined)),
  confinement: () => Promise.resolve(undefined),
  stats: () => ({ alive: 0, spare: 0, waiting: 0, started: 0 }),
  pids: () => [],
  close: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

const noopPerformer: HostPerformer = {
  repeats: () => true,
  leaves: () => Promise.resolve(false),
  cleared: () => true,
  perform: () => Promise.resolve({ result: { ok: true, value: { sent: true } } }),
};

export class InProcess implements AsyncDisposable {
  readonly #kb: Kb;
  readonly #path: string;
  readonly #heard: ((event: RunEvent) => void)[] = [];
  #wired: WiredRuns;

  readonly #parts: { readonly work: Work; readonly performer: HostPerformer };

  private constructor(path: string, kb: Kb, parts: { readonly work: Work; readonly performer: HostPerformer }) {
    this.#path = path;
    this.#kb = kb;
    this.#parts = parts;
    this.#wired = this.#wire();
  }

  #wire(): WiredRuns {
    const { config } = unwrap(resolveConfig([]), 'the defaults');
    return wireRuns({
      clock: systemClock,
      random: systemRandom,
      log: { log: () => undefined },
      config: { ...config, runtime: { ...config.runtime, max_parallel: 64 } },
      kb: this.#kb,
      scrubber: new Scrubber(),
      agents,
      cells: cellsOf(this.#parts.work),
      quarantine: { refusal: () => undefined, note: () => Promise.resolve() },
      operator: { confirms: true, trusts: () => false, declassifies: () => false },
      homeDir: '/nonexistent',
      performer: () => this.#parts.performer,
      publish: (_, { payload }) => {
        for (const hear of this.#heard) hear(payload as RunEvent);
      },
      agentLine: () => undefined,
      runRecovered: () => undefined,
      runEnded: () => undefined,
    });
  }

  static async open(work: Work = sendMessages, performer: HostPerformer = noopPerformer): Promise<InProcess> {
    await hashInWasm();
    const path = mkdtempSync(join(tmpdir(), 'bench-runs-'));
    const deps = { clock: systemClock, random: systemRandom, log: { log: () => undefined } };
    return new InProcess(path, unwrap(await openKb(deps, { rootDir: path }), 'a ledger'), { work, performer });
  }

  get path(): string {
    return this.#path;
  }

  /** Runs the opening to its end; tells of each event as subscribers are told of it. */
  async run(text: string, hear: (event: RunEvent) => void = () => undefined): Promise<string> {
    const traceId = toHex(systemRandom.bytes(16));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const listen = (event: RunEvent): void => {
      if (event.trace_id !== traceId) return;
      hear(event);
      if (event.kind !== 'run.finished') return;
      if (event.meta['state'] === 'succeeded') resolve();
      else reject(new Error(`a run ${String(event.meta['state'])}: ${String(event.meta['reason'])}`));
    };
    this.#heard.push(listen);
    const request = {
      traceId,
      file: 'bench.yaml',
      text,
      params: {},
      onConfirm: 'deny' as const,
      priority: 0,
      actor: 'bench',
    };
    unwrap(await this.#wired.runs.submit(request), 'a run that is accepted');
    await promise;
    this.#heard.splice(this.#heard.indexOf(listen), 1);
    return traceId;
  }

  /** Puts every run away as a crash does, and takes it up again; answers when all of them go on. */
  async restart(): Promise<void> {
    this.#wired.runs.close();
    this.#wired = this.#wire();
    unwrap(await this.#wired.runs.recover(), 'a recovery');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wired.runs.close();
    await this.#kb.close();
    rmSync(this.#path, { recursive: true, force: true });
  }
}
