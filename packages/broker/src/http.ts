/**
 * The port to HTTP, and its real implementation over undici: one request, its answer as a stream of bytes.
 *
 * 1. No redirect is followed, no proxy variable is read: credentials go to the origin that was asked for, or nowhere.
 * 2. The caller bounds the body and the time; aborting the signal closes the connection.
 */
import type * as Undici from 'undici';
import { connectMsMax } from './limits.ts';

export type HttpAnswer = {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | undefined };
  readonly body: AsyncIterable<Uint8Array>;
};
/** Rejects with an error whose `code` says what broke (ECONNREFUSED, …), or with the signal's reason. */
export interface Http extends AsyncDisposable {
  post(
    url: string,
    headers: { readonly [name: string]: string },
    body: string,
    signal: AbortSignal,
  ): Promise<HttpAnswer>;
}

/** undici is loaded at the first request: a daemon whose agents call no model has no use for it. */
export function undiciHttp(): Http {
  let opened: Promise<{ readonly request: typeof Undici.request; readonly agent: Undici.Agent }> | undefined;
  const open = async (): NonNullable<typeof opened> => {
    const { Agent, request } = await import('undici');
    const timeouts = {
      connect: { timeout: connectMsMax },
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: 30_000,
    };
    return { request, agent: new Agent({ ...timeouts, pipelining: 1 }) };
  };
  return {
    async post(url, headers, body, signal) {
      const { request, agent } = await (opened ??= open());
      const answer = await request(url, { method: 'POST', headers, body, signal, dispatcher: agent });
      const flat: [string, string | undefined][] = Object.entries(answer.headers).map(([name, value]) => [
        name,
        Array.isArray(value) ? value[0] : value,
      ]);
      return { status: answer.statusCode, headers: Object.fromEntries(flat), body: answer.body };
    },
    async [Symbol.asyncDispose]() {
      await (await opened)?.agent.destroy();
    },
  };
}
