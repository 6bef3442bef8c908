/**
 * The one place that wires: opens what a daemon needs in order, and closes it in reverse.
 *
 * 1. The ledger's lock comes first: a second daemon on the same state directory is refused before it touches anything.
 * 2. The socket is open only when everything behind it works; then unfinished runs go on.
 */
import { join } from 'node:path';
import { type Bus, type BusLimits, createBus, defaultBusLimits, type OwnMessage } from '@runloop/bus';
import {
  type JsonObject,
  type Clock,
  type Config,
  err,
  type Failure,
  failure,
  ok,
  type Random,
  type Result,
  type RunEvent,
  toHex,
  type TraceId,
} from '@runloop/core';
import { type Kb, openKb } from '@runloop/kb';
import { createRegistry, schema } from '@runloop/rmp';
import {
  type Bundle,
  type Cells,
  createCells,
  createFetcher,
  createFiles,
  createKernel,
  createSchemaChecks,
  type Files,
  type HostKey,
  hostKey,
  type McpServer,
  type SecretsPort,
} from '@runloop/runtime';
import { Installer } from './agents/install.ts';
import { AgentRegistry } from './agents/registry.ts';
import { systemTrustPolicy, Trust } from './agents/trust.ts';
import { Quarantine } from './agents/quarantine.ts';
import { verifyAgent } from './agents/verify.ts';
import { agreementOperations } from './control/agreement-operations.ts';
import { actionOperations } from './control/action-operations.ts';
import { agentOperations } from './control/agent-operations.ts';
import { createControl } from './control/control.ts';
import { daemonOperations } from './control/daemon-operations.ts';
import { kbOperations } from './control/kb-operations.ts';
import { modelOperations } from './control/model-operations.ts';
import { runOperations } from './control/run-operations.ts';
import { envSecrets } from './host/env-secrets.ts';
import { mcpServersOf } from './host/tool-calls.ts';
import { createModels, type Models } from './host/models.ts';
import { createPerformer } from './host/performer.ts';
import { type Home, homeAt, makeHome, searchDirs } from './home/home.ts';
import { LogFile } from './home/log-file.ts';
import { Pins } from './home/pins.ts';
import { EventFeed } from './runs/feed.ts';
import { kernelPorts } from './runs/kernel-ports.ts';
import type { HostPerformer } from './runs/ports.ts';
import { Runs } from './runs/runs.ts';
import { Slots } from './runs/slots.ts';
import { Values } from './runs/values.ts';
import { createSessionServer, defaultSessionLimits, type PeerPort, type SessionServer } from './sessions/index.ts';
import { openTokens, type Tokens } from './tokens/index.ts';

export type DaemonOptions = {
  readonly root: string;
  readonly config: Config;
  readonly origin: ReadonlyMap<string, string>;
  readonly version: string;
  /** The checkout that this code runs from, if it does. */
  readonly checkout: string | undefined;
  readonly mode: 'user' | 'system';
  readonly uid: number;
  readonly pid: number;
  readonly spares: number;
};

export type DaemonDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly peer: PeerPort;
  readonly env: { readonly [name: string]: string | undefined };
  readonly rssBytes: () => number;
  readonly loopDelayMs: () => number;
  /** Nothing has been asked for a while: a good moment to give memory back. */
  readonly rested?: () => void;
  /** Somebody asked the daemon to stop. */
  readonly stopRequested: () => void;
};

export interface Daemon extends AsyncDisposable {
  readonly home: Home;
  readonly kb: Kb;
  readonly runs: Runs;
  readonly cells: Cells;
  readonly agents: AgentRegistry;
  readonly installer: Installer;
  readonly sessions: SessionServer;
  readonly log: LogFile;
}

export async function openDaemon(deps: DaemonDeps, options: DaemonOptions): Promise<Result<Daemon, Failure>> {
  const made = makeHome(options.root);
  if (!made.ok) return made;
  await using opening = new AsyncDisposableStack();
  const base = await openBase(deps, options, opening);
  if (!base.ok) return base;
  const { home, log, kb } = base.value;
  const bus = createBus({ clock: deps.clock, limits: busLimits(options.config), registry: createRegistry() });
  opening.use(bus);
  // Runs tell the sessions, and the sessions' control operations reach the runs: joined by this one late name.
  const late: { sessions?: SessionServer } = {};
  const engine = wireRuns(
    deps,
    options,
    base.value,
    opening,
    (topic, message) => void late.sessions?.publish(topic, message),
  );
  const sessions = wireSessions(deps, options, base.value, engine, bus, late);
  late.sessions = sessions;
  opening.defer(() => engine.runs.close());
  opening.defer(() => sessions.close());
  const listening = await sessions.listen(home.socket);
  if (!listening.ok) return listening;
  opening.defer(() => sessions.drain());
  await engine.installer.sweep();
  const recovered = await engine.runs.recover();
  if (!recovered.ok) return recovered;
  if (!options.config.security.confirm_external_actions)
    log.log('warn', 'what leaves is not asked about: security.confirm_external_actions is false');
  log.log('info', 'ready', { socket: home.socket, recovered: recovered.value, boot: engine.bootId, pid: options.pid });
  const opened = opening.move();
  return ok({ home, kb, log, sessions, ...engine, [Symbol.asyncDispose]: () => opened.disposeAsync() });
}

type Base = {
  readonly home: Home;
  readonly log: LogFile;
  readonly agentLog: LogFile;
  readonly kb: Kb;
  readonly hostKey: HostKey;
  readonly tokens: Tokens;
  readonly models: Models;
  readonly secrets: SecretsPort;
  readonly mcpServers: ReadonlyMap<string, McpServer>;
};

/** What everything else stands on: logs, the ledger with its lock, keys, tokens, the broker. */
async function openBase(
  deps: DaemonDeps,
  options: DaemonOptions,
  opening: AsyncDisposableStack,
): Promise<Result<Base, Failure>> {
  const { clock, random } = deps;
  const { config, root } = options;
  const home = homeAt(root, config);
  const log = opening.use(new LogFile(home.logFile, clock, config.logging.level));
  const agentLog = opening.use(new LogFile(join(root, 'logs', 'agents.log'), clock, 'trace'));
  const { events_db: events, view_db: views } = config.kb;
  const kb = await openKb(
    { clock, random, log },
    { rootDir: home.kb, eventsDb: join(home.kb, events), viewDb: join(home.kb, views), onRest: deps.rested },
  );
  if (!kb.ok) return kb;
  opening.use(kb.value);
  const key = await hostKey(home.keys);
  if (!key.ok) return key;
  const tokens = openTokens({ stateDir: root, clock, random });
  if (!tokens.ok) return tokens;
  const mcpServers = mcpServersOf(config.tools.mcp.servers);
  if (!mcpServers.ok) return mcpServers;
  const secrets = envSecrets(deps.env);
  const models = createModels({ clock, random, log, secrets }, config);
  if (!models.ok) return models;
  opening.defer(() => models.value.close());
  return ok({
    home,
    log,
    agentLog,
    kb: kb.value,
    hostKey: key.value,
    tokens: tokens.value,
    models: models.value,
    secrets,
    mcpServers: mcpServers.value,
  });
}

type Engine = {
  readonly runs: Runs;
  readonly cells: Cells;
  readonly agents: AgentRegistry;
  readonly trust: Trust;
  readonly installer: Installer;
  readonly slots: Slots;
  readonly feed: EventFeed;
  readonly pins: Pins;
  readonly bootId: string;
  readonly performer: HostPerformer;
  /** What `~` means in a grant. */
  readonly homeDir: string;
  readonly quarantine: Quarantine;
};

/** Runs with all that they need: cells, agents, the kernel and who performs what it lets through. */
function wireRuns(
  deps: DaemonDeps,
  options: DaemonOptions,
  base: Base,
  opening: AsyncDisposableStack,
  publish: (topic: string, message: OwnMessage) => void,
): Engine {
  const { clock, random } = deps;
  const { config } = options;
  const { home, log, agentLog, kb, models } = base;
  const { trust, cells, agents, installer } = wireAgents(deps, options, base, opening);
  const quarantine = wireQuarantine(deps, base);
  const slots = new Slots(config.runtime.max_parallel, config.daemon.nodes_waiting_max);
  const values = new Values(kb);
  const feed = new EventFeed(clock, kb);
  const bootId = toHex(random.bytes(8));
  const performer = wirePerformer(deps, options, base, values, opening);
  const kernel = createKernel(
    kernelPorts({
      runOf: (traceId) => runs.get(traceId),
      values,
      performer,
      audits: { deny: config.security.caps.audit_on_deny, allow: config.security.caps.audit_on_allow },
      log: (ctx, stream, level, text) => {
        const { trace_id, node, agent } = ctx;
        agentLog.line({ ts_ms: clock.nowMs(), trace_id, node, agent, stream, level, text });
        const kind = stream === 'stdout' ? 'node.stdout' : 'node.stderr';
        runs.get(ctx.trace_id)?.driver.lossy(kind, text, { node: ctx.node, level, stream });
      },
    }),
  );
  const tell = (topic: string, schemaId: number, event: RunEvent): void =>
    publish(topic, { schemaId, payload: event, traceId: event.trace_id as TraceId });
  const publisher = {
    published(event: RunEvent): void {
      feed.news(event.trace_id);
      if (event.kind === 'run.finished') models.endRun(event.trace_id);
      tell(`rlp/runs/${event.trace_id}/events`, schema.runEvent, event);
      if (event.kind === 'action.requested') tell('rlp/actions/requests', schema.actionRequest, event);
    },
    lossy: (event: RunEvent): void => tell(`rlp/runs/${event.trace_id}/events`, schema.runEvent, event),
  };
  const pins = new Pins(home.trust);
  const homeDir = deps.env['HOME'] ?? '/nonexistent';
  const operator = {
    confirms: config.security.confirm_external_actions,
    trusts: (digest: string): boolean => pins.has('openings', digest),
    declassifies: (digest: string): boolean => pins.has('declassifiers', digest),
  };
  const runs = new Runs(
    {
      clock,
      random,
      log,
      ledger: kb,
      publisher,
      slots,
      values,
      agents,
      cells,
      kernel,
      performer,
      operator,
      homeDir,
      quarantine,
    },
    {
      runsMax: config.daemon.runs_max,
      maxParallel: config.runtime.max_parallel,
      bootId,
      failOnEmpty: config.security.caps.fail_on_empty,
    },
  );
  opening.use(trust.watch(() => void runs.recheck()));
  return { runs, cells, agents, trust, installer, slots, feed, pins, bootId, performer, homeDir, quarantine };
}

/** What agents there are, who may sign them, how they come, and the cells that they run in. */
function wireAgents(
  deps: DaemonDeps,
  options: DaemonOptions,
  base: Base,
  opening: AsyncDisposableStack,
): Pick<Engine, 'trust' | 'cells' | 'agents' | 'installer'> {
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
  const agents = new AgentRegistry({ clock, random, log, hostKey: key, trust }, registryOptions(options, home));
  const installer = wireInstaller(deps, base, agents, cells, trust);
  return { trust, cells, agents, installer };
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

function wireQuarantine({ clock }: DaemonDeps, { home, kb, log }: Base): Quarantine {
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
function allowsWeak(trust: Trust, config: Config): boolean {
  const policy = trust.policy();
  return policy.ok && (policy.value.allowWeak ?? config.security.sandbox.allow_weak);
}

/** Who performs what the kernel lets through. */
function wirePerformer(
  { clock, env }: DaemonDeps,
  { config }: DaemonOptions,
  { home, kb, models, secrets, mcpServers }: Base,
  values: Values,
  opening: AsyncDisposableStack,
): HostPerformer {
  return createPerformer({
    clock,
    kb,
    values,
    models,
    secrets,
    mcpServers,
    files: filesOutside(home, env['PATH'] ?? ''),
    fetcher: opening.use(createFetcher({ clock })),
    schemas: opening.use(createSchemaChecks({ clock })),
    execTimeoutMs: config.runtime.exec_timeout_ms,
    hidden: [home.root, home.kb, home.keys, home.cache, home.store],
  });
}

/** Files of granted directories, none of which is our own state. */
function filesOutside(home: Home, path: string): Files {
  const { root, kb, keys, cache, store, socket, logFile } = home;
  return createFiles({ never: [root, kb, keys, cache, store, socket, logFile], commandDirs: path.split(':') });
}

/** The socket and the control operations behind it. */
function wireSessions(
  deps: DaemonDeps,
  options: DaemonOptions,
  base: Base,
  engine: Engine,
  bus: Bus,
  late: { sessions?: SessionServer },
): SessionServer {
  const { clock, random } = deps;
  const { config, root } = options;
  const { runs, cells, agents, trust, installer, slots, feed } = engine;
  const { performer, homeDir } = engine;
  const verifier = { clock, random, cells, performer, homeDir, stateDir: root };
  const beganMs = clock.monotonicMs();
  const control = createControl({
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
      drain: () => {
        runs.drain();
        late.sessions?.drain();
        deps.stopRequested();
      },
      runs,
      slots,
      cells,
      tokens: base.tokens,
      config,
      origin: options.origin,
    }),
    ...runOperations({
      kb: base.kb,
      runs,
      feed,
      openingDirs: searchDirs(config.openings.search_dirs, root, options.checkout),
    }),
    ...actionOperations({ kb: base.kb, runs }),
    ...kbOperations(base.kb),
    ...agentOperations({
      agents,
      cells,
      trust,
      installer,
      isWeak: () => allowsWeak(trust, config),
      quarantine: engine.quarantine,
      verify: (agent, probe, signal) => verifyAgent(verifier, agent, probe, signal),
    }),
    ...modelOperations({ models: base.models, kb: base.kb }),
    ...agreementOperations({ clock, kb: base.kb, pins: engine.pins }),
  });
  return createSessionServer({
    bus,
    busLimits: busLimits(config),
    registry: createRegistry(),
    control,
    tokens: base.tokens,
    peer: deps.peer,
    owners: { ownerOf: (traceId) => runs.get(traceId)?.driver.identity.actor },
    clock,
    random,
    log: base.log,
    limits: { ...defaultSessionLimits, bodyBytesMax: config.bus.body_bytes_max },
    server: { name: 'runloopd', version: options.version },
    mode: options.mode,
    ownUid: options.uid,
  });
}

function busLimits({ bus }: Config): BusLimits {
  return {
    ...defaultBusLimits,
    queueFramesMax: bus.queue_frames_max,
    sendTimeoutMs: bus.send_timeout_ms,
    slowConsumerMs: bus.slow_consumer_ms,
    dedupeKeysMax: bus.dedupe_keys_max,
  };
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
