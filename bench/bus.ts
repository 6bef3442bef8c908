/**
 * The bus through the daemon's sockets, against a bare relay of as many bytes over the same hops in as many processes.
 *
 * Where the `nats` client and `nats-server` are not both there, their rows are left out.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createDecoder, createRegistry, msgIdOffset, schema } from '@runloop/rmp';
import { encode, freshId, hello, renumber, subscribe } from './bus-child.ts';
import { type BenchRow, percentile } from './types.ts';

const payload = Buffer.alloc(1024);
const blockRequests = 500;
const warmRounds = 8;
const rounds = 16;
const flowMessages = 400_000;
const batchFrames = 64;

type Child = { readonly process: ChildProcess; next(): Promise<string> };

function start(role: string, path: string, every = 0): Child {
  const child = spawn(
    process.execPath,
    ['--conditions=source', join(import.meta.dirname, 'bus-child.ts'), role, path, String(every)],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { process: child, next: async () => (await lines.next()).value ?? 'gone' };
}

async function opened(path: string): Promise<Socket> {
  const where = { path, highWaterMark: 1024 * 1024 };
  const socket = connect(where);
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

/** Something that can be asked, one request after another. */
type Asker = AsyncDisposable & { ask(): Promise<void> };

async function overBus(path: string): Promise<Asker> {
  const responder = start('responder', path);
  await responder.next();
  const socket = await opened(path);
  const decoder = createDecoder({ registry: createRegistry(), nowMs: () => 0 });
  let inbox = '';
  let wake: () => void = () => undefined;
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    for (let item = decoder.next(); item !== undefined; item = decoder.next()) {
      if (item.type === 'error') throw new Error(item.code);
      if (item.schemaId === schema.runtimeHello) inbox = `_inbox/${(item.payload() as { session: string }).session}/r`;
      if (item.schemaId === schema.errorReport) throw new Error(JSON.stringify(item.payload()));
      wake();
    }
  });
  const answered = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  socket.write(hello());
  await answered();
  socket.write(subscribe(inbox));
  await answered();
  const frame = encode(2, payload, { topic: 'bench/request', reply_to: inbox });
  return {
    ask() {
      const done = answered();
      // The one before has been answered, so its bytes are free.
      socket.write(renumber(frame, freshId()));
      return done;
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      responder.process.kill();
    },
  };
}

/** As many bytes over as many processes and sockets, joined byte by byte. */
async function overRelay(path: string): Promise<Asker> {
  const relay = start('relay', path);
  await relay.next();
  const socket = await opened(path);
  const echo = start('echo', path);
  await echo.next();
  const frame = encode(2, payload, { topic: 'bench/request', reply_to: '_inbox/s0123456789abcdef/r' });
  let left = 0;
  let wake: () => void = () => undefined;
  socket.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left === 0) wake();
  });
  return {
    ask() {
      left = frame.length;
      socket.write(frame);
      return new Promise((resolve) => (wake = resolve));
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      for (const child of [relay, echo]) child.process.kill();
    },
  };
}

/** Microseconds of each round trip: the askers take turns, a block each, so that what disturbs one disturbs the others. */
async function roundTrips(askers: readonly Asker[]): Promise<number[][]> {
  const times: number[][] = askers.map(() => []);
  for (let round = 0; round < warmRounds + rounds; round += 1) {
    for (const [i, asker] of askers.entries()) {
      for (let n = 0; n < blockRequests; n += 1) {
        const from = performance.now();
        await asker.ask();
        if (round >= warmRounds) times[i]?.push((performance.now() - from) * 1000);
      }
    }
  }
  return times;
}

/** Deliveries a second from one publisher to `sinks` subscribers; the frames are made before, only their ids are new. */
async function flow(path: string, sinks: number, messages: number): Promise<number> {
  const children = Array.from({ length: sinks }, () => start('sink', path, messages));
  await Promise.all(children.map((child) => child.next()));
  const socket = await opened(path);
  socket.resume();
  socket.write(hello());
  const frame = encode(1, payload, { topic: 'bench/flow' });
  const from = performance.now();
  for (let sent = 0; sent < messages; sent += batchFrames) {
    const count = Math.min(batchFrames, messages - sent);
    const batch = Buffer.allocUnsafeSlow(count * frame.length);
    for (let i = 0; i < count; i += 1) {
      batch.set(frame, i * frame.length);
      batch.writeBigUInt64BE(freshId(), i * frame.length + msgIdOffset);
    }
    if (!socket.write(batch)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  await Promise.all(children.map((child) => child.next()));
  const seconds = (performance.now() - from) / 1000;
  socket.destroy();
  for (const child of children) child.process.kill();
  return Math.round((messages * sinks) / seconds);
}

async function requestRows(path: string, barePath: string): Promise<BenchRow[]> {
  await using bus = await overBus(path);
  await using bare = await overRelay(barePath);
  const [overBusUs = [], bareUs = []] = await roundTrips([bus, bare]);
  return [0.5, 0.99].map((share) => {
    const value = percentile(overBusUs, share);
    const floor = percentile(bareUs, share);
    const name = `bus request/reply 1 KB, p${share * 100}`;
    return { name, value, unit: 'us', floor, ratio: value / floor, ...(share === 0.5 ? { goal: '<= 1.5 x' } : {}) };
  });
}

export async function rows(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rlb-'));
  const path = join(folder, 'sock', 's');
  const daemon = start('daemon', path);
  try {
    await daemon.next();
    const result = await requestRows(path, join(folder, 'bare'));
    for (const sinks of [1, 10]) {
      const value = await flow(path, sinks, flowMessages / sinks);
      result.push({
        name: `bus throughput 1 to ${sinks}, 1 KB`,
        value,
        unit: 'deliveries/s',
        ...(sinks === 10 ? { goal: '>= 250000' } : {}),
      });
    }
    daemon.process.stdin?.write('stats\n');
    const stats = JSON.parse(await daemon.next()) as { rss: number; drops: { [reason: string]: number } };
    result.push({ name: 'bus daemon memory afterwards', value: Math.round(stats.rss / 1e6), unit: 'MB' });
    const dropped = Object.values(stats.drops).reduce((sum, count) => sum + count, 0);
    result.push({ name: 'bus drops, all counted', value: dropped, unit: 'frames' });
    return result;
  } finally {
    daemon.process.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
