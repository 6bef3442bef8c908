/**
 * The other processes of bench/bus.ts: `daemon`, `relay`, `responder`, `echo`, `sink`, each told its socket as an argument.
 *
 * `daemon` is the real session server with a control port that knows nothing. `relay` joins its two connections byte by byte.
 */
import { type Socket, connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { createBus, defaultBusLimits } from '@runloop/bus';
import { type TraceId, err, failure, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { createSessionServer, defaultSessionLimits } from '@runloop/daemon';
import { createDecoder, createRegistry, encodeMessage, msgIdOffset, schema } from '@runloop/rmp';

const registry = createRegistry();
let msgId = Date.now() * 1024 + process.pid;

export function encode(schemaId: number, payload: unknown, meta?: { readonly [key: string]: unknown }): Uint8Array {
  msgId += 1;
  const message = {
    schemaId,
    payload,
    createdAtMs: Date.now(),
    ttlMs: 60_000,
    traceId: 'ab'.repeat(16) as TraceId,
    msgId: BigInt(msgId),
  };
  return unwrap(encodeMessage(registry, meta === undefined ? message : { ...message, meta }), 'it encodes');
}

export const hello = (): Uint8Array => encode(schema.agentHello, { v: 1, kind: 'sdk', name: 'bench' });
export const subscribe = (topic: string): Uint8Array =>
  encode(schema.subscribe, { v: 1, sub: 1, topic }, { ack: true });

const say = (word: string): boolean => process.stdout.write(`${word}\n`);

async function daemon(path: string): Promise<void> {
  const limits = { ...defaultBusLimits };
  const bus = createBus({ clock: systemClock, registry, limits });
  const server = createSessionServer({
    bus,
    busLimits: limits,
    registry,
    control: { call: () => Promise.resolve(err(failure('NotFound', 'there is no control here'))) },
    tokens: { verify: () => undefined, onRevoked: () => ({ [Symbol.dispose]: () => undefined }) },
    peer: () => ok({ uid: userInfo().uid, gid: 0, pid: 0 }),
    clock: systemClock,
    random: systemRandom,
    log: { log: () => undefined },
    limits: defaultSessionLimits,
    server: { name: 'bench', version: '0' },
    mode: 'user',
    ownUid: userInfo().uid,
  });
  unwrap(await server.listen(path), 'it listens');
  process.stdin.on('data', () => {
    say(JSON.stringify({ ...server.stats(), rss: process.memoryUsage.rss() }));
  });
  // An orderly end, so that a profile of it can be written.
  process.once('SIGTERM', () => process.exit());
  say('ready');
}

function relay(path: string): void {
  const sockets: Socket[] = [];
  createServer((socket) => {
    const index = sockets.push(socket) - 1;
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => sockets[index ^ 1]?.write(chunk));
  }).listen(path, () => say('ready'));
}

/** Gives a frame made before another message id, and a reply the id of the request that it answers. */
export function renumber(frame: Uint8Array, msgIdNow: bigint, inReplyTo?: bigint): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  view.setBigUint64(msgIdOffset, msgIdNow);
  if (inReplyTo !== undefined) view.setBigUint64(frame.byteLength - 8, inReplyTo);
  return frame;
}

export const freshId = (): bigint => {
  msgId += 1;
  return BigInt(msgId);
};

/** Answers each request with as many bytes as it got; `in_reply_to` stands last, so that the frame can be made before. */
function responder(path: string): void {
  const socket = connect(path);
  const decoder = createDecoder({ registry, nowMs: () => 0 });
  const body = Buffer.alloc(1024);
  const made = new Map<string, Uint8Array>();
  socket.write(hello());
  socket.write(subscribe('bench/request'));
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    for (let item = decoder.next(); item !== undefined; item = decoder.next()) {
      if (item.type === 'error') throw new Error(item.code);
      if (item.schemaId === schema.ack) say('ready');
      const replyTo = item.meta?.['reply_to'];
      if (typeof replyTo !== 'string') continue;
      let frame = made.get(replyTo);
      if (frame === undefined) made.set(replyTo, (frame = encode(4, body, { topic: replyTo, in_reply_to: 1n << 60n })));
      const asked = new DataView(item.source.buffer, item.source.byteOffset + item.start).getBigUint64(msgIdOffset);
      socket.write(renumber(frame, freshId(), asked));
    }
  });
}

function echo(path: string): void {
  const socket = connect(path, () => say('ready'));
  socket.on('data', (chunk) => void socket.write(chunk));
}

/** Counts what it gets, and says so each time it has got `every` more. */
function sink(path: string, every: number): void {
  const socket = connect(path);
  const decoder = createDecoder({ registry, nowMs: () => 0 });
  socket.write(hello());
  socket.write(subscribe('bench/flow'));
  let got = 0;
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    for (let item = decoder.next(); item !== undefined; item = decoder.next()) {
      if (item.type === 'error') throw new Error(item.code);
      if (item.schemaId === schema.ack) say('ready');
      if (item.schemaId !== 1) continue;
      got += 1;
      if (got % every === 0) say(String(got));
    }
  });
}

const [, script, role, path = '', every = '0'] = process.argv;
if (script?.endsWith('bus-child.ts') === true) {
  if (role === 'daemon') await daemon(path);
  else if (role === 'relay') relay(path);
  else if (role === 'responder') responder(path);
  else if (role === 'echo') echo(path);
  else if (role === 'sink') sink(path, Number(every));
}
