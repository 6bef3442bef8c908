/**
 * What an agent asks `http.fetch` for, checked: `{url, method?, headers?, body?, timeout_ms?, redirect?}`.
 *
 * 1. Headers that belong to the connection are not an agent's to set.
 * 2. GET and HEAD carry no body: they are the calls that nobody is asked about.
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
} from '@runloop/core';
import { httpMsDefault, httpMsMax, httpRequestBytesMax, httpRequestHeadersMax } from '../limits.ts';
import { netTarget } from './net-grants.ts';

export type FetchRequest = {
  readonly url: string;
  readonly method: string;
  readonly headers: { readonly [name: string]: string };
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
  readonly follow: boolean;
};

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const connectionHeaders = [
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

export function parseFetch(args: JsonObject): Result<FetchRequest, Failure> {
  const { url, method = 'GET', timeout_ms: timeoutMs = httpMsDefault, redirect = 'follow' } = args;
  if (typeof url !== 'string') return refuse('url must be a text');
  const target = netTarget(url);
  if ('fault' in target) return refuse(target.fault);
  if (typeof method !== 'string' || !methods.includes(method)) return refuse(`method must be ${methods.join(', ')}`);
  if (typeof timeoutMs !== 'number' || timeoutMs < 1 || timeoutMs > httpMsMax)
    return refuse(`timeout_ms must be from 1 to ${httpMsMax}`);
  if (redirect !== 'follow' && redirect !== 'manual') return refuse('redirect must be "follow" or "manual"');
  const headers = readHeaders(args['headers'] ?? {});
  if (!headers.ok) return headers;
  const body = readBody(args['body']);
  if (!body.ok) return body;
  const isReading = method === 'GET' || method === 'HEAD';
  if (isReading && body.value !== undefined) return refuse(`a ${method} request has no body`);
  const base = { url: target.url.href, method, headers: headers.value, timeoutMs, follow: redirect === 'follow' };
  return ok(body.value === undefined ? base : { ...base, body: body.value });
}

function readHeaders(given: JsonValue): Result<FetchRequest['headers'], Failure> {
  if (!isJsonObject(given)) return refuse('headers must be a map of texts');
  const headers: { [name: string]: string } = {};
  const entries = Object.entries(given);
  if (entries.length > httpRequestHeadersMax) return refuse(`more than ${httpRequestHeadersMax} headers`);
  for (const [given_name, value] of entries) {
    const name = given_name.toLowerCase();
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(name)) return refuse(`"${name.slice(0, 64)}" is no name of a header`);
    if (connectionHeaders.includes(name) || name.startsWith('proxy-'))
      return refuse(`the header ${name} is set by the host`);
    if (Object.hasOwn(headers, name)) return refuse(`the header ${name} is given twice`);
    if (typeof value !== 'string' || value.length > 8192 || !/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value))
      return refuse(`the header ${name} must be a text of one line`);
    headers[name] = value;
  }
  return ok(headers);
}

function readBody(given: JsonValue | undefined): Result<Uint8Array | undefined, Failure> {
  if (given === undefined) return ok(undefined);
  const encoded = isJsonObject(given) ? given['base64'] : undefined;
  if (typeof given !== 'string' && typeof encoded !== 'string') return refuse('body must be a text or { base64 }');
  const bytes = typeof given === 'string' ? Buffer.from(given, 'utf8') : Buffer.from(encoded as string, 'base64');
  if (bytes.length > httpRequestBytesMax) return refuse(`the body is larger than ${httpRequestBytesMax} bytes`);
  return ok(bytes);
}

function refuse(why: string): Result<never, Failure> {
  return err(failure('InvalidParams', `http.fetch: ${why}`));
}
