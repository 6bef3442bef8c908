/**
 * A cell: the process in which guest code runs, and nothing else does (A7).
 *
 * 1. It has one duplex channel, descriptor 3, and reads no file but the prepared component that `init` names, which the
 *    daemon has compared with its digests.
 * 2. A cell of its own serves one request at a time: after an answer or an orderly failure it makes a fresh instance and
 *    says hello again. A shared one serves many, each in an instance of its own; while one computes, the others wait.
 * 3. When the channel closes, it ends.
 *
 * It is written for its start: a few modules of Node, no V8 flag on its command line (any of them makes V8 refuse the
 * code that Node carries for its own modules), reads that block, for there is never anything else to do meanwhile.
 */
import { readFileSync, readSync, writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { fromHex } from '@runloop/core';
import { rehearse, restoreModule } from './cell/compiled-code.ts';
import { type AgentInstance, type Prepared, createInstance } from './cell/instance.ts';
import { type Message, createChannel, say } from './channel.ts';
import { channelBodyBytesMax } from './limits.ts';

const channelFd = 3;
const channel = createChannel(channelBodyBytesMax);
/** Host calls that were asked, by slot: an instance asks for one at a time. */
const pending = new Map<number, { resolve: (text: string) => void; reject: (error: Error) => void }>();
/** Given up before they began, or after they ended. */
const gone = new Set<number>();
/** Made ahead of the next request. */
let instance: AgentInstance | undefined;
let prepared: Prepared | undefined;
let rehearsed: string | undefined;
let takeCode: ((module: WebAssembly.Module) => Uint8Array) | undefined;

function send(schemaId: number, payload: { readonly [key: string]: unknown }): void {
  const frame = channel.frame(schemaId, payload);
  if (!frame.ok) throw new Error(frame.error.message);
  for (let at = 0; at < frame.value.length;) at += writeSync(channelFd, frame.value, at);
}

type Init = {
  readonly code: string;
  readonly cache: string;
  readonly modules: string;
  readonly layout: readonly { readonly name: string; readonly offset: number; readonly bytes: number }[];
  /** Machine code of one of the modules. */
  readonly hot?: { readonly module: string; readonly path: string };
  readonly memory_bytes_max: number;
  readonly fuel: string;
  /** Compile every function now: for a spare, whose time is nobody's. */
  readonly eager: boolean;
  /** What a guest may use in one turn: the cell serves many requests at once. */
  readonly turn_fuel?: string;
  /** Serve one request for the sake of the machine code that it leaves. */
  readonly rehearsal?: { readonly module: string };
};

function load(init: Init): Prepared {
  const source = readFileSync(init.code, 'utf8');
  // Before any flag is set: V8 compares them with those that the cache was made under.
  const script = new Script(source, { filename: 'agent.js', cachedData: readFileSync(init.cache) });
  const binary = readFileSync(init.modules);
  const modules = new Map<string, WebAssembly.Module>();
  const bytesOf = ({ offset, bytes }: Init['layout'][number]): Uint8Array =>
    new Uint8Array(binary.buffer, binary.byteOffset + offset, bytes);
  const { hot, rehearsal } = init;
  if (rehearsal !== undefined) takeCode = rehearse();
  else {
    for (const part of init.layout) {
      const module = part.name === hot?.module ? restoreModule(bufferOf(hot.path), bytesOf(part)) : undefined;
      if (module !== undefined) modules.set(part.name, module);
    }
    setFlagsFromString(init.eager && modules.size === 0 ? '--no-wasm-lazy-compilation' : '--wasm-lazy-validation');
  }
  for (const part of init.layout) {
    if (!modules.has(part.name)) modules.set(part.name, new WebAssembly.Module(bytesOf(part)));
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
    turnFuel: init.turn_fuel === undefined ? undefined : BigInt(init.turn_fuel),
  };
}

function bufferOf(path: string): ArrayBuffer {
  const bytes = readFileSync(path);
  const whole = bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return whole ? bytes.buffer : new Uint8Array(bytes).buffer;
}

type Request = {
  readonly slot: number;
  readonly request: string;
  readonly info: string;
  readonly seed: string;
  readonly accepted_ms: number;
  readonly hostcalls_max: number;
  readonly log_bytes_max: number;
  readonly log_line_bytes_max: number;
  readonly args_bytes_max: number;
  readonly output_bytes_max: number;
  readonly fs: readonly { readonly path: string; readonly write: boolean }[];
  readonly files_open_max: number;
  readonly time: boolean;
};

type Served = Awaited<ReturnType<AgentInstance['run']>>;

function run(current: AgentInstance, request: Request): Promise<Served> {
  const { slot } = request;
  return current.run(request.request, {
    info: request.info,
    seed: fromHex(request.seed),
    acceptedMs: request.accepted_ms,
    hostcallsMax: request.hostcalls_max,
    logBytesMax: request.log_bytes_max,
    logLineBytesMax: request.log_line_bytes_max,
    argsBytesMax: request.args_bytes_max,
    outputBytesMax: request.output_bytes_max,
    fs: request.fs,
    filesOpenMax: request.files_open_max,
    time: request.time,
    log: (stream, level, text) => send(say.log, { v: 1, slot, stream, level, text }),
    call: (index, op, args) =>
      new Promise((resolve, reject) => {
        pending.set(slot, { resolve, reject });
        send(say.hostcall, { v: 1, slot, index, op, args });
      }),
  });
}

async function serve(request: Request): Promise<void> {
  if (gone.delete(request.slot)) return;
  if (prepared === undefined) throw new Error('a request came before init');
  const current = instance ?? (await createInstance(prepared));
  instance = undefined;
  // Given up while its instance was made.
  if (gone.delete(request.slot)) return;
  const { slot } = request;
  if (prepared.turnFuel !== undefined) {
    void run(current, request)
      .then(({ outcome, usage }) => send(say.response, { v: 1, slot, outcome, usage }))
      .catch(fail);
    return;
  }
  const { outcome, usage } = await run(current, request);
  if (takeCode !== undefined && rehearsed !== undefined) {
    const code = takeCode(prepared.module(rehearsed));
    return send(say.response, { v: 1, slot, outcome: { type: 'rehearsed', code }, usage });
  }
  send(say.response, { v: 1, slot, outcome, usage });
  if (outcome.type === 'refused') return;
  instance = await createInstance(prepared);
  send(say.hello, { v: 1, kind: 'cell', ready: true });
}

function answer(payload: { readonly [key: string]: unknown }): void {
  const slot = payload['slot'] as number;
  const call = pending.get(slot);
  pending.delete(slot);
  if (payload['gone'] === true) {
    // Nobody waits for this one any more: without its answer it stays where it is, and is collected.
    if (call === undefined) gone.add(slot);
    return send(say.response, { v: 1, slot, outcome: { type: 'gone' } });
  }
  if (call === undefined) return;
  if (payload['ok'] === true) return call.resolve(payload['value'] as string);
  const { code, message, retryable } = payload;
  call.reject(Object.assign(new Error(String(message)), { payload: { code, message, retryable } }));
}

async function receive(message: Message): Promise<void> {
  if (message.schemaId === say.init) {
    const init = message.payload as unknown as Init;
    rehearsed = init.rehearsal?.module;
    prepared = load(init);
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
  const why = (error instanceof Error ? error.message : String(error)).slice(0, 500);
  // Only a component's start function runs outside of a request.
  const trapped = error instanceof Error && error.name === 'RuntimeError';
  send(say.response, {
    v: 1,
    outcome: trapped
      ? { type: 'refused', code: 'AgentTrapped', reason: `the agent trapped while it was started: ${why}` }
      : { type: 'refused', code: 'CellLost', reason: `the cell could not go on: ${why}` },
    usage: { fuel: 0, memory_bytes: 0, hostcalls: 0, log_bytes: 0 },
  });
  process.exit(1);
}

const buffer = Buffer.allocUnsafe(64 * 1024);
/** Waits for what comes next; between two reads all promises are followed to where they wait for an answer. */
function listen(): void {
  const count = readSync(channelFd, buffer);
  if (count === 0) process.exit(0);
  const { messages, fault } = channel.push(Buffer.from(buffer.subarray(0, count)));
  for (const message of messages) take(message);
  if (fault !== undefined) fail(new Error(fault.message));
  setImmediate(rest);
}

/** Everybody waits: the time to make the next instance of a shared cell. */
function rest(): void {
  if (prepared?.turnFuel === undefined || instance !== undefined) return listen();
  createInstance(prepared)
    .then((made) => {
      instance = made;
      listen();
    })
    .catch(fail);
}

listen();
