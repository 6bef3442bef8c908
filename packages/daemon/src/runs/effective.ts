/**
 * What an attempt may do: what its agent may, narrowed by the node's `caps` in the opening.
 *
 * The opening can only take away; what it says beyond that is ignored, and named when the run is accepted.
 */
import { type Failure, ok, type Result } from '@runloop/core';
import type { NodeSpec } from '@runloop/openings';
import { applyLayer, type Bundle, grantsNothing, parseLayer } from '@runloop/runtime';

export type Effective = {
  readonly bundle: Bundle;
  readonly warnings: readonly string[];
  /** It asks for something, and nothing of it is left: it runs, and can only compute. */
  readonly empty: boolean;
};

export function effectiveFor(
  bundle: Bundle,
  { id, caps: given }: Pick<NodeSpec, 'id' | 'caps'>,
): Result<Effective, Failure> {
  if (given === undefined) return ok({ bundle, warnings: [], empty: isEmpty(bundle, bundle) });
  const layer = parseLayer(`node "${id}": caps`, given);
  if (!layer.ok) return { ok: false, error: { ...layer.error, code: 'InvalidOpening' } };
  const { caps, warnings } = applyLayer(bundle.caps, layer.value, `node "${id}"`);
  return ok({ bundle: { ...bundle, caps }, warnings, empty: isEmpty(bundle, { caps }) });
}

function isEmpty({ asks }: Bundle, { caps }: Pick<Bundle, 'caps'>): boolean {
  return grantsNothing(caps) && !grantsNothing(asks);
}
