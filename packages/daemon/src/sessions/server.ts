/**
 * The daemon's door: a Unix socket, and a session for each who connects.
 *
 * 1. Nothing is bound before the path is found fit; the socket is 0600 (user) or 0660 (system).
 * 2. In user mode a foreign uid, as the kernel tells it, is refused before it says anything.
 * 3. `drain` tells everybody; `close` stops listening, then ends every session, and returns when all are gone.
 */
import { chmod } from 'node:fs/promises';
import { type Server, type Socket, createServer } from 'node:net';
import { type Failure, type Result, err, failure, ok, toHex } from '@runloop/core';
import type { BusStats, OwnMessage } from '@runloop/bus';
import { encodeMessage, schema } from '@runloop/rmp';
import { createIdempotency } from './idempotency.ts';
import { socketBufferBytes } from './limits.ts';
import type { Peer } from './ports.ts';
import { Session } from './session.ts';
import type { ServerContext, SessionServerDeps } from './context.ts';
import { prepareSocketPath } from './socket-path.ts';

export type SessionServerStats = BusStats & { readonly connections: number; readonly refused: number };

export interface SessionServer {
  listen(path: string): Promise<Result<void, Failure>>;
  /** Publishes an event of the daemon's own. */
  publish(topic: string, message: OwnMessage): Result<number, Failure>;
  drain(): void;
  close(): Promise<void>;
  stats(): SessionServerStats;
}

export function createSessionServer(deps: SessionServerDeps): SessionServer {
  const sessions = new Map<string, Session>();
  let refused = 0;
  let server: Server | undefined;
  const isOperator = deps.mode === 'system' ? (deps.isOperator ?? ((peer: Peer) => peer.uid === 0)) : () => false;
  const context: ServerContext = {
    ...deps,
    isOperator,
    idempotency: createIdempotency(deps.clock, deps.limits),
    closed: (id) => void sessions.delete(id),
  };
  const revocations = deps.tokens.onRevoked((id) => {
    for (const session of sessions.values()) if (session.principal?.id === id) session.revoke();
  });

  const accept = (socket: Socket): void => {
    const peer = deps.peer(socket);
    const problem = !peer.ok
      ? peer.error
      : deps.mode === 'user' && peer.value.uid !== deps.ownUid
        ? failure('Forbidden', `this daemon serves uid ${deps.ownUid} alone, not ${peer.value.uid}`)
        : sessions.size >= deps.limits.sessionsMax
          ? failure('LimitExceeded', `${deps.limits.sessionsMax} sessions are open, more are not served`)
          : undefined;
    if (!peer.ok || problem !== undefined) {
      refused += 1;
      const reason = problem ?? failure('Internal', 'the peer is unknown');
      deps.log.log('warn', 'connection refused', { code: reason.code, message: reason.message });
      turnAway(deps, socket, reason);
      return;
    }
    const id = `s${toHex(deps.random.bytes(8))}`;
    sessions.set(id, new Session(context, socket, peer.value, id));
  };

  return {
    async listen(path) {
      const fit = await prepareSocketPath(path, deps.mode);
      if (!fit.ok) return fit;
      const bound = createServer({ highWaterMark: socketBufferBytes, allowHalfOpen: true }, accept);
      const started = await start(bound, path);
      if (!started.ok) return started;
      server = bound;
      await chmod(path, deps.mode === 'user' ? 0o600 : 0o660);
      return ok(undefined);
    },
    publish(topic, message) {
      const delivered = deps.bus.publish(topic, message);
      deps.bus.flush();
      return delivered;
    },
    drain() {
      for (const session of sessions.values()) session.sendDrain();
    },
    async close() {
      revocations[Symbol.dispose]();
      const gone = new Promise<void>((resolve) => {
        if (server === undefined) resolve();
        else server.close(() => resolve());
      });
      for (const session of sessions.values()) session.close();
      await gone;
    },
    stats: () => ({ ...deps.bus.stats(), connections: sessions.size, refused }),
  };
}

function start(server: Server, path: string): Promise<Result<void, Failure>> {
  return new Promise((resolve) => {
    server.once('error', (error) => {
      resolve(err(failure('InvalidConfig', `the daemon cannot listen on ${path}: ${error.message}`)));
    });
    server.listen(path, () => resolve(ok(undefined)));
  });
}

function turnAway(deps: SessionServerDeps, socket: Socket, reason: Failure): void {
  socket.on('error', () => socket.destroy());
  const report = encodeMessage(deps.registry, {
    schemaId: schema.errorReport,
    payload: { v: 1, code: reason.code, message: reason.message },
    createdAtMs: deps.clock.nowMs(),
    ttlMs: deps.limits.closeMsMax,
    traceId: '0'.repeat(32) as Parameters<typeof encodeMessage>[1]['traceId'],
    msgId: 0n,
  });
  if (report.ok) socket.write(report.value);
  socket.destroySoon();
}
