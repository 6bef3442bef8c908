/**
 * A cell: the process in which guest code runs, and nothing else does (A7).
 *
 * 1. It has one duplex channel, descriptor 3, and reads no file but the prepared component that `init` names.
 * 2. Every file is compared with the digest that came over the channel before it is used.
 * 3. It serves one request at a time. After an answer or an orderly failure it makes a fresh instance and says hello again.
 * 4. When the channel closes, it ends.
 */
import { createHash } from 'node:crypto';
import { closeSync, read, readFileSync, writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { fromHex } from '@runloop/core';
import { type AgentInstance, type Prepared, createInstance } from './cell/instance.ts';
import { type Message, createChannel, say } from './channel.ts';
import { channelBodyBytesMax } from './limits.ts';

const channelFd = 3;
const channel = createChannel(channelBodyBytesMax);
const pending = new Map<number, { resolve: (text: string) => void; reject: (error: Error) => void }>();
let instance: AgentInstance | undefined;
let prepared: Prepared | undefined;

function send(schemaId: number, payload: { readonly [key: string]: unknown }): void {
  const frame = channel.frame(schemaId, payload);
  if (!frame.ok) throw new Error(frame.error.message);
  for (let at = 0; at < frame.value.length;) at += writeSync(channelFd, frame.value, at);
}

function file(path: string, digest: string): Buffer {
  const bytes = readFileSync(path);
  if (createHash('sha256').update(bytes).digest('hex') !== digest) throw new Error(`${path} is not what was prepared`);
  return bytes;
}

type Init = {
  readonly code: string;
  readonly code_sha256: string;
  readonly cache: string;
  readonly cache_sha256: string;
  readonly modules: string;
  readonly modules_sha256: string;
  readonly layout: readonly { readonly name: string; readonly offset: number; readonly bytes: number }[];
  readonly memory_bytes_max: number;
  readonly fuel: string;
  /** Compile every function now: for a spare, whose time is nobody's. */
  readonly eager: boolean;
};

function load(init: Init): Prepared {
  const source = file(init.code, init.code_sha256).toString('utf8');
  const script = new Script(source, { filename: 'agent.js', cachedData: file(init.cache, init.cache_sha256) });
  const binary = file(init.modules, init.modules_sha256);
  if (init.eager) setFlagsFromString('--no-wasm-lazy-compilation');
  const modules = new Map<string, WebAssembly.Module>();
  for (const { name, offset, bytes } of init.layout) {
    modules.set(name, new WebAssembly.Module(new Uint8Array(binary.subarray(offset, offset + bytes))));
  }
  return {
    instantiate: script.runInThisContext() as Prepared['instantiate'],
    module: (name) => {
      const module = modules.get(name);
      if (module === undefined) throw new Error(`there is no core module ${name}`);
      return module;
    },
    memoryBytesMax: init.memory_bytes_max,
    fuel: BigInt(init.fuel),
  };
}

type Request = {
  readonly request: string;
  readonly info: string;
  readonly seed: string;
  readonly accepted_ms: number;
  readonly hostcalls_max: number;
  readonly log_bytes_max: number;
  readonly log_line_bytes_max: number;
  readonly args_bytes_max: number;
  readonly output_bytes_max: number;
};

async function serve(request: Request): Promise<void> {
  const current = instance;
  instance = undefined;
  if (current === undefined || prepared === undefined) throw new Error('a request came before init');
  const { outcome, usage } = await current.run(request.request, {
    info: request.info,
    seed: fromHex(request.seed),
    acceptedMs: request.accepted_ms,
    hostcallsMax: request.hostcalls_max,
    logBytesMax: request.log_bytes_max,
    logLineBytesMax: request.log_line_bytes_max,
    argsBytesMax: request.args_bytes_max,
    outputBytesMax: request.output_bytes_max,
    log: (stream, level, text) => send(say.log, { v: 1, stream, level, text }),
    call: (index, op, args) =>
      new Promise((resolve, reject) => {
        pending.set(index, { resolve, reject });
        send(say.hostcall, { v: 1, index, op, args });
      }),
  });
  send(say.response, { v: 1, outcome, usage });
  if (outcome.type === 'refused') return;
  instance = await createInstance(prepared);
  send(say.hello, { v: 1, kind: 'cell', ready: true });
}

function answer(payload: { readonly [key: string]: unknown }): void {
  const index = payload['index'] as number;
  const call = pending.get(index);
  pending.delete(index);
  if (call === undefined) return;
  if (payload['ok'] === true) return call.resolve(payload['value'] as string);
  const { code, message, retryable } = payload;
  call.reject(Object.assign(new Error(String(message)), { payload: { code, message, retryable } }));
}

async function receive(message: Message): Promise<void> {
  if (message.schemaId === say.init) {
    prepared = load(message.payload as unknown as Init);
    instance = await createInstance(prepared);
    send(say.hello, { v: 1, kind: 'cell', ready: true });
  } else if (message.schemaId === say.request) await serve(message.payload as unknown as Request);
}

/** Orders are obeyed one after the other; answers to the order under way come in between. */
let turn: Promise<void> = Promise.resolve();
function take(message: Message): void {
  if (message.schemaId === say.hostanswer) answer(message.payload);
  else turn = turn.then(() => receive(message)).catch(fail);
}

function fail(error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  send(say.response, {
    v: 1,
    outcome: { type: 'refused', code: 'CellLost', reason: `the cell could not go on: ${reason.slice(0, 500)}` },
    usage: { fuel: 0, memory_bytes: 0, hostcalls: 0, log_bytes: 0 },
  });
  process.exit(1);
}

const buffer = Buffer.allocUnsafe(64 * 1024);
function listen(): void {
  read(channelFd, buffer, 0, buffer.length, null, (error, count) => {
    if (error !== null || count === 0) {
      closeSync(channelFd);
      process.exit(0);
    }
    const { messages, fault } = channel.push(Buffer.from(buffer.subarray(0, count)));
    for (const message of messages) take(message);
    if (fault !== undefined) fail(new Error(fault.message));
    listen();
  });
}

listen();
send(say.hello, { v: 1, kind: 'cell', ready: false });
