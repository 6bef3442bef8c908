/**
 * What holds for a node by the openings that it stands in: its own, and each that this one is nested in.
 *
 * A node's id names its groups: `a/b/n` stands in `a/b`, which stands in `a`.
 */
import type { Group, Opening } from './ir.ts';

/** Ids of the groups that a node, or a group, stands in, the innermost first. */
export function groupIdsOf(id: string): readonly string[] {
  const ids: string[] = [];
  for (let at = id.lastIndexOf('/'); at > 0; at = id.lastIndexOf('/', at - 1)) ids.push(id.slice(0, at));
  return ids;
}

/** The groups that a node stands in, the innermost first. */
export function groupsOf({ groups = [] }: Pick<Opening, 'groups'>, id: string): readonly Group[] {
  const ids = groupIdsOf(id);
  if (ids.length === 0) return [];
  const known = byId.get(groups) ?? new Map(groups.map((group) => [group.id, group]));
  byId.set(groups, known);
  return ids.flatMap((one) => known.get(one) ?? []);
}

const byId = new WeakMap<readonly Group[], ReadonlyMap<string, Group>>();

/** What is said of confirmations nearest to the node: by itself, by its opening, by the one around. */
export function saysOfConfirming(opening: Opening, id: string, require: boolean | undefined): boolean | undefined {
  const around = [...groupsOf(opening, id), opening.policy].map((policy) => policy.confirm_external);
  return [require, ...around].find((said) => said !== undefined);
}

/** Why private data may leave there on the word of a stranger, where one of the openings says so. */
export function flowAllowedAt(opening: Opening, id: string): string | undefined {
  return [...groupsOf(opening, id), opening.policy].find(({ allow_flow }) => allow_flow !== undefined)?.allow_flow;
}
