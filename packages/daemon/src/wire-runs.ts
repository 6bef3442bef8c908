/**
 * Wires the runs of one life of a daemon: the kernel's door, the slots, the feed, and what is told of their events.
 *
 * Whoever calls brings the ledger, the agents, the cells and the performer, and may bring ones that crash (torture/).
 */
import type { OwnMessage } from '@runloop/bus';
import { type Clock, type Config, type Log, type Random, type RunEvent, toHex, type TraceId } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import { schema } from '@runloop/rmp';
import { type Cells, createKernel } from '@runloop/runtime';
import type { LogFile } from './home/log-file.ts';
import { EventFeed } from './runs/feed.ts';
import { kernelPorts } from './runs/kernel-ports.ts';
import type { AgentSource, HostPerformer, OperatorWill, QuarantinePort } from './runs/ports.ts';
import { Runs } from './runs/runs.ts';
import { Slots } from './runs/slots.ts';
import type { SpentCall } from './runs/tape.ts';
import { Values } from './runs/values.ts';
import type { Scrubber } from './secrets/scrubber.ts';

export type RunParts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly config: Pick<Config, 'runtime' | 'daemon' | 'security'>;
  readonly kb: Kb;
  readonly scrubber: Scrubber;
  readonly agents: AgentSource;
  readonly cells: Cells;
  readonly performer: (values: Values) => HostPerformer;
  readonly quarantine: QuarantinePort;
  readonly operator: OperatorWill;
  readonly homeDir: string;
  readonly publish: (topic: string, message: OwnMessage) => void;
  readonly agentLine: (line: Parameters<LogFile['line']>[0]) => void;
  /** What a run had called and spent before a restart; what it counts for when it has ended is nothing. */
  readonly runRecovered: (traceId: string, spent: readonly SpentCall[]) => void;
  readonly runEnded: (traceId: string) => void;
};

export type WiredRuns = {
  readonly runs: Runs;
  readonly slots: Slots;
  readonly feed: EventFeed;
  readonly performer: HostPerformer;
  readonly bootId: string;
};

export function wireRuns(parts: RunParts): WiredRuns {
  const { clock, random, log, config, kb, publish } = parts;
  const slots = new Slots(config.runtime.max_parallel, config.daemon.nodes_waiting_max);
  const values = new Values(kb, parts.scrubber);
  const feed = new EventFeed(clock, kb);
  const bootId = toHex(random.bytes(8));
  const performer = parts.performer(values);
  const kernel = createKernel(
    kernelPorts({
      runOf: (traceId) => runs.get(traceId),
      values,
      performer,
      audits: { deny: config.security.caps.audit_on_deny, allow: config.security.caps.audit_on_allow },
      scrub: (text) => parts.scrubber.scrub(text),
      log: (ctx, stream, level, text) => {
        const { trace_id, node, agent } = ctx;
        parts.agentLine({ ts_ms: clock.nowMs(), trace_id, node, agent, stream, level, text });
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
      if (event.kind === 'run.finished') parts.runEnded(event.trace_id);
      tell(`rlp/runs/${event.trace_id}/events`, schema.runEvent, event);
      if (event.kind === 'action.requested') tell('rlp/actions/requests', schema.actionRequest, event);
      if (event.kind === 'action.decided') tell('rlp/actions/decisions', schema.actionDecision, event);
    },
    lossy: (event: RunEvent): void => tell(`rlp/runs/${event.trace_id}/events`, schema.runEvent, event),
  };
  const { agents, cells, quarantine, operator, homeDir, scrubber } = parts;
  const runs: Runs = new Runs(
    {
      clock,
      random,
      log,
      ledger: kb,
      publisher,
      slots,
      scrubber,
      values,
      agents,
      cells,
      kernel,
      performer,
      operator,
      homeDir,
      quarantine,
      recovered: parts.runRecovered,
    },
    {
      runsMax: config.daemon.runs_max,
      maxParallel: config.runtime.max_parallel,
      bootId,
      failOnEmpty: config.security.caps.fail_on_empty,
    },
  );
  return { runs, slots, feed, performer, bootId };
}
