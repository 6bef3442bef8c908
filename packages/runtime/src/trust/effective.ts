/**
 * Effective capabilities: what the bundle asks for, narrowed by each layer above it.
 *
 * 1. A layer can only take away: what it says beyond what is left so far is ignored, and named in a warning.
 * 2. A key that a layer does not name stays as it is; a table of limits changes the limits that it names.
 */
import { type Caps, type CapsLayer, narrow, noCaps } from '../caps.ts';
import type { AgentLimits } from '../limits.ts';

export type Narrowed = { readonly caps: Caps; readonly warnings: readonly string[] };

/** `name` says in warnings which layer it is. */
export function applyLayer(caps: Caps, layer: CapsLayer, name: string): Narrowed {
  const all = narrow(caps, layer.caps);
  const result: { [key: string]: unknown } = { ...caps };
  const warnings: string[] = [];
  for (const key of Object.keys(layer.given)) {
    if (key === 'limits') continue;
    result[key] = all[key as keyof Caps];
    if (isMore(layer.caps[key as keyof Caps], result[key]))
      warnings.push(`${name}: ${key} would grant more than is asked for or allowed; the surplus is ignored`);
    if (result[key] === undefined) delete result[key];
  }
  const given = layer.given['limits'] ?? {};
  const limits = { ...caps.limits };
  for (const key of Object.keys(given) as (keyof AgentLimits)[]) {
    limits[key] = Math.min(caps.limits[key], layer.caps.limits[key]);
    if (layer.caps.limits[key] > caps.limits[key])
      warnings.push(`${name}: limits.${key} would grant more than is asked for or allowed; the surplus is ignored`);
  }
  return { caps: { ...(result as Caps), limits }, warnings };
}

/** Whether `wanted` names something that `left` does not hold. */
function isMore(wanted: unknown, left: unknown): boolean {
  if (wanted === false || wanted === undefined || (Array.isArray(wanted) && wanted.length === 0)) return false;
  return JSON.stringify(sorted(wanted)) !== JSON.stringify(sorted(left));
}

function sorted(value: unknown): unknown {
  return Array.isArray(value) ? value.map((one) => JSON.stringify(one)).sort() : value;
}

/** What a signer may be granted that is not trusted and has no table of its own: nothing but to compute. */
export const harmless: Caps = noCaps;

/** Nothing is granted: the agent can compute and answer, and do nothing else. */
export function grantsNothing(caps: Caps): boolean {
  return Object.entries(caps).every(
    ([key, value]) =>
      key === 'limits' || value === false || value === undefined || (Array.isArray(value) && value.length === 0),
  );
}

/** What `next` may do that `before` may not, as lines for the operator; empty where it asks for no more. */
export function asksMore(before: Caps, next: Caps): readonly string[] {
  const left = narrow(next, before);
  const lines: string[] = [];
  for (const key of Object.keys(next) as (keyof Caps)[]) {
    if (key === 'limits') continue;
    if (isMore(next[key], left[key]))
      lines.push(`${key}: ${JSON.stringify(next[key])} (was ${JSON.stringify(before[key] ?? false)})`);
  }
  for (const key of Object.keys(next.limits) as (keyof AgentLimits)[])
    if (next.limits[key] > before.limits[key])
      lines.push(`limits.${key}: ${next.limits[key]} (was ${before.limits[key]})`);
  return lines;
}
