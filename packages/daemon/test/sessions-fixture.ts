/** A session server on a real socket in a folder of its own, with a control port that answers from a table. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type Socket, connect as connectSocket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import {
  type Failure,
  type Result,
  type RunEvent,
  type TraceId,
  failure,
  err,
  ok,
  systemClock,
  systemRandom,
  unwrap,
} from '@runloop/core';
import { type Bus, type BusLimits, createBus, defaultBusLimits } from '@runloop/bus';
import { type Decoded, type Frame, createDecoder, createRegistry, encodeMessage, schema } from '@runloop/rmp';
import { type Client, type ConnectOptions, connect, peerCredentials } from '@runloop/sdk';
import { type MemoryLog, memoryLog } from '@runloop/testkit';
import {
  type ControlRequest,
  type SessionLimits,
  type SessionServer,
  type SessionServerDeps,
  type Tokens,
  createSessionServer,
  defaultSessionLimits,
  openTokens,
} from '../src/index.ts';

export const registry: ReturnType<typeof createRegistry> = createRegistry();

export type Setup = {
  readonly bus?: Partial<BusLimits>;
  readonly limits?: Partial<SessionLimits>;
  readonly deps?: Partial<SessionServerDeps>;
  readonly control?: (request: ControlRequest) => Promise<Result<unknown, Failure>>;
};

export type Fixture = AsyncDisposable & {
  readonly server: SessionServer;
  readonly bus: Bus;
  readonly tokens: Tokens;
  readonly path: string;
  readonly stateDir: string;
  readonly log: MemoryLog;
  readonly asked: ControlRequest[];
  readonly operatorToken: () => string;
  readonly client: (options?: Partial<ConnectOptions>) => Promise<Client>;
  readonly raw: () => Promise<Raw>;
};

export async function fixture(setup: Setup = {}): Promise<Fixture> {
  const stateDir = mkdtempSync(join(tmpdir(), 'rl-'));
  const path = join(stateDir, 'sock', 'rmp.sock');
  const log = memoryLog();
  const busLimits = { ...defaultBusLimits, ...setup.bus };
  const bus = createBus({ clock: systemClock, registry, limits: busLimits });
  const tokens = unwrap(openTokens({ stateDir, clock: systemClock, random: systemRandom }), 'tokens open');
  const asked: ControlRequest[] = [];
  const server = createSessionServer({
    bus,
    busLimits,
    registry,
    control: {
      call: (request) => {
        asked.push(request);
        return (setup.control ?? echo)(request);
      },
    },
    tokens,
    peer: peerCredentials,
    clock: systemClock,
    random: systemRandom,
    log,
    limits: { ...defaultSessionLimits, ...setup.limits },
    server: { name: 'runloopd', version: '0.0.0-test' },
    mode: 'user',
    ownUid: userInfo().uid,
    ...setup.deps,
  });
  unwrap(await server.listen(path), 'the server listens');
  const open: { close: () => Promise<void> }[] = [];
  return {
    server,
    bus,
    tokens,
    path,
    stateDir,
    log,
    asked,
    operatorToken: () => readToken(stateDir),
    async client(options = {}) {
      const made = await connect({
        socketPath: path,
        kind: 'sdk',
        name: 'test',
        clock: systemClock,
        random: systemRandom,
        ...options,
      });
      const client = unwrap(made, 'the client connects');
      open.push({ close: async () => client[Symbol.asyncDispose]() });
      return client;
    },
    async raw() {
      const raw = await openRaw(path);
      open.push({ close: async () => void raw.socket.destroy() });
      return raw;
    },
    async [Symbol.asyncDispose]() {
      for (const one of open) await one.close();
      await server.close();
      bus[Symbol.dispose]();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

export const readToken = (stateDir: string): string => readFileSync(join(stateDir, 'operator.token'), 'utf8').trim();

const echo = (request: ControlRequest): Promise<Result<unknown, Failure>> => {
  if (request.op === 'run.events') return Promise.resolve(ok(runEvents(request.args)));
  if (request.op === 'kb.search')
    return Promise.resolve(err(failure('Busy', 'busy now', { hint: 'later', details: { a: 1 } })));
  return Promise.resolve(ok({ op: request.op, args: request.args, who: request.principal.type }));
};

/** Five events of a run, given two at a time. */
export function runEvents(args: unknown): { events: RunEvent[]; done: boolean } {
  const { trace_id, after_seq } = args as { trace_id: TraceId; after_seq: number };
  const kinds = ['run.accepted', 'run.started', 'node.ready', 'node.started', 'run.finished'] as const;
  const all = kinds.map((kind, i): RunEvent => ({
    seq: i + 1,
    ts_ms: 1_700_000_000_000 + i,
    trace_id,
    run_id: 'run_1',
    opening_id: 'o',
    kind,
    level: 'info',
    message: kind,
    meta: {},
  }));
  return { events: all.filter((event) => (event.seq ?? 0) > after_seq).slice(0, 2), done: after_seq >= kinds.length };
}

export type Raw = {
  readonly socket: Socket;
  readonly frames: Frame[];
  send(bytes: Uint8Array): void;
  /** Waits until the server has sent `count` frames or closed. */
  wait(count: number): Promise<void>;
  readonly closed: Promise<void>;
};

async function openRaw(path: string): Promise<Raw> {
  const socket = connectSocket(path);
  const frames: Frame[] = [];
  const decoder = createDecoder({ registry, nowMs: () => 0 });
  let wake: () => void = () => undefined;
  const state = { ended: false };
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      state.ended = true;
      wake();
      resolve();
    });
  });
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    for (let item: Decoded | undefined = decoder.next(); item !== undefined; item = decoder.next()) {
      if (item.type === 'frame') frames.push(item);
    }
    wake();
  });
  await new Promise((resolve) => socket.once('connect', resolve));
  return {
    socket,
    frames,
    closed,
    send: (bytes) => void socket.write(bytes),
    async wait(count) {
      while (frames.length < count && !state.ended) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

let counter = Date.now() * 1024;

export function encode(
  schemaId: number,
  payload: unknown,
  meta?: { readonly [key: string]: unknown },
  traceId = 'a'.repeat(32),
): Buffer {
  counter += 1;
  const message = {
    schemaId,
    payload,
    createdAtMs: Date.now(),
    ttlMs: 30_000,
    traceId: traceId as TraceId,
    msgId: BigInt(counter),
  };
  return Buffer.from(
    unwrap(encodeMessage(registry, meta === undefined ? message : { ...message, meta }), 'it encodes'),
  );
}

export const hello = (token?: string): Buffer =>
  encode(schema.agentHello, { v: 1, kind: 'sdk', name: 'raw', ...(token === undefined ? {} : { token }) });

export const codeOf = (frame: Frame | undefined): unknown => (frame?.payload() as { code?: string } | undefined)?.code;
