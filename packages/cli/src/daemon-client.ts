/**
 * Finds the daemon, or starts it, and opens a session as the operator.
 *
 * 1. A socket that the configuration names wins; unreachable is an error at once.
 * 2. With RUNLOOP_HOME set no socket elsewhere is tried; without it, the user's comes before the system's.
 * 3. Starting says so once, and waits no longer than runtime.spawn_ready_timeout_ms.
 */
import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Config,
  err,
  failure,
  type Failure,
  isErrorCode,
  isJsonObject,
  makeDirectory,
  ok,
  parseJson,
  type Result,
  sleep,
  systemClock,
  systemRandom,
} from '@runloop/core';
import { type Client, connect } from '@runloop/sdk';
import { type Environment, nodePath } from './environment.ts';

/** Where the system's daemon listens. */
export const systemSocket = '/run/runloop/rmp.sock';

export type Place = { readonly socket: string; readonly fixed: boolean };

export function socketsOf(environment: Environment, config: Config): readonly Place[] {
  const { socket_path: path, sockets_dir: dir } = config.runtime;
  if (path !== '') return [{ socket: expand(path, environment.root), fixed: true }];
  if (dir !== '') return [{ socket: join(expand(dir, environment.root), 'rmp.sock'), fixed: false }];
  const own = { socket: join(environment.root, 'sock', 'rmp.sock'), fixed: false };
  return environment.rootGiven ? [own] : [own, { socket: systemSocket, fixed: false }];
}

export async function connectDaemon(
  environment: Environment,
  config: Config,
  options: { readonly start: boolean; readonly note: (text: string) => void },
): Promise<Result<Client, Failure>> {
  const places = socketsOf(environment, config);
  for (const { socket, fixed } of places) {
    if (!fixed && !existsSync(socket)) continue;
    const client = await open(environment, socket);
    if (client.ok || fixed || client.error.code !== 'DaemonUnavailable') return client;
  }
  if (!options.start || !config.daemon.autostart) {
    return err(
      failure('DaemonUnavailable', `no daemon listens at ${places[0]?.socket}`, { hint: 'start it: rlp daemon start' }),
    );
  }
  options.note(`starting the daemon (state in ${environment.root})`);
  const started = await startDaemon(environment, config);
  return started.ok ? open(environment, started.value.socket) : started;
}

async function open(environment: Environment, socketPath: string): Promise<Result<Client, Failure>> {
  const token = readToken(environment.root);
  return connect({
    socketPath,
    kind: 'cli',
    name: 'rlp',
    clock: systemClock,
    random: systemRandom,
    ...(token === undefined ? {} : { token }),
  });
}

function readToken(root: string): string | undefined {
  try {
    return readFileSync(join(root, 'operator.token'), 'utf8').trim();
  } catch {
    return undefined;
  }
}

export type Started = { readonly pid: number; readonly socket: string };

/** Variables that a daemon may inherit: what finds programs, homes and words, nothing that changes how code is loaded. */
const inherited = [
  'HOME',
  'PATH',
  'LANG',
  'LC_ALL',
  'TZ',
  'USER',
  'LOGNAME',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
];

export async function startDaemon(environment: Environment, config: Config): Promise<Result<Started, Failure>> {
  const logDir = join(environment.root, 'logs');
  const made = makeDirectory(logDir);
  if (!made.ok)
    return err({
      ...made.error,
      message: `the state directory: ${made.error.message}`,
      hint: 'set RUNLOOP_HOME to a directory that you may write to',
    });
  const log = join(logDir, 'daemon.out');
  const output = openLog(log);
  if (typeof output === 'string')
    return err(
      failure('StorageReadOnly', `the state directory: ${log} cannot be written: ${output}`, {
        hint: 'set RUNLOOP_HOME to a directory that you may write to',
      }),
    );
  const env = Object.fromEntries(
    Object.entries(environment.env).filter(([name]) => inherited.includes(name) || name.startsWith('RUNLOOP_')),
  );
  // Memory that threads have freed goes back to the system instead of into arenas of their own.
  Object.assign(env, { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072' });
  const command = [nodePath, ...daemonMain(), '--home', environment.root];
  // No core dump of it, nor of anything that it starts: a cell's memory is not for the disk.
  const child = spawn('/bin/sh', ['-c', 'ulimit -c 0; exec "$@"', 'runloopd', ...command], {
    detached: true,
    cwd: '/',
    env,
    stdio: ['ignore', output, output, 'pipe'],
  });
  const ready = await firstLine(child.stdio[3] as NodeJS.ReadableStream, config.runtime.spawn_ready_timeout_ms);
  child.unref();
  const message = ready === undefined ? undefined : parseJson(ready);
  if (message?.ok === true && isJsonObject(message.value)) {
    const { ready: isReady, pid, socket, error } = message.value;
    if (isReady === true) return ok({ pid: Number(pid), socket: String(socket) });
    if (isJsonObject(error)) {
      const code = String(error['code']);
      const hint = error['hint'];
      return err(
        failure(
          isErrorCode(code) ? code : 'DaemonUnavailable',
          String(error['message']),
          typeof hint === 'string' ? { hint } : {},
        ),
      );
    }
  }
  return err(
    failure('DaemonUnavailable', 'the daemon did not become ready', {
      hint: `see ${join(logDir, 'daemon.out')} and daemon.log`,
    }),
  );
}

function openLog(path: string): number | string {
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** How to run the daemon's main file: the built one, or the source from a checkout in development. */
export function daemonMain(): string[] {
  const index = fileURLToPath(import.meta.resolve('@runloop/daemon'));
  return index.endsWith('.ts')
    ? ['--conditions=source', join(dirname(index), 'main.ts')]
    : [join(dirname(index), 'main.js')];
}

function firstLine(stream: NodeJS.ReadableStream, timeoutMs: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    const end = text.indexOf('\n');
    if (end !== -1) resolve(text.slice(0, end));
  });
  stream.on('end', () => resolve(undefined));
  stream.on('error', () => resolve(undefined));
  void sleep(systemClock, timeoutMs).then(() => resolve(undefined));
  return promise.finally(() => (stream as unknown as { destroy(): void }).destroy());
}

function expand(path: string, root: string): string {
  return path.startsWith('~/.runloop/')
    ? join(root, path.slice('~/.runloop/'.length))
    : path.startsWith('~/')
      ? join(dirname(root), path.slice(2))
      : path;
}
