/**
 * Runs an agent in this process for its author's tests: no component, no cell, no daemon.
 *
 * 1. The agent goes through the same binding as in a cell, so failures and wrong answers look the same.
 * 2. A call that the test gave no answer for is refused with `CapabilityDenied`, as the kernel would.
 *
 * It isolates nothing: an agent under test can reach whatever Node can.
 */
import { bindAgent, type WorldFailure } from './define.ts';
import type { WorldImports } from './imports.ts';
import type { AgentDefinition, Answer, JsonObject, JsonValue, RunInfo } from './types.ts';

/** What the host answers to one operation, such as `model.complete`; an error is thrown as `refuse(…)`. */
export type Responder = (request: JsonObject) => JsonValue;

export type HarnessOptions = {
  readonly with?: JsonObject;
  readonly inputs?: { readonly [port: string]: readonly JsonValue[] };
  readonly host?: { readonly [operation: string]: Responder };
  readonly run?: Partial<RunInfo>;
};

export type HarnessResult = {
  readonly outcome: { readonly ok: true; readonly answer: Answer } | ({ readonly ok: false } & WorldFailure);
  readonly calls: readonly { readonly operation: string; readonly request: JsonObject }[];
  readonly log: readonly string[];
};

/** Makes a responder fail the way a host does. */
export function refuse(code: string, message: string, retryable = false): never {
  throw Object.assign(new Error(message), { payload: { code, message, retryable } });
}

export function runAgent(definition: AgentDefinition, options: HarnessOptions = {}): HarnessResult {
  const calls: { operation: string; request: JsonObject }[] = [];
  const log: string[] = [];
  const respond =
    (operation: string) =>
    (text: string): string => {
      const request = JSON.parse(text) as JsonObject;
      calls.push({ operation, request });
      const responder = options.host?.[operation];
      if (responder === undefined) refuse('CapabilityDenied', `${operation} is not granted in this test`);
      return JSON.stringify(responder(request));
    };
  const info: RunInfo = {
    trace_id: '0'.repeat(32),
    run_id: 'run_test',
    node: 'node',
    attempt: 1,
    deadline_ms: 30_000,
    seed: '00',
    ...options.run,
  };
  const world: WorldImports = {
    log: { write: (level, text) => void log.push(`${level}: ${text}`) },
    run: { info: () => JSON.stringify(info) },
    model: { complete: respond('model.complete'), embed: respond('model.embed') },
    kb: {
      query: respond('kb.query'),
      search: respond('kb.search'),
      why: respond('kb.why'),
      propose: respond('kb.propose'),
    },
    http: { fetch: respond('http.fetch') },
    exec: { run: respond('exec.run') },
    tools: { call: respond('tools.call') },
    secrets: { ref: respond('secrets.ref') },
    mailbox: { receive: respond('mailbox.receive'), send: respond('mailbox.send') },
    mail: { send: respond('mail.send') },
    fs: {
      stat: respond('fs.stat'),
      list: respond('fs.list'),
      read: respond('fs.read'),
      write: respond('fs.write'),
      mkdir: respond('fs.mkdir'),
      remove: respond('fs.remove'),
      rename: respond('fs.rename'),
    },
    clock: { now: respond('clock.now'), sleep: respond('clock.sleep') },
  };
  const random: unknown = Reflect.get(Math, 'random');
  try {
    const text = bindAgent(
      definition,
      world,
    )(JSON.stringify({ with: options.with ?? {}, inputs: options.inputs ?? {} }));
    return { outcome: { ok: true, answer: JSON.parse(text) as Answer }, calls, log };
  } catch (error) {
    return { outcome: { ok: false, ...(error as WorldFailure) }, calls, log };
  } finally {
    Reflect.set(Math, 'random', random);
  }
}
