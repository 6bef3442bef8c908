/**
 * One instance of a prepared component inside a cell: made ahead of its run, used for one run, thrown away.
 *
 * 1. Whatever the guest does, `handle` comes back as an outcome: answered, failed, trapped, out of fuel or of memory.
 * 2. A program of kind `command` is run once: the request on its standard input, the answer on its standard output.
 * 3. Log text and host calls are bounded here, before anything is sent; what is over is counted.
 */
import type { FsGrant } from '../files/fs-grants.ts';
import { Meters } from './meters.ts';
import { hostFunctions } from './operations.ts';
import { ProgramOutput } from './program-output.ts';
import { ExitRequested, type Imports, wasiImports } from './wasi.ts';

export type CellOutcome =
  | { readonly type: 'answered'; readonly answer: string }
  | { readonly type: 'failed'; readonly reason: string; readonly retryable: boolean }
  | { readonly type: 'refused'; readonly code: string; readonly reason: string };

export type CellUsage = {
  readonly fuel: number;
  readonly memory_bytes: number;
  readonly hostcalls: number;
  readonly log_bytes: number;
};

export type RunContext = {
  readonly info: string;
  readonly seed: Uint8Array;
  readonly acceptedMs: number;
  readonly hostcallsMax: number;
  readonly logBytesMax: number;
  readonly logLineBytesMax: number;
  readonly argsBytesMax: number;
  readonly outputBytesMax: number;
  readonly fs: readonly FsGrant[];
  readonly filesOpenMax: number;
  readonly time: boolean;
  readonly log: (stream: string, level: string, text: string) => void;
  /** Resolves with the answer's JSON text, or throws what the binding makes a call-failure. */
  readonly call: (index: number, op: string, args: string) => Promise<string>;
};

export type Prepared = {
  readonly instantiate: (
    getModule: (name: string) => WebAssembly.Module,
    imports: Imports,
    instantiateCore: (module: WebAssembly.Module, imports: WebAssembly.Imports) => WebAssembly.Instance,
  ) => unknown;
  readonly module: (name: string) => WebAssembly.Module;
  readonly memoryBytesMax: number;
  readonly fuel: bigint;
  /** What a guest may use in one turn, where it shares its cell. */
  readonly turnFuel: bigint | undefined;
};

type Handle = (request: string) => Promise<string>;
type Exports = { readonly handle?: Handle; readonly run?: { readonly run: () => Promise<void> } };

export interface AgentInstance {
  run(request: string, context: RunContext): Promise<{ readonly outcome: CellOutcome; readonly usage: CellUsage }>;
}

export async function createInstance(prepared: Prepared): Promise<AgentInstance> {
  const parts: WebAssembly.Instance[] = [];
  const state: State = { context: idle, program: noProgram, hostcalls: 0, logBytes: 0 };

  const log = (stream: string, level: string, text: string): void => {
    const { context } = state;
    const left = Math.min(context.logBytesMax - state.logBytes, context.logLineBytesMax);
    state.logBytes += text.length;
    if (left > 0) context.log(stream, level, text.length > left ? `${text.slice(0, left)}…` : text);
  };
  const call = async (op: string, args: string): Promise<string> => {
    const { context } = state;
    // One that the host does not hear of does not count: the next has its number.
    if (args.length > context.argsBytesMax)
      throw callFailure('LimitExceeded', `arguments over ${context.argsBytesMax} bytes`);
    state.hostcalls += 1;
    if (state.hostcalls > context.hostcallsMax)
      throw callFailure('LimitExceeded', `more than ${context.hostcallsMax} host calls`);
    meters.endTurn();
    try {
      return await context.call(state.hostcalls - 1, op, args);
    } finally {
      meters.beginTurn();
    }
  };
  const text = new TextDecoder();
  const imports: Imports = {
    ...wasiImports(() => ({
      seed: state.context.seed,
      acceptedMs: state.context.acceptedMs,
      fs: state.context.fs,
      filesOpenMax: state.context.filesOpenMax,
      time: state.context.time,
      ask: async (op, args) => JSON.parse(await call(op, JSON.stringify(args))) as unknown,
      stdin: state.program.stdin,
      write: (stream, bytes) => {
        const { output } = state.program;
        if (output === undefined) log(stream, 'info', text.decode(bytes));
        else output.write(stream, bytes);
      },
    })),
    'runloop:agent/log': { write: (level: string, line: string) => log('log', level, line) },
    'runloop:agent/run': { info: () => state.context.info },
    ...hostImports(call),
  };
  const exported = (await prepared.instantiate(prepared.module, imports, (module, given) => {
    const part = new WebAssembly.Instance(module, given);
    parts.push(part);
    return part;
  })) as Exports;
  const { handle, run } = exported;
  if (handle === undefined && run === undefined)
    throw new Error('the component exports neither handle nor wasi:cli/run');
  const meters = new Meters(parts, prepared.fuel, prepared.turnFuel);

  return {
    async run(request, context) {
      state.context = context;
      meters.beginTurn();
      const answering =
        handle ??
        ((given: string): Promise<string> => {
          const output = new ProgramOutput((stream, line) => log(stream, 'info', line), context.outputBytesMax);
          state.program = { stdin: { bytes: new TextEncoder().encode(given), at: 0 }, output };
          return runProgram(() => run?.run() ?? Promise.resolve(), output);
        });
      const outcome = await invoke(answering, request, context, prepared.memoryBytesMax, meters);
      return {
        outcome,
        usage: {
          fuel: meters.fuel,
          memory_bytes: meters.memoryBytes,
          hostcalls: state.hostcalls,
          log_bytes: state.logBytes,
        },
      };
    },
  };
}

type State = { context: RunContext; program: Program; hostcalls: number; logBytes: number };
type Program = {
  readonly stdin: { readonly bytes: Uint8Array; at: number };
  readonly output: ProgramOutput | undefined;
};

const noProgram: Program = { stdin: { bytes: new Uint8Array(), at: 0 }, output: undefined };

/** The answer of a program that ended well; what else it came to is thrown, with what it said last. */
async function runProgram(main: () => Promise<void>, output: ProgramOutput): Promise<string> {
  let problem: unknown;
  let ended = true;
  try {
    await main();
  } catch (error) {
    ended = error instanceof ExitRequested && error.succeeded;
    problem = error;
  }
  const answer = output.end();
  const { complaint } = output;
  const failing = (reason: string): unknown => ({ reason: reason.slice(0, 4096), retryable: false });
  if (ended && answer !== undefined) return answer;
  if (ended && output.tooLarge) throw new TooLarge();
  if (ended)
    throw failing(`it printed no JSON object on standard output${complaint === '' ? '' : `; it said: ${complaint}`}`);
  const orderly = problem instanceof ExitRequested || (problem instanceof Error && 'payload' in problem);
  if (orderly) throw failing(complaint === '' ? 'it ended with an exit code other than 0' : complaint);
  if (complaint === '' || !(problem instanceof Error)) throw problem;
  throw new Error(`${problem.message}; it said: ${complaint}`, { cause: problem });
}

class TooLarge extends Error {}

function hostImports(call: (op: string, args: string) => Promise<string>): Imports {
  return Object.fromEntries(
    Object.entries(hostFunctions).map(([name, functions]) => [
      name,
      Object.fromEntries(Object.entries(functions).map(([member, op]) => [member, (args: string) => call(op, args)])),
    ]),
  );
}

function callFailure(code: string, message: string): Error {
  return Object.assign(new Error(message), { payload: { code, message, retryable: false } });
}

const idle: RunContext = {
  info: '{}',
  seed: new Uint8Array(32),
  acceptedMs: 0,
  hostcallsMax: 0,
  logBytesMax: 0,
  logLineBytesMax: 0,
  argsBytesMax: 0,
  outputBytesMax: 0,
  fs: [],
  filesOpenMax: 0,
  time: false,
  log: () => {},
  call: () =>
    Promise.reject(callFailure('FailedPrecondition', 'the agent calls its host before it was asked anything')),
};

const memorySlackBytes = 4 * 2 ** 20;

async function invoke(
  handle: Handle,
  request: string,
  context: RunContext,
  memoryBytesMax: number,
  meters: Meters,
): Promise<CellOutcome> {
  try {
    const answer = await handle(request);
    if (answer.length > context.outputBytesMax) throw new TooLarge();
    return { type: 'answered', answer };
  } catch (error) {
    if (error instanceof TooLarge) {
      const reason = `the answer has more than ${context.outputBytesMax} bytes`;
      return { type: 'refused', code: 'OutputTooLarge', reason };
    }
    const { state, memoryBytes } = meters;
    if (state === 'over_turn')
      return { type: 'refused', code: 'OverTurn', reason: 'it computes for too long to share a cell' };
    if (state === 'out') return { type: 'refused', code: 'OutOfFuel', reason: 'the agent used up its CPU allowance' };
    const failed = worldFailure(error);
    const why = failed?.reason ?? (error instanceof Error ? error.message : String(error));
    // QuickJS throws null where it has no room left for an error.
    const full = why === 'null' && memoryBytes > memoryBytesMax - memorySlackBytes;
    if (full || /out of memory|memory allocation|alloc.*fail/i.test(why)) {
      return {
        type: 'refused',
        code: 'OutOfMemory',
        reason: `out of memory at ${Math.ceil(memoryBytes / 2 ** 20)} MiB`,
      };
    }
    if (failed !== undefined) return { type: 'failed', ...failed };
    if (error instanceof ExitRequested) return { type: 'failed', reason: error.message, retryable: false };
    if (why.includes('Maximum call stack')) return { type: 'refused', code: 'AgentTrapped', reason: 'stack overflow' };
    return { type: 'refused', code: 'AgentTrapped', reason: `the agent trapped: ${why.slice(0, 500)}` };
  }
}

/** The world's `failure` record, which the binding throws bare or as an error's payload. */
function worldFailure(error: unknown): { readonly reason: string; readonly retryable: boolean } | undefined {
  const payload = (error as { payload?: unknown } | null)?.payload ?? error;
  if (typeof payload !== 'object' || payload === null) return undefined;
  const { reason, retryable } = payload as { reason?: unknown; retryable?: unknown };
  return typeof reason === 'string' && typeof retryable === 'boolean'
    ? { reason: reason.slice(0, 4096), retryable }
    : undefined;
}
