/**
 * What an attempt may do: what its agent may, narrowed by the node's `caps` in the opening.
 *
 * The opening can only take away; what it says beyond that is ignored, and named when the run is accepted.
 */
import { type Failure, ok, type Result } from '@runloop/core';
import type { NodeSpec } from '@runloop/openings';
import { applyLayer, type Bundle, type Caps, expandHome, grantsNothing, isWithin, parseLayer } from '@runloop/runtime';
import type { RunDraft } from './ports.ts';

export type Effective = {
  readonly bundle: Bundle;
  readonly warnings: readonly string[];
  /** It asks for something, and nothing of it is left: it runs, and can only compute. */
  readonly empty: boolean;
};

/** What `~` and `.` in grants of files mean; a replay, which opens none, has no use for it. */
export type GrantPlaces = { readonly homeDir: string; readonly folder?: string | undefined };

export function effectiveFor(
  given: Bundle,
  { id, caps: more }: Pick<NodeSpec, 'id' | 'caps'>,
  places?: GrantPlaces,
): Result<Effective, Failure> {
  const expanded = (caps: Caps): Caps =>
    places === undefined ? caps : expandHome(caps, places.homeDir, places.folder);
  const bundle = { ...given, caps: expanded(given.caps) };
  if (more === undefined) return ok({ bundle, warnings: [], empty: isEmpty(bundle, bundle) });
  const layer = parseLayer(`node "${id}": caps`, more);
  if (!layer.ok) return { ok: false, error: { ...layer.error, code: 'InvalidOpening' } };
  const { caps: layered, given: named } = layer.value;
  const { caps, warnings } = applyLayer(bundle.caps, { caps: expanded(layered), given: named }, `node "${id}"`);
  return ok({ bundle: { ...bundle, caps }, warnings, empty: isEmpty(bundle, { caps }) });
}

/** An agent is told of the folder where it is granted any of it. */
export function folderTold({ folder }: GrantPlaces, fs: Caps['fs']): { readonly folder?: string } {
  return folder !== undefined && fs.some(({ path }) => isWithin(path, folder)) ? { folder } : {};
}

function isEmpty({ asks }: Bundle, { caps }: Pick<Bundle, 'caps'>): boolean {
  return grantsNothing(caps) && !grantsNothing(asks);
}

export function emptyCaps({ name }: Bundle): Failure {
  return {
    code: 'CapabilityDenied',
    message: `agent ${name} asks for capabilities, and nothing of them is left: it can only compute`,
    hint: `who took what: rlp caps show ${name}`,
  };
}

/** An agent that may not start, or can do nothing, in the words of every other refusal. */
export function startAudit(
  { agent, node }: { readonly agent: string; readonly node: string },
  digest: string | undefined,
  decision: 'deny' | 'empty',
  { message: reason }: Failure,
): RunDraft {
  const cap = decision === 'empty' ? 'caps_empty' : 'run';
  const meta = { agent, node, cap, op: 'agent.start', target: digest ?? '', args_hash: '', decision, reason };
  return { kind: 'cap.audit', level: 'warn', message: `${agent}: ${reason}`, meta };
}
