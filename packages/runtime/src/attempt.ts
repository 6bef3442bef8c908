/**
 * One attempt in one cell: the request goes in, host calls are answered, an outcome comes out.
 *
 * 1. Exactly one outcome, whatever cell and host do; what comes after it is ignored.
 * 2. The wall deadline and a cancellation give up the cell, or its place in a shared one, and abort the host call under way.
 * 3. The answer's ports and types are those that the manifest declares.
 * 4. In a shared cell no loss is counted: what computed past its turn, or computed when the cell was lost, is suspended as
 *    `elsewhere`; what waited for its host then as `bystander`, after its call. Both are run again over their calls.
 */
import { canonicalJson, type Clock, type Failure, type JsonValue, isJsonObject, parseJson } from '@runloop/core';
import type { Bundle } from './bundle.ts';
import { type Message, say } from './channel.ts';
import { type AgentLimits, hostArgsBytesMax, logBytesMax, logLineBytesMax } from './limits.ts';
import type {
  AgentRequest,
  AttemptFailureCode,
  AttemptOutcome,
  AttemptUsage,
  HostAnswer,
  HostCalls,
  RunIdentity,
  TypedValue,
} from './outcome.ts';
import type { Seat } from './seat.ts';

export type Attempt = {
  readonly bundle: Pick<Bundle, 'ports'>;
  readonly run: RunIdentity;
  readonly request: AgentRequest;
  readonly limits: AgentLimits;
  /** Wall milliseconds that it may take, and the moment on the monotonic clock at which they are over. */
  readonly wallMs: number;
  readonly endMs: number;
};

type Ending =
  | { readonly type: 'succeeded'; readonly outputs: { readonly [port: string]: readonly TypedValue[] } }
  | { readonly type: 'failed'; readonly code: AttemptFailureCode; readonly reason: string; readonly retryable: boolean }
  | { readonly type: 'suspended'; readonly reason: string }
  | { readonly type: 'cancelled' };

/** `reusable` says whether the cell made itself ready for another run of the same component. */
export type AttemptEnd = { readonly outcome: AttemptOutcome; readonly reusable: boolean };

export function runAttempt(
  clock: Clock,
  seat: Seat,
  attempt: Attempt,
  host: HostCalls,
  signal: AbortSignal,
): Promise<AttemptEnd> {
  return new RunningAttempt(clock, seat, attempt, host).start(signal);
}

class RunningAttempt {
  readonly #clock: Clock;
  readonly #seat: Seat;
  readonly #attempt: Attempt;
  readonly #host: HostCalls;
  readonly #outputBytesMax: number;
  readonly #startedMs: number;
  /** Aborts the host call under way when the attempt is over. */
  readonly #calls = new AbortController();
  readonly #ended = Promise.withResolvers<AttemptEnd>();
  #usage = { fuel: 0, memory_bytes: 0, hostcalls: 0, output_bytes: 0, log_bytes_dropped: 0 };
  #hostcalls = 0;
  #logged = 0;
  #inCall = false;
  #computes = false;
  #stranded = false;
  #over = false;

  constructor(clock: Clock, seat: Seat, attempt: Attempt, host: HostCalls) {
    this.#clock = clock;
    this.#seat = seat;
    this.#attempt = attempt;
    this.#host = host;
    this.#outputBytesMax = attempt.limits.output_kib * 1024;
    this.#startedMs = clock.monotonicMs();
  }

  async start(signal: AbortSignal): Promise<AttemptEnd> {
    const cancel = (): void => this.#end({ type: 'cancelled' }, false);
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel, { once: true });
    const { wallMs, endMs } = this.#attempt;
    const late = `the agent did not finish within ${wallMs} ms`;
    using _deadline = this.#clock.after(Math.max(0, endMs - this.#clock.monotonicMs()), () =>
      this.#fail('DeadlineExceeded', late, true),
    );
    this.#seat.listen({ message: (message) => this.#receive(message), lost: (why) => this.#lost(why) });
    if (this.#seat.dead) this.#lost(this.#seat.fault);
    if (!this.#over) {
      if (this.#seat.ready) this.#turn(true);
      this.#seat.send(say.request, requestPayload(this.#attempt, this.#outputBytesMax));
    }
    const end = await this.#ended.promise;
    signal.removeEventListener('abort', cancel);
    return end;
  }

  #end(ending: Ending, reusable: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#seat.leave(reusable);
    this.#calls.abort();
    const usage: AttemptUsage = {
      ...this.#usage,
      hostcalls: Math.max(this.#usage.hostcalls, this.#hostcalls),
      wall_ms: Math.round(this.#clock.monotonicMs() - this.#startedMs),
    };
    this.#ended.resolve({ outcome: { ...ending, usage }, reusable });
  }

  #fail(code: AttemptFailureCode, reason: string, retryable: boolean, reusable = false): void {
    this.#end({ type: 'failed', code, reason, retryable }, reusable);
  }

  #lost(why: Failure | undefined): void {
    // A call under way is brought to its end first: run again, the attempt finds its result.
    if (this.#seat.shared && this.#inCall) return void (this.#stranded = true);
    if (this.#seat.shared) return this.#end({ type: 'suspended', reason: 'elsewhere' }, false);
    this.#fail('CellLost', why?.message ?? 'the cell died before it was asked', true);
  }

  /** Whether the guest computes from here; a cell that starts is not counted until it stands ready. */
  #turn(computes: boolean): void {
    this.#computes = computes;
    if (computes) this.#seat.beginTurn();
    else this.#seat.endTurn();
  }

  #receive({ schemaId, payload }: Message): void {
    if (schemaId === say.response) this.#respond(payload);
    else if (schemaId === say.log) this.#log(payload);
    else if (schemaId === say.hello && !this.#computes && !this.#inCall) this.#turn(true);
    else if (schemaId === say.hostcall) {
      this.#turn(false);
      this.#hostCall(payload).catch((error: unknown) =>
        this.#fail('Internal', `the host failed: ${error instanceof Error ? error.message : String(error)}`, true),
      );
    }
  }

  async #hostCall({ index, op, args }: Message['payload']): Promise<void> {
    const { hostcalls: most } = this.#attempt.limits;
    const fits = typeof op === 'string' && typeof args === 'string' && args.length <= hostArgsBytesMax;
    if (this.#inCall || index !== this.#hostcalls || !fits)
      return this.#fail('CellLost', 'the cell sent a host call that does not fit', true);
    this.#hostcalls += 1;
    if (this.#hostcalls > most) return this.#fail('CellLost', `more than ${most} host calls`, false);
    this.#inCall = true;
    const parsed = parseJson(args);
    const answer: HostAnswer = parsed.ok
      ? await this.#host.call(op, parsed.value, this.#calls.signal)
      : {
          type: 'error',
          code: 'InvalidParams',
          message: `the arguments are no JSON: ${parsed.error}`,
          retryable: false,
        };
    this.#inCall = false;
    if (this.#over) return;
    if (this.#stranded) return this.#end({ type: 'suspended', reason: 'bystander' }, false);
    if (answer.type === 'suspend') return this.#end({ type: 'suspended', reason: answer.reason }, false);
    this.#turn(true);
    const { code, message, retryable, value } = { code: '', message: '', retryable: false, value: null, ...answer };
    if (answer.type === 'value') this.#seat.send(say.hostanswer, { v: 1, index, ok: true, value: guestText(value) });
    else this.#seat.send(say.hostanswer, { v: 1, index, ok: false, code, message, retryable });
  }

  #respond(payload: Message['payload']): void {
    this.#usage = { ...this.#usage, ...usageOf(payload['usage']) };
    const outcome = payload['outcome'];
    if (!isMap(outcome)) return this.#fail('CellLost', 'the cell answered without an outcome', true);
    const { answer, code } = outcome;
    const reason = typeof outcome['reason'] === 'string' ? outcome['reason'] : '';
    if (outcome['type'] === 'failed') return this.#fail('AgentFailed', reason, outcome['retryable'] === true, true);
    if (code === 'OverTurn') return this.#end({ type: 'suspended', reason: 'elsewhere' }, true);
    if (outcome['type'] === 'refused') return this.#fail(refusal(code), reason, code === 'CellLost');
    if (typeof answer !== 'string') return this.#fail('CellLost', 'the cell answered without a text', true);
    const bytes = Buffer.byteLength(answer);
    this.#usage = { ...this.#usage, output_bytes: bytes };
    if (bytes > this.#outputBytesMax)
      return this.#fail('OutputTooLarge', `the answer has more than ${this.#outputBytesMax} bytes`, false);
    const outputs = readOutputs(answer, this.#attempt.bundle.ports.out);
    if (typeof outputs === 'string') return this.#fail('AgentFailed', outputs, false, true);
    this.#end({ type: 'succeeded', outputs }, true);
  }

  #log({ stream, level, text }: Message['payload']): void {
    if (typeof text !== 'string') return;
    this.#logged += text.length;
    // The cell bounds this itself; one that does not keep to it is cut here.
    if (this.#logged > logBytesMax + logLineBytesMax) return;
    if (stream === 'stdout') this.#host.stdout(text);
    else if (stream === 'stderr') this.#host.stderr(text);
    else this.#host.log(typeof level === 'string' ? level : 'info', text);
  }
}

function requestPayload(attempt: Attempt, outputBytesMax: number): { readonly [key: string]: unknown } {
  const {
    seed,
    accepted_ms,
    trace_id,
    run_id,
    node,
    deadline_ms,
    tokens_left,
    folder,
    fs = [],
    time = false,
  } = attempt.run;
  const info = {
    trace_id,
    run_id,
    node,
    attempt: attempt.run.attempt,
    deadline_ms,
    seed,
    ...(tokens_left === undefined ? {} : { tokens_left }),
    ...(folder === undefined ? {} : { folder }),
  };
  return {
    v: 1,
    request: guestText(attempt.request),
    info: JSON.stringify(info),
    seed,
    accepted_ms,
    hostcalls_max: attempt.limits.hostcalls,
    log_bytes_max: logBytesMax,
    log_line_bytes_max: logLineBytesMax,
    args_bytes_max: hostArgsBytesMax,
    output_bytes_max: outputBytesMax,
    fs,
    files_open_max: attempt.limits.files_open,
    time,
  };
}

function isMap(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function usageOf(value: unknown): { fuel: number; memory_bytes: number; hostcalls: number; log_bytes_dropped: number } {
  const count = (key: string): number => {
    const given = isMap(value) ? value[key] : 0;
    return typeof given === 'number' && Number.isFinite(given) ? given : 0;
  };
  return {
    fuel: count('fuel'),
    memory_bytes: count('memory_bytes'),
    hostcalls: count('hostcalls'),
    log_bytes_dropped: Math.max(0, count('log_bytes') - logBytesMax),
  };
}

const refusals: readonly AttemptFailureCode[] = [
  'AgentTrapped',
  'OutOfMemory',
  'OutOfFuel',
  'OutputTooLarge',
  'CellLost',
];

function refusal(code: unknown): AttemptFailureCode {
  return refusals.find((one) => one === code) ?? 'CellLost';
}

/** The outputs by port, or what is wrong with the answer. */
function readOutputs(
  answer: string,
  ports: Bundle['ports']['out'],
): { readonly [port: string]: readonly TypedValue[] } | string {
  const parsed = parseJson(answer);
  if (!parsed.ok || !isJsonObject(parsed.value)) return 'the answer is no JSON object of ports';
  const outputs: { [port: string]: readonly TypedValue[] } = {};
  for (const [port, values] of Object.entries(parsed.value)) {
    const types = Object.hasOwn(ports, port) ? ports[port] : undefined;
    if (types === undefined) return `the answer has a port "${port}" that the manifest does not declare`;
    if (!Array.isArray(values)) return `port "${port}" must hold a list of {type, value}`;
    const read: TypedValue[] = [];
    for (const item of values as readonly JsonValue[]) {
      if (!isJsonObject(item) || typeof item['type'] !== 'string' || item['value'] === undefined)
        return `port "${port}" must hold a list of {type, value}`;
      if (!types.includes('*') && !types.includes(item['type'])) {
        return `port "${port}" gave ${item['type']}, but the manifest declares ${types.join(', ')}`;
      }
      read.push({ type: item['type'], value: item['value'] });
    }
    outputs[port] = read;
  }
  return outputs;
}

/** What a guest is told is the same text whether it comes from memory or back from the tape: keys in canonical order. */
function guestText(value: unknown): string {
  const text = canonicalJson(value);
  return text.ok ? text.value : JSON.stringify(value);
}
