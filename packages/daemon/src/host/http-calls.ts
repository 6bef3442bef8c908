/**
 * http.fetch: the request checked, its secrets filled in, performed within the agent's grants, and told.
 *
 * A redirect to another origin takes no header of the request's own along, and so no secret; the answer comes from there.
 */
import { type Clock, isJsonObject, type JsonObject } from '@runloop/core';
import { type CallResult, type Fetcher, parseFetch, type SecretsPort, taintOf } from '@runloop/runtime';
import type { CallScope, Performed } from '../runs/ports.ts';
import { refused } from './kb-calls.ts';
import { fillHeaders } from './secret-headers.ts';
import { told } from './telling.ts';

export type HttpCallDeps = { readonly clock: Clock; readonly fetcher: Fetcher; readonly secrets: SecretsPort };

export async function performHttp(
  { clock, fetcher, secrets }: HttpCallDeps,
  args: JsonObject,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Performed> {
  const asked = parseFetch(args);
  if (!asked.ok) return refused(asked.error);
  const filled = await fillHeaders(secrets, args, new URL(asked.value.url).origin);
  if (!filled.ok) return refused(filled.error);
  const request = parseFetch(filled.value);
  if (!request.ok) return refused(request.error);
  const { url, method } = request.value;
  const startedMs = clock.monotonicMs();
  const answer = await fetcher.fetch(request.value, scope.caps.net, signal);
  const isReading = method === 'GET' || method === 'HEAD';
  const result: CallResult = answer.ok
    ? { ok: true, value: answer.value, label: taintOf('http.fetch', { url: answer.value['url'] ?? '' }, scope.caps) }
    : {
        ok: false,
        code: answer.error.code,
        message: answer.error.message,
        retryable: isReading && answer.error.code === 'ProviderUnavailable',
      };
  const status = answer.ok && isJsonObject(answer.value) ? answer.value['status'] : undefined;
  return told(result, scope, {
    op: 'http.fetch',
    target: `${method} ${new URL(url).host}`,
    startedMs,
    endedMs: clock.monotonicMs(),
    ...(status === undefined ? {} : { more: { status } }),
  });
}
