/**
 * daemon.*, config.show, token.*: the daemon about itself.
 */
import { type Config, ok } from '@runloop/core';
import type { Cells } from '@runloop/runtime';
import type { Runs } from '../runs/runs.ts';
import type { Slots } from '../runs/slots.ts';
import type { Tokens } from '../tokens/index.ts';
import type { Operations } from './operation.ts';

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
  readonly config: Config;
  readonly origin: ReadonlyMap<string, string>;
};

export function daemonOperations(deps: DaemonOperationDeps): Operations {
  const { runs, slots, cells, tokens } = deps;
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
          storage: [...runs.faults()].map(([trace_id, { code, message }]) => ({ trace_id, code, message })),
        }),
      ),
    'daemon.drain': (args) =>
      args.check(async () => {
        deps.drain();
        return ok({ draining: true });
      }),
    'config.show': (args) =>
      args.check(async () => ok({ config: deps.config, origin: Object.fromEntries(deps.origin) })),
    'token.issue': (args) => {
      const name = args.text('name');
      const grants = args.list('can').filter((grant): grant is string => typeof grant === 'string');
      const expiresMs = args.optionalNumber('expires_ms');
      return args.check(async () => tokens.issue({ name, grants, ...(expiresMs === undefined ? {} : { expiresMs }) }));
    },
    'token.list': (args) => args.check(async () => ok({ tokens: tokens.list() })),
    'token.revoke': (args) => {
      const name = args.text('name');
      return args.check(async () => tokens.revoke(name));
    },
    'token.rotate': (args) => args.check(async () => tokens.rotate()),
  };
}
