/**
 * Opening a session: connect, check who listens, say hello.
 *
 * 1. A token is sent only after the kernel said that the server runs under our own uid, or one that is trusted.
 * 2. The frame codec is loaded here and not before: to import this package costs next to nothing.
 */
import { connect as connectSocket, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import {
  type Clock,
  type Failure,
  type Random,
  type Result,
  err,
  failure,
  ok,
  socketPathBytesMax,
} from '@runloop/core';
import type { Frame, Value } from '@runloop/rmp';
import type { Client, Welcome } from './client.ts';
import { helloTimeoutMs } from './limits.ts';
import { peerCredentials } from './peer.ts';

export type ConnectOptions = {
  readonly socketPath: string;
  readonly kind: 'cli' | 'tui' | 'ui' | 'sdk' | 'bridge';
  readonly name: string;
  readonly token?: string;
  /** Uids beside our own whose daemon may see the token: that of the system user `runloop`. */
  readonly trustedUids?: readonly number[];
  readonly clock: Clock;
  readonly random: Random;
};

export async function connect(options: ConnectOptions): Promise<Result<Client, Failure>> {
  const [opened, rmp, { Connection }, { createClient }] = await Promise.all([
    open(options.socketPath),
    import('@runloop/rmp'),
    import('./connection.ts'),
    import('./client.ts'),
  ]);
  if (!opened.ok) return opened;
  const socket = opened.value;
  const trusted = options.token === undefined ? ok(undefined) : checkServer(socket, options);
  if (!trusted.ok) {
    socket.destroy();
    return trusted;
  }
  const gone = Promise.withResolvers<Failure>();
  let take: (frame: Frame) => void = () => undefined;
  const { clock, random, kind, name, token } = options;
  const connection = new Connection({
    socket,
    registry: rmp.createRegistry(),
    clock,
    random,
    onFrame: (frame) => take(frame),
    onClose: gone.resolve,
  });
  const payload = { v: 1, kind, name, ...(token === undefined ? {} : { token }) };
  const hello = await connection.ask({ schemaId: rmp.schema.agentHello, payload }, { timeoutMs: helloTimeoutMs });
  const welcome = hello.ok ? welcomeOf(hello.value) : undefined;
  if (!hello.ok || welcome === undefined) {
    socket.destroy();
    return hello.ok ? err(failure('DaemonUnavailable', 'the daemon answered the hello with something else')) : hello;
  }
  return ok(createClient(connection, welcome, gone.promise, (fn) => (take = fn)));
}

function open(path: string): Promise<Result<Socket, Failure>> {
  if (Buffer.byteLength(path) > socketPathBytesMax) {
    const message = `the socket path is longer than ${socketPathBytesMax} bytes: ${path}`;
    return Promise.resolve(
      err(failure('InvalidConfig', message, { hint: 'Set runtime.socket_path to something shorter.' })),
    );
  }
  return new Promise((resolve) => {
    const where = { path, highWaterMark: 256 * 1024 };
    const socket = connectSocket(where);
    const failed = (error: Error): void => {
      socket.destroy();
      const hint = 'Start it with `rlp daemon start`, or name its socket in runtime.socket_path.';
      resolve(err(failure('DaemonUnavailable', `no daemon listens on ${path} (${error.message})`, { hint })));
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      resolve(ok(socket));
    });
  });
}

function checkServer(socket: Socket, options: ConnectOptions): Result<void, Failure> {
  const peer = peerCredentials(socket);
  if (!peer.ok) return peer;
  const own = userInfo().uid;
  const { uid } = peer.value;
  if (uid === own || options.trustedUids?.includes(uid) === true) return ok(undefined);
  const message = `the daemon on ${options.socketPath} runs under uid ${uid}, not ${own}: the token was not sent`;
  return err(
    failure('Forbidden', message, { hint: 'Somebody else made this socket. Remove it, or name the right one.' }),
  );
}

function welcomeOf(frame: Frame): Welcome | undefined {
  const payload = frame.payload();
  if (typeof payload !== 'object' || payload === null) return undefined;
  const read = (key: string): unknown => Reflect.get(payload, key);
  const session = read('session');
  const server = read('server');
  const kind = read('kind');
  const limits = read('limits');
  if (typeof session !== 'string' || typeof server !== 'string' || typeof kind !== 'string') return undefined;
  const known = typeof limits === 'object' && limits !== null ? (limits as { readonly [name: string]: Value }) : {};
  return { session, server, kind, limits: known };
}
