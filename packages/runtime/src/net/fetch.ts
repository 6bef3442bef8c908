/**
 * Performs `http.fetch` over kept-alive connections.
 *
 * 1. Each hop is checked against the grants. A name is resolved once, every address it has must be public, and the
 *    connection goes to one of exactly those, with the name in TLS and `Host`. Certificates are always verified.
 * 2. Time, redirects, headers and bodies are bounded; at the deadline or on abort the connection is closed.
 * 3. No proxy variable is read: the one dispatcher here knows none.
 */
import { lookup as dnsLookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { type Clock, type Failure, type JsonObject, type Result, err, failure, ok } from '@runloop/core';
import type * as Undici from 'undici';
import { httpBodyBytesMax, httpConnectMsMax, httpHeaderBytesMax, httpOriginsMax, httpRedirectsMax } from '../limits.ts';
import { isLoopbackAddress, isPublicAddress } from './addresses.ts';
import { bodyValue, readBody } from './body.ts';
import { netCovers, netTarget } from './net-grants.ts';
import { redirected } from './redirect.ts';
import type { FetchRequest } from './request.ts';

export type Address = { readonly address: string; readonly family: number };

export type FetcherDeps = {
  readonly clock: Clock;
  readonly resolve?: (name: string) => Promise<readonly Address[]>;
  /** Certificates of authorities beside the system's own. */
  readonly ca?: string;
};

export interface Fetcher extends AsyncDisposable {
  /** Answers `{status, headers, body, truncated, url}`. */
  fetch(request: FetchRequest, grants: readonly string[], signal: AbortSignal): Promise<Result<JsonObject, Failure>>;
}

type Client = { readonly request: typeof Undici.request; readonly agent: Undici.Agent };

class RefusedAddress extends Error {}

/** undici is loaded at the first request: most agents never make one. */
export function createFetcher({ clock, resolve = resolveAll, ca }: FetcherDeps): Fetcher {
  let opened: Promise<Client> | undefined;
  const open = async (): Promise<Client> => {
    const { Agent, request } = await import('undici');
    const connect = {
      timeout: httpConnectMsMax,
      lookup: guarded(resolve),
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
    };
    const bounds = { maxHeaderSize: httpHeaderBytesMax, maxOrigins: httpOriginsMax, headersTimeout: 0, bodyTimeout: 0 };
    return { request, agent: new Agent({ ...bounds, connect, allowH2: false, pipelining: 1 }) };
  };
  return {
    async fetch(request, grants, signal) {
      if (signal.aborted) return err(failure('Cancelled', 'the call was cancelled'));
      const client = await (opened ??= open());
      const ending = new AbortController();
      const onAbort = (): void => ending.abort();
      signal.addEventListener('abort', onAbort, { once: true });
      let late = false;
      using _deadline = clock.after(request.timeoutMs, () => {
        late = true;
        ending.abort();
      });
      try {
        return await follow(client, request, grants, ending.signal);
      } catch (error) {
        const { host } = new URL(request.url);
        if (late) return err(failure('DeadlineExceeded', `${host} did not answer within ${request.timeoutMs} ms`));
        if (signal.aborted) return err(failure('Cancelled', 'the call was cancelled'));
        return err(broken(error, host));
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
    async [Symbol.asyncDispose]() {
      await (await opened)?.agent.destroy();
    },
  };
}

async function follow(
  { request, agent }: Client,
  first: FetchRequest,
  grants: readonly string[],
  signal: AbortSignal,
): Promise<Result<JsonObject, Failure>> {
  let asked = first;
  for (let hops = 0; ; hops += 1) {
    const target = netTarget(asked.url);
    if ('fault' in target) return err(failure('CapabilityDenied', target.fault));
    if (!netCovers(grants, target)) return err(missing(first, target.name));
    const answer = await request(target.url, {
      method: asked.method,
      headers: { 'user-agent': 'runloop', ...asked.headers, 'accept-encoding': 'gzip, deflate, br' },
      body: asked.body ?? null,
      signal,
      dispatcher: agent,
    });
    const next = asked.follow ? redirected(asked, answer.statusCode, one(answer.headers['location'])) : ok(undefined);
    if (!next.ok || next.value !== undefined) answer.body.on('error', () => {}).destroy();
    if (!next.ok) return next;
    if (next.value === undefined) {
      // A HEAD answer names the encoding of a body that it does not have.
      const encoding = asked.method === 'HEAD' ? '' : (one(answer.headers['content-encoding']) ?? '');
      const body = await readBody(answer.body, encoding, httpBodyBytesMax);
      const headers = headersOf(answer.headers);
      return ok({
        status: answer.statusCode,
        headers,
        body: bodyValue(body),
        truncated: body.truncated,
        url: asked.url,
      });
    }
    if (hops >= httpRedirectsMax)
      return err(failure('ProviderFailed', `${target.name} redirects more than ${httpRedirectsMax} times`));
    asked = next.value;
  }
}

function missing(first: FetchRequest, name: string): Failure {
  const from = new URL(first.url).host;
  return failure(
    'CapabilityDenied',
    `${from} redirects to ${name}, which is not granted; missing grant: net = ["${name}"]`,
  );
}

/** The headers as they are told: in lower case, a list where one came more than once. */
function headersOf(given: { readonly [name: string]: string | string[] | undefined }): JsonObject {
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

async function resolveAll(name: string): Promise<readonly Address[]> {
  return dnsLookup(name, { all: true });
}

/** Resolves a name once, and gives its addresses only if all of them may be reached by a name. */
function guarded(resolve: NonNullable<FetcherDeps['resolve']>): LookupFunction {
  return (name, options, answer) => {
    const mayReach = name === 'localhost' ? isLoopbackAddress : isPublicAddress;
    resolve(name).then(
      (found) => {
        const bad = found.find(({ address }) => !mayReach(address));
        const [first] = found;
        if (bad !== undefined || first === undefined) {
          const what = bad === undefined ? 'no address' : `${bad.address}, which is not on the internet`;
          answer(new RefusedAddress(`${name} has ${what}`), '', 0);
        } else if (options.all === true) answer(null, [...found]);
        else answer(null, first.address, first.family);
      },
      (error: unknown) => answer(error instanceof Error ? error : new Error(String(error)), '', 0),
    );
  };
}

function broken(error: unknown, host: string): Failure {
  if (error instanceof RefusedAddress) {
    const hint = 'an address of a private network is reached only by a grant that names it';
    return failure('CapabilityDenied', `${error.message}; missing grant: net with that address`, { hint });
  }
  const { code = '', message = '' } = error as { code?: string; message?: string };
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return failure('OutputTooLarge', `${host} answered with more than ${httpHeaderBytesMax} bytes of headers`);
  const why = [code, message].filter((part) => part !== '').join(': ');
  return failure(code.startsWith('E') ? 'ProviderUnavailable' : 'ProviderFailed', `${host}: ${why.slice(0, 300)}`);
}
