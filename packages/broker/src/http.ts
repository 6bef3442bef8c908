/**
 * The port to HTTP, and its real implementation over undici: one request, its answer as a stream of bytes.
 *
 * 1. No redirect is followed, no proxy variable is read: credentials go to the origin that was asked for, or nowhere.
 * 2. The caller bounds the body and the time; aborting the signal closes the connection.
 */
import { Agent, request } from 'undici';
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

export function undiciHttp(): Http {
  const agent = new Agent({
    connect: { timeout: connectMsMax },
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining: 1,
    keepAliveTimeout: 30_000,
  });
  return {
    async post(url, headers, body, signal) {
      const answer = await request(url, { method: 'POST', headers, body, signal, dispatcher: agent });
      const flat: [string, string | undefined][] = Object.entries(answer.headers).map(([name, value]) => [
        name,
        Array.isArray(value) ? value[0] : value,
      ]);
      return { status: answer.statusCode, headers: Object.fromEntries(flat), body: answer.body };
    },
    async [Symbol.asyncDispose]() {
      await agent.destroy();
    },
  };
}
