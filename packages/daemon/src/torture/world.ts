/**
 * The world outside of a simulated daemon: it keeps books of all that is done to it, and outlives every crash.
 *
 * 1. Nothing leaves the machine: mail, requests, commands and tools end here, and a model answers from what it was asked.
 * 2. Each deed is a boundary of the schedule; the same call is answered the same.
 */
import {
  type Config,
  digestJson,
  err,
  type Failure,
  failure,
  isJsonObject,
  type JsonValue,
  ok,
  type Result,
} from '@runloop/core';
import type { Http } from '@runloop/broker';
import { parseFetch, type SecretsPort } from '@runloop/runtime';
import type { MailTransport } from '../host/mail-transport.ts';
import { told } from '../host/telling.ts';
import type { CallScope, HostPerformer, Performed } from '../runs/ports.ts';
import type { Life } from './schedule.ts';

/** How often a call reached the outside, and what it was. */
export type Deed = { readonly op: string; count: number };
/** What the provider was asked, and what it would write on its bill. */
export type ProviderBooks = { calls: number; tokens: number };

export const worldModel = 'world';
/** The configuration under which every model is this world's. */
export const worldModels: Config['models'] = {
  default: worldModel,
  broker: {
    providers: [{ id: 'world', kind: 'http', base_url: 'http://127.0.0.1:9/v1', clearance: 'private' }],
    route: [{ pattern: '*', provider: 'world', fallback: [] }],
    cache: {},
    budgets: {},
    prices: [],
  },
};

/** Tells whether the provider fails this time. */
export type ProviderFault = () => boolean;

export class World {
  /** By the id of the host call. */
  readonly deeds: Map<string, Deed> = new Map();
  readonly provider: ProviderBooks = { calls: 0, tokens: 0 };
  readonly #providerFault: ProviderFault;

  constructor(providerFault: ProviderFault = () => false) {
    this.#providerFault = providerFault;
  }

  /** A provider of models that speaks the OpenAI dialect, reached without a network. */
  http(life: Life): Http {
    return {
      post: (_url, _headers, body) =>
        life.boundary('model', () => {
          if (this.#providerFault()) return Promise.resolve(answer(503, { error: { message: 'overloaded' } }));
          const asked = JSON.parse(body) as { messages?: JsonValue; max_tokens?: number; input?: readonly string[] };
          const written = digestJson(asked.messages ?? asked.input ?? null);
          const usage = { prompt_tokens: Math.ceil(body.length / 16), completion_tokens: 1 };
          this.provider.calls += 1;
          this.provider.tokens += usage.prompt_tokens + usage.completion_tokens;
          const message = { role: 'assistant', content: `World says ${written.slice(0, 16)}.` };
          const data = (asked.input ?? []).map((_, index) => ({ index, embedding: [index, 1] }));
          const choices = [{ index: 0, message, finish_reason: 'stop' }];
          return Promise.resolve(answer(200, { model: worldModel, choices, data, usage }));
        }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  /** A mail server that takes everything. */
  mail(life: Life): MailTransport {
    return {
      from: undefined,
      send: ({ to, messageId }) =>
        life.boundary('mail', () => {
          this.#do(/^<([^@]*)@/.exec(messageId)?.[1] ?? messageId, 'mail.send');
          return Promise.resolve(ok({ accepted: to, rejected: [], response: '250 taken' }));
        }),
    };
  }

  /** The host's own performer, but for what reaches out of the machine or writes to its files. */
  around(life: Life, real: HostPerformer): HostPerformer {
    return {
      ...real,
      // Who a program is does not matter where none is run.
      referents: (op, args, scope) =>
        op === 'exec.run' ? Promise.resolve({}) : (real.referents?.(op, args, scope) ?? Promise.resolve({})),
      perform: (op, args, scope, signal) => {
        if (op === 'http.fetch') return this.#http(life, args, scope);
        if (op === 'exec.run') return this.#perform(life, op, scope, { exit_code: 0, stdout: '', stderr: '' });
        if (op === 'tools.call') return this.#perform(life, op, scope, { ok: true });
        if (op.startsWith('fs.') && !['fs.read', 'fs.list', 'fs.stat'].includes(op))
          return this.#perform(life, op, scope, {});
        return real.perform(op, args, scope, signal);
      },
    };
  }

  /** Whether the call has happened; what an operator would go and look up. */
  happened(call: string): boolean {
    return (this.deeds.get(call)?.count ?? 0) > 0;
  }

  async #http(life: Life, args: JsonValue, scope: CallScope): Promise<Performed> {
    const request = parseFetch(isJsonObject(args) ? args : {});
    if (!request.ok)
      return { result: { ok: false, code: request.error.code, message: request.error.message, retryable: false } };
    const { url, method } = request.value;
    return this.#perform(life, `${method} ${new URL(url).host}`, scope, { status: 200, headers: {}, body: '', url });
  }

  #perform(life: Life, op: string, scope: CallScope, value: JsonValue): Promise<Performed> {
    return life.boundary(`outside ${op}`, () => {
      this.#do(scope.callId, op);
      const startedMs = life.clock.monotonicMs();
      return Promise.resolve(
        told({ ok: true, value }, scope, { op, target: 'the simulated world', startedMs, endedMs: startedMs }),
      );
    });
  }

  #do(call: string, op: string): void {
    const deed = this.deeds.get(call) ?? { op, count: 0 };
    deed.count += 1;
    this.deeds.set(call, deed);
  }
}

function answer(status: number, body: unknown): Awaited<ReturnType<Http['post']>> {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  return { status, headers: {}, body: once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** A secret store that holds nothing. */
export const noSecrets: SecretsPort = {
  resolve: (id: string): Promise<Result<string, Failure>> =>
    Promise.resolve(err(failure('NotFound', `there is no secret ${id} here`))),
  scrub: (text: string) => text,
};
