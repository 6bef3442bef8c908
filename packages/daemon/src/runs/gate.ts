/**
 * Whether what leaves is asked about at all: always, but for what the operator has opened by name.
 *
 * 1. Only the operator's own files open it, or an opening whose very text the operator has agreed to.
 * 2. In a nested opening nothing is open unless every text on the way down to it was agreed to: its own, and each around it.
 * 3. What goes through an open gate says so: each action is recorded with the setting that let it pass.
 */
import { flowAllowedAt, groupsOf, type Opening, saysOfConfirming } from '@runloop/openings';
import type { ApprovalRequest } from '@runloop/runtime';

export type GateSettings = {
  /** `security.confirm_external_actions`. */
  readonly confirms: boolean;
  /** The operator has agreed to the text of this opening. */
  readonly trusted: boolean;
  /** Nested openings to whose texts the operator has agreed. */
  readonly trustedGroups: ReadonlySet<string>;
};

/** The setting that lets the request pass unasked; nothing where a person decides. */
export function passedBy(
  { confirms, trusted, trustedGroups }: GateSettings,
  opening: Opening,
  node: string,
  request: Pick<ApprovalRequest, 'always' | 'leak'>,
): string | undefined {
  if (!confirms) return 'security.confirm_external_actions: false';
  if (!trusted || !groupsOf(opening, node).every(({ id }) => trustedGroups.has(id))) return undefined;
  const reason = flowAllowedAt(opening, node);
  const flows = request.leak === undefined || reason !== undefined;
  const spec = opening.nodes.find(({ id }) => id === node);
  const mayAct = saysOfConfirming(opening, node, spec?.require_human_confirm) === false;
  if (request.always && !mayAct) return undefined;
  if (!flows) return undefined;
  return request.leak === undefined ? 'policy.confirm_external: false' : `policy.allow_flow: ${reason ?? ''}`;
}

/** What an opening asks for that only counts once its text is trusted, and those of the openings nested in it. */
export function loosenings({ policy, nodes, groups = [] }: Opening): readonly string[] {
  return [...groupLoosenings('', policy), ...groups.flatMap((group) => groupLoosenings(`${group.id}: `, group))].concat(
    nodes.filter((node) => node.require_human_confirm === false).map(({ id }) => `${id}: require_human_confirm: false`),
  );
}

function groupLoosenings(of: string, { allow_flow, confirm_external }: Opening['policy']): readonly string[] {
  return [
    ...(allow_flow === undefined ? [] : [`${of}policy.allow_flow`]),
    ...(confirm_external === false ? [`${of}policy.confirm_external: false`] : []),
  ];
}

/** What of it is not in force, for want of which agreement. */
export function notInForce(opening: Opening, trusted: boolean, trustedGroups: ReadonlySet<string>): readonly string[] {
  const wanted = loosenings(opening);
  if (!trusted || wanted.length === 0) return wanted;
  return (opening.groups ?? [])
    .filter(({ id }) => !trustedGroups.has(id))
    .map(({ id, opening: name }) => `anything in ${id}: opening ${name} was not agreed to`);
}
