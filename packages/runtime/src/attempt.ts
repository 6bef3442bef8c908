/**
 * One attempt in one cell: the request goes in, host calls are answered, an outcome comes out.
 *
 * 1. Exactly one outcome, whatever cell and host do; what comes after it is ignored.
 * 2. The wall deadline and a cancellation kill the cell at once and abort the host call under way.
 * 3. The answer's ports and types are those that the manifest declares.
 */
import { type Clock, type Failure, type JsonValue, isJsonObject, parseJson } from '@runloop/core';
import type { Bundle } from './bundle.ts';
import type { CellProcess } from './cell-process.ts';
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

export type Attempt = {
  readonly bundle: Pick<Bundle, 'ports'>;
  readonly run: RunIdentity;
  readonly request: AgentRequest;
  readonly limits: AgentLimits;
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
  cell: CellProcess,
  attempt: Attempt,
  host: HostCalls,
  signal: AbortSignal,
): Promise<AttemptEnd> {
  const started = clock.monotonicMs();
  const calls = new AbortController();
  const outputBytesMax = attempt.limits.output_kib * 1024;
  let usage = { fuel: 0, memory_bytes: 0, hostcalls: 0, output_bytes: 0, log_bytes_dropped: 0 };
  let hostcalls = 0;
  let logged = 0;
  let inCall = false;

  return new Promise((resolve) => {
    let over = false;
    const end = (ending: Ending, reusable: boolean): void => {
      if (over) return;
      over = true;
      timer[Symbol.dispose]();
      signal.removeEventListener('abort', cancel);
      cell.listen(undefined);
      if (!reusable) cell.kill();
      calls.abort();
      const spent: AttemptUsage = {
        ...usage,
        hostcalls: Math.max(usage.hostcalls, hostcalls),
        wall_ms: Math.round(clock.monotonicMs() - started),
      };
      resolve({ outcome: { ...ending, usage: spent }, reusable });
    };
    const fail = (code: AttemptFailureCode, reason: string, retryable: boolean, reusable = false): void =>
      end({ type: 'failed', code, reason, retryable }, reusable);
    const cancel = (): void => end({ type: 'cancelled' }, false);
    const wallMs = Math.min(attempt.run.deadline_ms, attempt.limits.wall_ms);
    const timer = clock.after(wallMs, () =>
      fail('DeadlineExceeded', `the agent did not finish within ${wallMs} ms`, true),
    );
    if (signal.aborted) return cancel();
    signal.addEventListener('abort', cancel, { once: true });

    const answerCall = async (payload: Message['payload']): Promise<void> => {
      const { index, op, args } = payload;
      if (
        inCall ||
        index !== hostcalls ||
        typeof op !== 'string' ||
        typeof args !== 'string' ||
        args.length > hostArgsBytesMax
      ) {
        return fail('CellLost', 'the cell sent a host call that does not fit', true);
      }
      hostcalls += 1;
      if (hostcalls > attempt.limits.hostcalls)
        return fail('CellLost', `more than ${attempt.limits.hostcalls} host calls`, false);
      inCall = true;
      const parsed = parseJson(args);
      const answer: HostAnswer = parsed.ok
        ? await host.call(op, parsed.value, calls.signal)
        : {
            type: 'error',
            code: 'InvalidParams',
            message: `the arguments are no JSON: ${parsed.error}`,
            retryable: false,
          };
      inCall = false;
      if (over) return;
      if (answer.type === 'suspend') return end({ type: 'suspended', reason: answer.reason }, false);
      if (answer.type === 'value')
        return cell.send(say.hostanswer, { v: 1, index, ok: true, value: JSON.stringify(answer.value) });
      const { code, message, retryable } = answer;
      cell.send(say.hostanswer, { v: 1, index, ok: false, code, message, retryable });
    };

    const respond = (payload: Message['payload']): void => {
      usage = { ...usage, ...usageOf(payload['usage']) };
      const outcome = payload['outcome'];
      if (!isMap(outcome)) return fail('CellLost', 'the cell answered without an outcome', true);
      const { reason, retryable, answer, code } = outcome;
      if (outcome['type'] === 'failed') return fail('AgentFailed', String(reason), retryable === true, true);
      if (outcome['type'] === 'refused') return fail(refusal(code), String(reason), code === 'CellLost');
      if (typeof answer !== 'string') return fail('CellLost', 'the cell answered without a text', true);
      usage = { ...usage, output_bytes: Buffer.byteLength(answer) };
      if (usage.output_bytes > outputBytesMax)
        return fail('OutputTooLarge', `the answer has more than ${outputBytesMax} bytes`, false);
      const outputs = readOutputs(answer, attempt.bundle.ports.out);
      if (typeof outputs === 'string') return fail('AgentFailed', outputs, false, true);
      end({ type: 'succeeded', outputs }, true);
    };

    const log = (payload: Message['payload']): void => {
      const { stream, level, text } = payload;
      if (typeof text !== 'string') return;
      logged += text.length;
      // The cell bounds this itself; one that does not keep to it is cut here.
      if (logged > logBytesMax + logLineBytesMax) return;
      if (stream === 'stdout') host.stdout(text);
      else if (stream === 'stderr') host.stderr(text);
      else host.log(typeof level === 'string' ? level : 'info', text);
    };

    cell.listen({
      message: (message) => {
        if (message.schemaId === say.hostcall) {
          answerCall(message.payload).catch((error: unknown) =>
            fail('Internal', `the host failed: ${error instanceof Error ? error.message : String(error)}`, true),
          );
        } else if (message.schemaId === say.response) respond(message.payload);
        else if (message.schemaId === say.log) log(message.payload);
      },
      lost: (why: Failure) => fail('CellLost', why.message, true),
    });
    if (cell.dead) return fail('CellLost', 'the cell died before it was asked', true);
    cell.ready = false;
    cell.send(say.request, requestPayload(attempt, outputBytesMax));
  });
}

function requestPayload(attempt: Attempt, outputBytesMax: number): { readonly [key: string]: unknown } {
  const { seed, accepted_ms, trace_id, run_id, node, deadline_ms, tokens_left } = attempt.run;
  const info = {
    trace_id,
    run_id,
    node,
    attempt: attempt.run.attempt,
    deadline_ms,
    seed,
    ...(tokens_left === undefined ? {} : { tokens_left }),
  };
  return {
    v: 1,
    request: JSON.stringify(attempt.request),
    info: JSON.stringify(info),
    seed,
    accepted_ms,
    hostcalls_max: attempt.limits.hostcalls,
    log_bytes_max: logBytesMax,
    log_line_bytes_max: logLineBytesMax,
    args_bytes_max: hostArgsBytesMax,
    output_bytes_max: outputBytesMax,
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
