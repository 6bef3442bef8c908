/**
 * Agents of simulated runs: one bundle whose behaviour stands in the node's `with`, run in this process.
 *
 * `{ steps: [{op, args}], fails: n, ok: bool }`: makes the calls in order, fails (retryably) in its first n attempts after
 * them, then gives on `out` what it was given and told, and on `ok` its verdict. A call that is refused fails it.
 */
import { digestJson, digestText, type JsonObject, type JsonValue, ok } from '../../packages/core/src/index.ts';
import { type Bundle, type Caps, type Cells, noCaps } from '../../packages/runtime/src/index.ts';
import type { AgentSource } from '../../packages/daemon/src/runs/ports.ts';

const caps: Caps = {
  ...noCaps,
  kb_read: true,
  kb_write: true,
  model: { allow: ['*'] },
  mail: { from: 'me@localhost', to: ['*'] },
  net: ['api.example.com'],
  mailbox: ['scripted'],
};

const ports = { in: { in: ['*'], more: ['*'] }, out: { out: ['*'], ok: ['bool'] } };

export const scripted: Bundle = {
  name: 'scripted',
  version: '1.0.0',
  dir: '/nowhere',
  digest: digestText('scripted'),
  kind: 'component',
  ports,
  asks: caps,
  caps,
  component: { path: '/nowhere', digest: digestText('component') },
  signer: 'test',
  signerKey: '00'.repeat(32),
  trusted: true,
};

export const scriptedAgents: AgentSource = {
  interfaces: () => Promise.resolve(ok(new Map([['scripted', { name: 'scripted', in: ports.in, out: ports.out }]]))),
  pin: () => Promise.resolve(ok(scripted)),
  pinned: () => Promise.resolve(ok(scripted)),
};

export type Step = { readonly op: string; readonly args: JsonObject };
export type Doing = { readonly steps?: readonly Step[]; readonly fails?: number; readonly ok?: boolean };

const usage = { wall_ms: 0, fuel: 0, memory_bytes: 0, hostcalls: 0, output_bytes: 0, log_bytes_dropped: 0 };

class Ends extends Error {
  readonly how: 'suspend' | 'fail' | 'retry' | 'stopped';

  constructor(how: Ends['how'], why: string) {
    super(why);
    this.how = how;
  }
}

/** Cells in which scripted agents run: no process, the same ends. */
export const scriptedCells: Cells = {
  async run({ run, request }, host, signal) {
    const gone = new Promise<never>((_, reject) => {
      const stop = (): void => reject(new Ends('stopped', 'it was stopped'));
      if (signal.aborted) stop();
      signal.addEventListener('abort', stop, { once: true });
    });
    const doing = request.with as Doing;
    const act = async (): Promise<JsonValue> => {
      const told: JsonValue[] = [];
      for (const { op, args } of doing.steps ?? []) {
        const answer = await host.call(op, args, signal);
        if (answer.type === 'suspend') throw new Ends('suspend', answer.reason);
        if (answer.type === 'error') throw new Ends(answer.retryable ? 'retry' : 'fail', answer.message);
        // Ids of events differ between a run that was asked something more and one that was not.
        told.push(op.startsWith('model.') ? answer.value : op);
      }
      if (run.attempt <= (doing.fails ?? 0)) throw new Ends('retry', `attempt ${run.attempt} fails`);
      return { told, given: digestJson(request.inputs) };
    };
    try {
      const value = await Promise.race([gone, act()]);
      const verdict = { type: 'bool', value: doing.ok ?? true };
      return { type: 'succeeded', outputs: { out: [{ type: 'json', value }], ok: [verdict] }, usage };
    } catch (error) {
      const end = error instanceof Ends ? error : new Ends('fail', String(error));
      if (end.how === 'suspend') return { type: 'suspended', reason: end.message, usage };
      if (end.how === 'stopped') return { type: 'cancelled', usage };
      return { type: 'failed', code: 'AgentFailed', reason: end.message, retryable: end.how === 'retry', usage };
    }
  },
  warm: () => Promise.resolve(ok(undefined)),
  confinement: () => Promise.resolve(undefined),
  stats: () => ({ alive: 0, spare: 0, waiting: 0, started: 0 }),
  pids: () => [],
  close: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
