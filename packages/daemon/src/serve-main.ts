/**
 * What runloopd does: reads its settings, opens the daemon, serves until it is told to stop.
 *
 * Descriptor 3, where it is open, is told once that the daemon is ready, or why it is not, as one JSON line.
 */
import { closeSync, fstatSync, readFileSync, writeSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { errorTable, type Failure, loadConfig, showText, systemClock, systemRandom } from '@runloop/core';
import { peerCredentials } from '@runloop/sdk';
import { load } from 'js-yaml';
import { openDaemon } from './daemon.ts';
import { createCollect } from './home/collect.ts';
import { closeInherited } from './home/inherited.ts';
import { checkoutRoot } from './home/home.ts';
import { version } from './version.ts';

const usage = `runloopd ${version}: the Runloop daemon

usage: runloopd [--home <dir>] [--system]

  --home <dir>   the state directory (default: $RUNLOOP_HOME, then ~/.runloop)
  --system       serve the operators of this machine from /var/lib/runloop
  --version      print the version
  --help         print this
`;

/** Answers the exit code once the daemon has stopped. */
export async function serve(): Promise<number> {
  const { values } = parseArgs({
    options: {
      home: { type: 'string' },
      system: { type: 'boolean' },
      version: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return say(usage);
  if (values.version === true) return say(`${version}\n`);
  closeInherited();
  const { env } = process;
  const root =
    values.home ?? env['RUNLOOP_HOME'] ?? (values.system === true ? '/var/lib/runloop' : join(homedir(), '.runloop'));
  const config = loadConfig({
    env,
    userFile: join(root, 'config.yaml'),
    systemFile: '/etc/runloop/config.yaml',
    readText,
    parse: (text) => load(text),
  });
  if (!config.ok) return refuse(config.error);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  const collect = createCollect();
  const stop = Promise.withResolvers<string>();
  const opened = await openDaemon(
    {
      clock: systemClock,
      random: systemRandom,
      peer: peerCredentials,
      env,
      rssBytes: () => process.memoryUsage.rss(),
      loopDelayMs: () => Math.round(delay.percentile(99) / 1e4) / 100,
      stopRequested: () => stop.resolve('drain'),
      // Measuring wakes the process a hundred times a second: at rest nobody asks for it.
      woke: () => void delay.enable(),
      rested: () => {
        delay.disable();
        collect();
      },
    },
    {
      root,
      config: config.value.config,
      origin: config.value.origin,
      version,
      checkout: checkoutRoot(import.meta.dirname),
      mode: values.system === true ? 'system' : 'user',
      uid: process.getuid?.() ?? 0,
      pid: process.pid,
      spares: 1,
    },
  );
  if (!opened.ok) return refuse(opened.error);
  const daemon = opened.value;
  for (const warning of config.value.warnings) daemon.log.log('warn', warning);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.resolve(signal));
  tell({ ready: true, pid: process.pid, socket: daemon.home.socket });
  const why = await stop.promise;
  daemon.log.log('info', 'stopping', { why });
  await daemon[Symbol.asyncDispose]();
  return 0;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR')
      return undefined;
    throw error;
  }
}

/** Speaks to whoever started the daemon, if descriptor 3 is a pipe of theirs. */
function tell(message: unknown): void {
  try {
    if (!fstatSync(3).isFIFO() && !fstatSync(3).isSocket()) return;
    writeSync(3, `${JSON.stringify(message)}\n`);
    closeSync(3);
  } catch {
    // Nobody listens: the daemon was started by hand or by the init system.
  }
}

function refuse(failure: Failure): number {
  tell({ ready: false, error: failure });
  const hint = failure.hint === undefined ? '' : `\n  ${showText(failure.hint)}`;
  process.stderr.write(`runloopd: ${showText(failure.message)}${hint}\n`);
  return errorTable[failure.code].exit;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
