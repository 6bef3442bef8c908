/**
 * Where a redirect leads, and what goes along.
 *
 * 1. To another origin go only headers that say nothing about who asks: no credential, no header of the agent's own making.
 * 2. A body that a person has approved for one origin is not carried to another.
 */
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { netTarget } from './net-grants.ts';
import type { FetchRequest } from './request.ts';

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const portable = ['accept', 'accept-language', 'user-agent', 'range', 'if-none-match', 'if-modified-since'];
const ofBody = ['content-type', 'content-language', 'content-encoding', 'content-location'];

/** The next request; undefined where this answer is the last. */
export function redirected(
  request: FetchRequest,
  status: number,
  location: string | undefined,
): Result<FetchRequest | undefined, Failure> {
  if (!redirects.has(status) || location === undefined) return ok(undefined);
  const from = new URL(request.url);
  if (!URL.canParse(location, from.href)) return err(failure('ProviderFailed', `${from.host} redirects to no URL`));
  const target = netTarget(new URL(location, from).href);
  if ('fault' in target)
    return err(failure('CapabilityDenied', `${from.host} redirects to a bad URL: ${target.fault}`));
  const isElsewhere = target.url.origin !== from.origin;
  const becomesGet =
    (status === 303 && request.method !== 'HEAD') || ((status === 301 || status === 302) && request.method === 'POST');
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  if (isElsewhere && !isReading && !becomesGet) {
    const message = `${from.host} redirects this ${request.method} to ${target.name}, which it was not meant for`;
    return err(failure('CapabilityDenied', message, { hint: `send it to ${target.name} itself` }));
  }
  const kept = Object.entries(request.headers).filter(
    ([name]) => (!isElsewhere || portable.includes(name)) && !(becomesGet && ofBody.includes(name)),
  );
  const { body, ...rest } = request;
  const next = { ...rest, url: target.url.href, headers: Object.fromEntries(kept) };
  if (becomesGet) return ok({ ...next, method: 'GET' });
  return ok(body === undefined ? next : { ...next, body });
}
