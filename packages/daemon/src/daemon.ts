/**
 * The one place that wires: opens what a daemon needs in order, and closes it in reverse.
 *
 * 1. The ledger's lock comes first: a second daemon on the same state directory is refused before it touches anything.
 * 2. The socket is open only when everything behind it works; then unfinished runs go on.
 */
import { join } from 'node:path';
import { createBus, defaultBusLimits } from '@runloop/bus';
import {
  type Clock,
  type Config,
  type Failure,
  ok,
  type Random,
  type Result,
  type RunEvent,
  toHex,
  type TraceId,
} from '@runloop/core';
import { type Kb, openKb } from '@runloop/kb';
import { createRegistry, schema } from '@runloop/rmp';
import { type Cells, createCells, createKernel, hostKey } from '@runloop/runtime';
import { AgentRegistry } from './agents/registry.ts';
import { actionOperations } from './control/action-operations.ts';
import { agentOperations } from './control/agent-operations.ts';
import { createControl } from './control/control.ts';
import { daemonOperations } from './control/daemon-operations.ts';
import { kbOperations } from './control/kb-operations.ts';
import { modelOperations } from './control/model-operations.ts';
import { runOperations } from './control/run-operations.ts';
import { createModels } from './host/models.ts';
import { createPerformer } from './host/performer.ts';
import { type Home, homeAt, makeHome, searchDirs } from './home/home.ts';
import { LogFile } from './home/log-file.ts';
import { EventFeed } from './runs/feed.ts';
import { kernelPorts } from './runs/kernel-ports.ts';
import { Runs } from './runs/runs.ts';
import { Slots } from './runs/slots.ts';
import { Values } from './runs/values.ts';
import { createSessionServer, defaultSessionLimits, type PeerPort, type SessionServer } from './sessions/index.ts';
import { openTokens } from './tokens/index.ts';

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
  /** Somebody asked the daemon to stop. */
  readonly stopRequested: () => void;
};

export interface Daemon extends AsyncDisposable {
  readonly home: Home;
  readonly kb: Kb;
  readonly runs: Runs;
  readonly cells: Cells;
  readonly agents: AgentRegistry;
  readonly sessions: SessionServer;
  readonly log: LogFile;
}

export async function openDaemon(deps: DaemonDeps, options: DaemonOptions): Promise<Result<Daemon, Failure>> {
  const { clock, random } = deps;
  const { config, root } = options;
  const home = homeAt(root, config);
  const made = makeHome(root);
  if (!made.ok) return made;
  await using opening = new AsyncDisposableStack();
  const log = opening.use(new LogFile(home.logFile, clock, config.logging.level));
  const agentLog = opening.use(new LogFile(join(root, 'logs', 'agents.log'), clock, 'trace'));
  const kb = await openKb(
    { clock, random, log },
    { rootDir: home.kb, eventsDb: join(home.kb, config.kb.events_db), viewDb: join(home.kb, config.kb.view_db) },
  );
  if (!kb.ok) return kb;
  opening.use(kb.value);
  const key = await hostKey(home.keys);
  if (!key.ok) return key;
  const tokens = openTokens({ stateDir: root, clock, random });
  if (!tokens.ok) return tokens;
  const models = createModels({ clock, random, log, env: deps.env }, config);
  if (!models.ok) return models;
  opening.defer(() => models.value.close());
  const cells = opening.use(
    createCells(
      { clock, random, log, hostKey: key.value },
      { cacheDir: join(home.cache, 'cells'), spares: options.spares },
    ),
  );
  const agents = new AgentRegistry({ clock, random, hostKey: key.value }, registryOptions(options, home));
  const slots = new Slots(config.runtime.max_parallel, config.daemon.nodes_waiting_max);
  const values = new Values(kb.value);
  const feed = new EventFeed(clock, kb.value);
  const bootId = toHex(random.bytes(8));
  const beganMs = clock.monotonicMs();
  const performer = createPerformer({
    clock,
    kb: kb.value,
    values,
    models: models.value,
    execTimeoutMs: config.runtime.exec_timeout_ms,
  });
  const kernel = createKernel(
    kernelPorts({
      runOf: (traceId) => runs.get(traceId),
      values,
      performer,
      log: (ctx, stream, level, text) => {
        agentLog.line({
          ts_ms: clock.nowMs(),
          trace_id: ctx.trace_id,
          node: ctx.node,
          agent: ctx.agent,
          stream,
          level,
          text,
        });
        const kind = stream === 'stdout' ? 'node.stdout' : 'node.stderr';
        runs.get(ctx.trace_id)?.driver.lossy(kind, text, { node: ctx.node, level, stream });
      },
    }),
  );
  const publisher = {
    published(event: RunEvent): void {
      feed.news(event.trace_id);
      if (event.kind === 'run.finished') models.value.endRun(event.trace_id);
      tell(event);
      if (event.kind === 'action.requested')
        sessions.publish('rlp/actions/requests', {
          schemaId: schema.actionRequest,
          payload: event,
          traceId: event.trace_id as TraceId,
        });
    },
    lossy: (event: RunEvent): void => tell(event),
  };
  const tell = (event: RunEvent): void => {
    sessions.publish(`rlp/runs/${event.trace_id}/events`, {
      schemaId: schema.runEvent,
      payload: event,
      traceId: event.trace_id as TraceId,
    });
  };
  const runs = new Runs(
    { clock, random, log, ledger: kb.value, publisher, slots, values, agents, cells, kernel },
    { runsMax: config.daemon.runs_max, maxParallel: config.runtime.max_parallel, bootId },
  );
  const busLimits = {
    ...defaultBusLimits,
    queueFramesMax: config.bus.queue_frames_max,
    sendTimeoutMs: config.bus.send_timeout_ms,
    slowConsumerMs: config.bus.slow_consumer_ms,
    dedupeKeysMax: config.bus.dedupe_keys_max,
  };
  const registry = createRegistry();
  const bus = opening.use(createBus({ clock, limits: busLimits, registry }));
  const dirs = searchDirs(config.openings.search_dirs, root, options.checkout);
  const control = createControl({
    ...daemonOperations({
      version: options.version,
      home: root,
      socket: home.socket,
      pid: options.pid,
      bootId,
      uptimeMs: () => clock.monotonicMs() - beganMs,
      rssBytes: deps.rssBytes,
      loopDelayMs: deps.loopDelayMs,
      bus: () => sessions.stats(),
      drain: () => {
        runs.drain();
        sessions.drain();
        deps.stopRequested();
      },
      runs,
      slots,
      cells,
      tokens: tokens.value,
      config,
      origin: options.origin,
    }),
    ...runOperations({ kb: kb.value, runs, feed, openingDirs: dirs }),
    ...actionOperations({ kb: kb.value, runs }),
    ...kbOperations(kb.value),
    ...agentOperations({ agents, cells }),
    ...modelOperations({ models: models.value, kb: kb.value }),
  });
  const sessions = createSessionServer({
    bus,
    busLimits,
    registry,
    control,
    tokens: tokens.value,
    peer: deps.peer,
    owners: { ownerOf: (traceId) => runs.get(traceId)?.driver.identity.actor },
    clock,
    random,
    log,
    limits: { ...defaultSessionLimits, bodyBytesMax: config.bus.body_bytes_max },
    server: { name: 'runloopd', version: options.version },
    mode: options.mode,
    ownUid: options.uid,
  });
  opening.defer(() => runs.close());
  opening.defer(() => sessions.close());
  const listening = await sessions.listen(home.socket);
  if (!listening.ok) return listening;
  opening.defer(() => sessions.drain());
  const recovered = await runs.recover();
  if (!recovered.ok) return recovered;
  log.log('info', 'ready', { socket: home.socket, recovered: recovered.value, boot: bootId, pid: options.pid });
  if (config.security.confirm_external_actions === false)
    log.log('warn', 'security.confirm_external_actions is false: what leaves is not asked about');
  const opened = opening.move();
  return ok({
    home,
    kb: kb.value,
    runs,
    cells,
    agents,
    sessions,
    log,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  });
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
