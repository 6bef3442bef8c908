/**
 * Wires what concerns agents: who may sign them, how they come, where they lie, the cells that they run in.
 */
import { join } from 'node:path';
import { type JsonObject, type Config, err, type Failure, failure, ok, type Result } from '@runloop/core';
import { type Bundle, type Cells, createCells } from '@runloop/runtime';
import { Installer } from './agents/install.ts';
import { AgentRegistry } from './agents/registry.ts';
import { systemTrustPolicy, Trust } from './agents/trust.ts';
import { Quarantine } from './agents/quarantine.ts';
import { type Home, searchDirs } from './home/home.ts';
import { Pins } from './home/pins.ts';
import type { Base, DaemonDeps, DaemonOptions } from './wire-base.ts';

export type WiredAgents = {
  readonly trust: Trust;
  readonly cells: Cells;
  readonly agents: AgentRegistry;
  readonly installer: Installer;
  readonly pins: Pins;
};

/** What agents there are, who may sign them, how they come, and the cells that they run in. */
export function wireAgents(
  deps: DaemonDeps,
  options: DaemonOptions,
  base: Base,
  opening: AsyncDisposableStack,
): WiredAgents {
  const { clock, random } = deps;
  const { config } = options;
  const { home, log, hostKey: key } = base;
  const trust = new Trust(
    { clock, log, hostKey: key },
    { root: options.root, ...(options.mode === 'system' ? { system: systemTrustPolicy } : {}) },
  );
  const cells = opening.use(
    createCells(
      { clock, random, log, hostKey: key },
      { cacheDir: join(home.cache, 'cells'), spares: options.spares, allowWeak: () => allowsWeak(trust, config) },
    ),
  );
  const pins = new Pins(home.trust);
  const agents = new AgentRegistry({ clock, random, log, hostKey: key, trust, pins }, registryOptions(options, home));
  const installer = wireInstaller(deps, base, agents, cells, trust);
  return { trust, cells, agents, installer, pins };
}

function wireInstaller(
  { clock, random }: DaemonDeps,
  { home, kb }: Base,
  agents: AgentRegistry,
  cells: Cells,
  trust: Trust,
): Installer {
  return new Installer(
    {
      clock,
      random,
      trust,
      check: (bundle) => enforceable(cells, bundle),
      holder: async (name) => {
        const found = await agents.resolve(name);
        return found.ok ? found.value : undefined;
      },
      record: async (kind, payload) => {
        const event = { ts_ms: clock.nowMs(), actor: 'operator', kind, scope: 'agents', payload, provenance: {} };
        const appended = await kb.append([event]);
        return appended.ok ? ok(undefined) : appended;
      },
    },
    join(home.root, 'agents'),
  );
}

export function wireQuarantine({ clock }: DaemonDeps, { home, kb, log }: Base): Quarantine {
  const record = async (kind: string, payload: JsonObject): Promise<boolean> => {
    const event = { ts_ms: clock.nowMs(), actor: 'daemon', kind, scope: 'agents', payload, provenance: {} };
    return (await kb.append([event])).ok;
  };
  return new Quarantine({ clock, log, record }, join(home.root, 'quarantine.json'));
}

/** The component's imports, its limits, and what of it this host can enforce; the builder process does the work. */
async function enforceable(cells: Cells, bundle: Bundle): Promise<Result<void, Failure>> {
  const unconfined = bundle.caps.exec.length > 0 ? await cells.confinement() : undefined;
  if (unconfined === undefined) return cells.warm(bundle);
  const message = `agent ${bundle.name} asks to run commands (exec), which this host cannot confine`;
  return err(failure('InvalidBundle', message, { hint: 'install bubblewrap and allow user namespaces' }));
}

/** The trust policy's word counts before the configuration's. */
export function allowsWeak(trust: Trust, config: Config): boolean {
  const policy = trust.policy();
  return policy.ok && (policy.value.allowWeak ?? config.security.sandbox.allow_weak);
}

function registryOptions(
  { config, root, checkout }: DaemonOptions,
  home: Home,
): ConstructorParameters<typeof AgentRegistry>[1] {
  const builtIn =
    checkout === undefined
      ? undefined
      : { dir: join(checkout, 'agents'), sdkDir: join(checkout, 'packages', 'agent-sdk') };
  return {
    searchDirs: searchDirs(config.agents.search_dirs, root, checkout),
    ...(builtIn === undefined ? {} : { builtIn }),
    cacheDir: home.cache,
    storeDir: home.store,
  };
}
