/**
 * One call of a tool of an MCP server that is reached by a URL: JSON-RPC over POST, answered as JSON or as an event stream.
 *
 * 1. The server is the operator's: its own origin is granted, and no redirect is followed.
 * 2. An event stream is read to its end; a server that leaves it open meets the deadline.
 */
import {
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  err,
  failure,
  isJsonObject,
  ok,
  parseJson,
} from '@runloop/core';
import type { Fetcher } from '../net/fetch.ts';
import { netTarget } from '../net/net-grants.ts';
import { parseFetch } from '../net/request.ts';
import { type McpCall, answerOf, clientHello, protocolVersion } from './mcp-message.ts';

type Answered = { readonly result: JsonValue; readonly session: string | undefined };

export async function callMcpOverHttp(
  fetcher: Fetcher,
  url: string,
  call: McpCall,
  wallMsMax: number,
  signal: AbortSignal,
): Promise<Result<JsonValue, Failure>> {
  const post = (message: JsonObject, session?: string): Promise<Result<Answered, Failure>> =>
    send(fetcher, { url, wallMsMax, session }, message, signal);
  const hello = await post({ id: 1, ...clientHello });
  if (!hello.ok) return hello;
  const { session } = hello.value;
  const ready = await post({ method: 'notifications/initialized' }, session);
  if (!ready.ok) return ready;
  const params = { name: call.tool, arguments: call.arguments };
  const answer = await post({ id: 2, method: 'tools/call', params }, session);
  return answer.ok ? answerOf(call.tool, answer.value.result) : answer;
}

async function send(
  fetcher: Fetcher,
  {
    url,
    wallMsMax,
    session,
  }: { readonly url: string; readonly wallMsMax: number; readonly session: string | undefined },
  message: JsonObject,
  signal: AbortSignal,
): Promise<Result<Answered, Failure>> {
  const target = netTarget(url);
  const request = parseFetch({
    url,
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': protocolVersion,
      ...(session === undefined ? {} : { 'mcp-session-id': session }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    redirect: 'manual',
  });
  if (!request.ok) return request;
  const grants = 'fault' in target ? [] : [target.name];
  const answer = await fetcher.fetch({ ...request.value, timeoutMs: wallMsMax }, grants, signal);
  if (!answer.ok) return answer;
  const { status, headers, body } = answer.value;
  if (typeof status !== 'number' || status >= 300) return wrong(url, `it answered ${String(status)}`);
  const given = isJsonObject(headers) ? headers['mcp-session-id'] : undefined;
  const found = { session: typeof given === 'string' ? given : session };
  if (message['id'] === undefined) return ok({ ...found, result: null });
  const said = messagesIn(typeof body === 'string' ? body : '').find(({ id }) => id === message['id']);
  if (said === undefined) return wrong(url, 'it did not answer the request');
  if (said['error'] !== undefined) return wrong(url, JSON.stringify(said['error']).slice(0, 300));
  return ok({ ...found, result: said['result'] ?? null });
}

/** The JSON-RPC messages of a body: the body itself, or the data of its events. */
function messagesIn(body: string): readonly JsonObject[] {
  const events = body.split(/\r?\n\r?\n/).map((event) =>
    event
      .split(/\r?\n/)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice('data:'.length).trimStart())
      .join('\n'),
  );
  return [body, ...events].flatMap((text) => {
    const parsed = parseJson(text);
    return parsed.ok && isJsonObject(parsed.value) ? [parsed.value] : [];
  });
}

function wrong(url: string, why: string): Result<never, Failure> {
  return err(failure('ProviderFailed', `the MCP server at ${new URL(url).host}: ${why}`));
}
