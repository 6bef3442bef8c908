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
import { createDecoder, createRegistry, schema } from '@runloop/rmp';
import { encode, hello, subscribe } from './bus-child.ts';
import type { BenchRow } from './rmp.ts';

const payload = Buffer.alloc(1024);
const requests = 4000;
const warmup = 1000;
const flowMessages = 400_000;

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

const percentile = (sorted: readonly number[], share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;

/** Round trips one after another: microseconds, sorted, without the first ones. */
async function roundTrips(ask: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < requests + warmup; i += 1) {
    const from = performance.now();
    await ask();
    if (i >= warmup) times.push((performance.now() - from) * 1000);
  }
  return times.sort((a, b) => a - b);
}

async function overBus(path: string): Promise<number[]> {
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
  const times = await roundTrips(() => {
    const done = answered();
    socket.write(encode(2, payload, { topic: 'bench/request', reply_to: inbox }));
    return done;
  });
  socket.destroy();
  return times;
}

async function overRelay(path: string): Promise<number[]> {
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
  const times = await roundTrips(() => {
    left = frame.length;
    socket.write(frame);
    return new Promise((resolve) => (wake = resolve));
  });
  socket.destroy();
  for (const child of [relay, echo]) child.process.kill();
  return times;
}

/** Deliveries a second from one publisher to `sinks` subscribers. */
async function flow(path: string, sinks: number, messages: number): Promise<number> {
  const children = Array.from({ length: sinks }, () => start('sink', path, messages));
  await Promise.all(children.map((child) => child.next()));
  const socket = await opened(path);
  socket.resume();
  socket.write(hello());
  const batch = 64;
  const from = performance.now();
  for (let sent = 0; sent < messages; sent += batch) {
    const frames = Array.from({ length: Math.min(batch, messages - sent) }, () =>
      encode(1, payload, { topic: 'bench/flow' }),
    );
    if (!socket.write(Buffer.concat(frames))) await new Promise((resolve) => socket.once('drain', resolve));
  }
  await Promise.all(children.map((child) => child.next()));
  const seconds = (performance.now() - from) / 1000;
  socket.destroy();
  for (const child of children) child.process.kill();
  return Math.round((messages * sinks) / seconds);
}

export async function rows(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rlb-'));
  const path = join(folder, 'sock', 's');
  const daemon = start('daemon', path);
  try {
    await daemon.next();
    const responder = start('responder', path);
    await responder.next();
    const bus = await overBus(path);
    responder.process.kill();
    const bare = await overRelay(join(folder, 'bare'));
    const row = (name: string, share: number, goal?: string): BenchRow => ({
      name: `bus request/reply 1 KB, ${name}`,
      value: Math.round(percentile(bus, share)),
      unit: 'us',
      floor: Math.round(percentile(bare, share)),
      ratio: percentile(bus, share) / percentile(bare, share),
      ...(goal === undefined ? {} : { goal }),
    });
    const result = [row('p50', 0.5, '<= 1.5 x bare relay'), row('p99', 0.99)];
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
