/**
 * The one place that wires: opens what a daemon needs in order, and closes it in reverse.
 *
 * 1. The ledger's lock comes first: a second daemon on the same state directory is refused before it touches anything.
 * 2. The socket is open only when everything behind it works; then unfinished runs go on.
 */
import { type Bus, type BusLimits, createBus, defaultBusLimits, type OwnMessage } from '@runloop/bus';
import { type Config, type Failure, ok, type Result } from '@runloop/core';
import { type Kb } from '@runloop/kb';
import { createRegistry } from '@runloop/rmp';
import { type Cells, createFetcher, createFiles, createSchemaChecks, type Files } from '@runloop/runtime';
import type { Installer } from './agents/install.ts';
import type { AgentRegistry } from './agents/registry.ts';
import { createControl } from './control/control.ts';
import { createPerformer } from './host/performer.ts';
import { type Home, makeHome } from './home/home.ts';
import type { LogFile } from './home/log-file.ts';
import type { HostPerformer } from './runs/ports.ts';
import type { Runs } from './runs/runs.ts';
import type { Values } from './runs/values.ts';
import { createSessionServer, defaultSessionLimits, type SessionServer } from './sessions/index.ts';
import { wireAgents, wireQuarantine } from './wire-agents.ts';
import { type Base, type DaemonDeps, type DaemonOptions, openBase } from './wire-base.ts';
import { controlOperations, type Engine } from './wire-control.ts';
import { wireRuns } from './wire-runs.ts';

export type { DaemonDeps, DaemonOptions } from './wire-base.ts';

const dayMs = 86_400_000;
/** Users and openings whose spending of today is read back, the dearest first. */
const costRowsMax = 1000;

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
  const engine = wireEngine(
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
  const booked = await bookToday(deps.clock, base.value);
  if (!booked.ok) return booked;
  const recovered = await engine.runs.recover();
  if (!recovered.ok) return recovered;
  if (!options.config.security.confirm_external_actions)
    log.log('warn', 'what leaves is not asked about: security.confirm_external_actions is false');
  log.log('info', 'ready', { socket: home.socket, recovered: recovered.value, boot: engine.bootId, pid: options.pid });
  const opened = opening.move();
  return ok({ home, kb, log, sessions, ...engine, [Symbol.asyncDispose]: () => opened.disposeAsync() });
}

/** What the ledger says was spent today counts towards the day's caps, and what is frozen stays so. */
async function bookToday(clock: DaemonDeps['clock'], { kb, models }: Base): Promise<Result<void, Failure>> {
  const nowMs = clock.nowMs();
  const sinceMs = Math.floor(nowMs / dayMs) * dayMs;
  const levels = [
    { by: 'day', level: 'day' },
    { by: 'user', level: 'user' },
    { by: 'opening', level: 'opening' },
  ] as const;
  for (const { by, level } of levels) {
    const costs = await kb.costs({ by, sinceMs, max: costRowsMax });
    if (!costs.ok) return costs;
    for (const { key, tokens_in, tokens_out, usd_nano, calls, cached, wall_ms } of costs.value.rows) {
      if (key === null) continue;
      const tokens = tokens_in + tokens_out;
      const spent = { tokens, tokens_in, tokens_out, usd_nano, calls: calls - cached, wall_ms };
      models.restoreDay(nowMs, spent, level === 'day' ? { level } : { level, name: key });
    }
  }
  const frozen = await kb.overruns();
  if (!frozen.ok) return frozen;
  for (const key of frozen.value) models.restoreFrozen(key);
  return ok(undefined);
}

/** Runs with all that they need: cells, agents, the kernel and who performs what it lets through. */
function wireEngine(
  deps: DaemonDeps,
  options: DaemonOptions,
  base: Base,
  opening: AsyncDisposableStack,
  publish: (topic: string, message: OwnMessage) => void,
): Engine {
  const { clock, random } = deps;
  const { config } = options;
  const { log, agentLog, kb, models, scrubber } = base;
  const { trust, cells, agents, installer, pins } = wireAgents(deps, options, base, opening);
  const quarantine = wireQuarantine(deps, base);
  const homeDir = deps.env['HOME'] ?? '/nonexistent';
  const operator = {
    confirms: config.security.confirm_external_actions,
    trusts: (digest: string): boolean => pins.has('openings', digest),
    declassifies: (digest: string): boolean => pins.has('declassifiers', digest),
  };
  const wired = wireRuns({
    clock,
    random,
    log,
    config,
    kb,
    scrubber,
    agents,
    cells,
    quarantine,
    operator,
    homeDir,
    publish,
    performer: (values) => wirePerformer(deps, options, base, values, opening),
    agentLine: (line) => agentLog.line(line),
    runRecovered: (traceId, spent) => models.restoreRun(traceId, spent),
    runEnded: (traceId) => models.endRun(traceId),
  });
  opening.use(trust.watch(() => void wired.runs.recheck()));
  return { ...wired, cells, agents, trust, installer, pins, homeDir, quarantine };
}

/** Who performs what the kernel lets through. */
function wirePerformer(
  { clock, env }: DaemonDeps,
  { config }: DaemonOptions,
  { home, kb, models, secrets, scrubber, mail, mcpServers }: Base,
  values: Values,
  opening: AsyncDisposableStack,
): HostPerformer {
  return createPerformer({
    clock,
    kb,
    values,
    models,
    secrets,
    scrubber,
    mail,
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
  const { config } = options;
  const { runs } = engine;
  const control = createControl(controlOperations(deps, options, base, engine, late));
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
