/**
 * rlp daemon: start, stop, look.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, isJsonObject, type JsonObject, sleep, systemClock } from '@runloop/core';
import { type Arguments, type Command, number, type Tools } from '../command.ts';
import { startDaemon } from '../daemon-client.ts';
import { duration, counted } from '../screen.ts';
import { frozenLine } from './bill.ts';

/** How long a stopping daemon may take until rlp says that it has not stopped. */
const stopMsMax = 10_000;

export const commands: readonly Command[] = [
  {
    usage: 'daemon start',
    about: 'start the daemon in the background',
    examples: [['rlp daemon start', 'prints its pid']],
    run: start,
  },
  {
    usage: 'daemon stop',
    about: 'stop the daemon; runs that are under way go on at its next start',
    examples: [['rlp daemon stop', '']],
    run: stop,
  },
  {
    usage: 'daemon status',
    about: 'is it running, since when, with what',
    examples: [['rlp daemon status --json', '{running, pid, socket, version, uptime_ms, home}']],
    run: status,
  },
  {
    usage: 'daemon logs',
    about: "the end of the daemon's log",
    options: { lines: { type: 'number', alias: 'n', about: 'how many', default: 50 } },
    examples: [['rlp daemon logs -n 5', '']],
    run: logs,
  },
];

async function start(_args: Arguments, tools: Tools): Promise<number> {
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const running = await tools.connect({ start: false });
  if (running.ok) {
    const found = await running.value.call('daemon.status', {});
    const pid = found.ok && isJsonObject(found.value) ? found.value['pid'] : undefined;
    if (tools.json) tools.screen.json({ started: false, running: true, pid });
    else tools.screen.note(`the daemon runs already (pid ${String(pid)})`);
    return 0;
  }
  if (running.error.code !== 'DaemonUnavailable') return tools.fail(running.error);
  const started = await startDaemon(tools.environment, config.value.config);
  if (!started.ok) return tools.fail(started.error);
  if (tools.json) tools.screen.json({ started: true, running: true, ...started.value });
  else tools.screen.line(`the daemon runs (pid ${started.value.pid}) at ${started.value.socket}`);
  return 0;
}

async function stop(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect({ start: false });
  if (!client.ok) {
    if (client.error.code !== 'DaemonUnavailable') return tools.fail(client.error);
    if (tools.json) tools.screen.json({ running: false });
    else tools.screen.note('no daemon is running');
    return 0;
  }
  const status = await client.value.call('daemon.status', {});
  if (!status.ok) return tools.fail(status.error);
  const pid = Number((status.value as JsonObject)['pid']);
  const asked = await client.value.call('daemon.drain', {});
  if (!asked.ok && asked.error.code !== 'DaemonUnavailable') return tools.fail(asked.error);
  for (let waited = 0; waited < stopMsMax && isAlive(pid); waited += 20) await sleepRef(20);
  if (isAlive(pid))
    return tools.fail(
      failure('Busy', `the daemon (pid ${pid}) is still stopping after ${duration(stopMsMax)}`, {
        hint: 'see: rlp daemon logs',
      }),
    );
  if (tools.json) tools.screen.json({ running: false, stopped: pid });
  else tools.screen.line(`stopped (pid ${pid})`);
  return 0;
}

async function status(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect({ start: false });
  if (!client.ok) {
    if (client.error.code !== 'DaemonUnavailable') return tools.fail(client.error);
    if (tools.json) tools.screen.json({ running: false, home: tools.environment.root });
    else tools.screen.line(`not running (state in ${tools.environment.root})`);
    return 69;
  }
  const found = await client.value.call('daemon.status', {});
  if (!found.ok) return tools.fail(found.error);
  if (tools.json) {
    tools.screen.json(found.value);
    return 0;
  }
  const state = found.value as unknown as {
    pid: number;
    version: string;
    uptime_ms: number;
    socket: string;
    home: string;
    rss_bytes: number;
    runs: number;
    nodes: { running: number; waiting: number };
    cells: { alive: number; spare: number };
    storage: readonly { message: string }[];
    frozen_budgets: readonly string[];
  };
  tools.screen.line(`running   pid ${state.pid}, version ${state.version}, for ${duration(state.uptime_ms)}`);
  tools.screen.line(`socket    ${state.socket}`);
  tools.screen.line(`state     ${state.home}`);
  tools.screen.line(`memory    ${Math.round(state.rss_bytes / 1024 / 1024)} MiB`);
  tools.screen.line(
    `runs      ${state.runs} under way, ${counted(state.nodes.running, 'node')} running, ${state.nodes.waiting} waiting`,
  );
  tools.screen.line(`cells     ${state.cells.alive} alive, ${state.cells.spare} spare`);
  for (const key of state.frozen_budgets) tools.screen.line(tools.screen.paint('red', frozenLine(key)));
  for (const { message } of state.storage) tools.screen.line(tools.screen.paint('red', `storage   ${message}`));
  return 0;
}

async function logs(args: Arguments, tools: Tools): Promise<number> {
  const path = join(tools.environment.root, 'logs', 'daemon.log');
  let lines: string[];
  try {
    lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  } catch {
    tools.screen.note(`there is no log at ${path}`);
    return 0;
  }
  for (const line of lines.slice(-(number(args, 'lines') ?? 50))) tools.screen.line(line);
  return 0;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function sleepRef(ms: number): Promise<void> {
  const channel = new MessageChannel();
  channel.port1.ref();
  await sleep(systemClock, ms);
  channel.port1.close();
}
