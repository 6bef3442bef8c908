/**
 * The operations of the control port, over what the daemon has wired.
 */
import { join } from 'node:path';
import { type Failure, ok, type Result } from '@runloop/core';
import type { Cells } from '@runloop/runtime';
import type { Installer } from './agents/install.ts';
import type { Quarantine } from './agents/quarantine.ts';
import type { AgentRegistry } from './agents/registry.ts';
import type { Trust } from './agents/trust.ts';
import { verifyAgent } from './agents/verify.ts';
import { agreementOperations } from './control/agreement-operations.ts';
import { actionOperations } from './control/action-operations.ts';
import { agentOperations } from './control/agent-operations.ts';
import { daemonOperations } from './control/daemon-operations.ts';
import { kbOperations } from './control/kb-operations.ts';
import { kbSearchOperations } from './control/kb-search-operations.ts';
import { kbUpkeepOperations } from './control/kb-upkeep-operations.ts';
import { modelOperations } from './control/model-operations.ts';
import type { Operations } from './control/operation.ts';
import { secretOperations } from './control/secret-operations.ts';
import { runOperations } from './control/run-operations.ts';
import { tapeOperations } from './control/tape-operations.ts';
import { searchDirs } from './home/home.ts';
import type { Pins } from './home/pins.ts';
import type { SessionServer } from './sessions/index.ts';
import { allowsWeak } from './wire-agents.ts';
import type { WiredRuns } from './wire-runs.ts';
import type { Base, DaemonDeps, DaemonOptions } from './wire-base.ts';

export type Engine = WiredRuns & {
  readonly cells: Cells;
  readonly agents: AgentRegistry;
  readonly trust: Trust;
  readonly installer: Installer;
  readonly pins: Pins;
  /** What `~` means in a grant. */
  readonly homeDir: string;
  readonly quarantine: Quarantine;
};

export function controlOperations(
  deps: DaemonDeps,
  options: DaemonOptions,
  base: Base,
  engine: Engine,
  late: { readonly sessions?: SessionServer },
): Operations {
  const { clock, random } = deps;
  const { config, root } = options;
  const { runs, cells, agents, trust, installer, slots, feed, performer, homeDir } = engine;
  const verifier = { clock, random, cells, performer, homeDir, stateDir: root };
  const beganMs = clock.monotonicMs();
  return {
    ...daemonOperations({
      version: options.version,
      home: root,
      socket: base.home.socket,
      pid: options.pid,
      bootId: engine.bootId,
      uptimeMs: () => clock.monotonicMs() - beganMs,
      rssBytes: deps.rssBytes,
      loopDelayMs: deps.loopDelayMs,
      bus: () => late.sessions?.stats(),
      frozen: () => base.models.frozen().map(({ key }) => key),
      drain: () => {
        runs.drain();
        late.sessions?.drain();
        deps.stopRequested();
      },
      runs,
      slots,
      cells,
      tokens: base.tokens,
      clock,
      kb: base.kb,
      config,
      origin: options.origin,
    }),
    ...runOperations({
      kb: base.kb,
      runs,
      feed,
      openingDirs: searchDirs(config.openings.search_dirs, root, options.checkout),
      homeDir,
      never: [base.home.root, base.home.kb, base.home.keys, base.home.cache, base.home.store],
    }),
    ...tapeOperations({ kb: base.kb, runs }),
    ...actionOperations({ kb: base.kb, runs }),
    ...knowledgeOperations(clock, root, base),
    ...agentOperations({
      agents,
      cells,
      trust,
      installer,
      isWeak: () => allowsWeak(trust, config),
      quarantine: engine.quarantine,
      verify: (agent, probe, signal) => verifyAgent(verifier, agent, probe, signal),
    }),
    ...secretOperations({ clock, kb: base.kb, secrets: base.secrets, keyFile: join(root, 'keys', 'vault.key') }),
    ...modelOperations({ clock, models: base.models, kb: base.kb }),
    ...agreementOperations({ clock, kb: base.kb, pins: engine.pins }),
  };
}

function knowledgeOperations(clock: DaemonDeps['clock'], root: string, base: Base): Operations {
  const { kb, signer } = base;
  const backupsDir = join(root, 'backups');
  const upkeep = { clock, kb, signer, backupsDir, forgetElsewhere: (has: Has) => forgetElsewhere(base, has) };
  return { ...kbOperations(kb), ...kbSearchOperations(kb), ...kbUpkeepOperations(upkeep) };
}

type Has = (text: string) => boolean;

/** What is no part of the knowledge base and may hold texts of it. */
async function forgetElsewhere({ log, agentLog, models }: Base, has: Has): Promise<Result<void, Failure>> {
  const purged = models.purgeCache();
  if (!purged.ok) return purged;
  for (const one of [log, agentLog]) {
    const done = await one.forget(has);
    if (!done.ok) return done;
  }
  return ok(undefined);
}
