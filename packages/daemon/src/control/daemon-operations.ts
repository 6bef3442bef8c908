/**
 * daemon.*, config.show, token.*: the daemon about itself.
 */
import { type Clock, type Config, type Failure, type JsonObject, ok, type Result } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { Cells } from '@runloop/runtime';
import type { Runs } from '../runs/runs.ts';
import type { Slots } from '../runs/slots.ts';
import type { Tokens } from '../tokens/index.ts';
import type { Caller, Operations } from './operation.ts';

export type DaemonOperationDeps = {
  readonly version: string;
  readonly home: string;
  readonly socket: string;
  readonly pid: number;
  readonly bootId: string;
  readonly uptimeMs: () => number;
  readonly rssBytes: () => number;
  readonly loopDelayMs: () => number;
  readonly bus: () => unknown;
  /** Budgets that take no call until somebody lets them. */
  readonly frozen: () => readonly string[];
  readonly drain: () => void;
  readonly runs: Runs;
  readonly slots: Slots;
  readonly cells: Cells;
  readonly tokens: Tokens;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly kb: Pick<Kb, 'append' | 'fault'>;
  readonly config: Config;
  readonly origin: ReadonlyMap<string, string>;
};

export function daemonOperations(deps: DaemonOperationDeps): Operations {
  const { runs, slots, cells, tokens } = deps;
  const tell = ({ principal }: Caller, kind: string, payload: JsonObject): Promise<Result<unknown, Failure>> =>
    deps.kb.append([
      { ts_ms: deps.clock.nowMs(), actor: principal.id, kind, scope: 'operator', payload, provenance: {} },
    ]);
  return {
    'daemon.version': (args) => args.check(async () => ok({ version: deps.version })),
    'daemon.status': (args) =>
      args.check(async () =>
        ok({
          running: true,
          pid: deps.pid,
          version: deps.version,
          home: deps.home,
          socket: deps.socket,
          boot: deps.bootId,
          uptime_ms: Math.round(deps.uptimeMs()),
          rss_bytes: deps.rssBytes(),
          loop_delay_p99_ms: deps.loopDelayMs(),
          runs: runs.live().length,
          nodes: { running: slots.used, waiting: slots.waiting },
          cells: cells.stats(),
          bus: deps.bus(),
          frozen_budgets: deps.frozen(),
          storage: [
            ...faultOf(deps.kb),
            ...[...runs.faults()].map(([trace_id, { code, message }]) => ({ trace_id, code, message })),
          ],
        }),
      ),
    'daemon.drain': (args) =>
      args.check(async () => {
        deps.drain();
        return ok({ draining: true });
      }),
    'config.show': (args) =>
      args.check(async () => ok({ config: deps.config, origin: Object.fromEntries(deps.origin) })),
    'token.issue': (args, caller) => {
      const name = args.text('name');
      const grants = args.list('can').filter((grant): grant is string => typeof grant === 'string');
      const expiresMs = args.optionalNumber('expires_ms');
      const expiry = expiresMs === undefined ? {} : { expires_ms: expiresMs };
      return args.check(async () => {
        const issued = tokens.issue({ name, grants, ...(expiresMs === undefined ? {} : { expiresMs }) });
        if (!issued.ok) return issued;
        const told = await tell(caller, 'token.issued', { name, can: grants, ...expiry });
        // A token that the ledger does not know of is none.
        if (!told.ok) tokens.revoke(name);
        return told.ok ? issued : told;
      });
    },
    'token.list': (args) => args.check(async () => ok({ tokens: tokens.list() })),
    'token.revoke': (args, caller) => {
      const name = args.text('name');
      return args.check(async () => {
        const revoked = tokens.revoke(name);
        if (!revoked.ok) return revoked;
        const told = await tell(caller, 'token.revoked', { name });
        return told.ok ? revoked : told;
      });
    },
    'token.rotate': (args) => args.check(async () => tokens.rotate()),
  };
}

/** Why the ledger took nothing last; runs have their own. */
function faultOf(kb: Pick<Kb, 'fault'>): readonly JsonObject[] {
  const fault = kb.fault();
  return fault === undefined ? [] : [{ code: fault.code, message: fault.message }];
}
