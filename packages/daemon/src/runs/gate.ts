/**
 * Whether what leaves is asked about at all: always, but for what the operator has opened by name.
 *
 * 1. Only the operator's own files open it, or an opening whose very text the operator has agreed to.
 * 2. What goes through an open gate says so: each action is recorded with the setting that let it pass.
 */
import type { Opening } from '@runloop/openings';
import type { ApprovalRequest } from '@runloop/runtime';

export type GateSettings = {
  /** `security.confirm_external_actions`. */
  readonly confirms: boolean;
  /** The operator has agreed to the text of this opening. */
  readonly trusted: boolean;
};

/** The setting that lets the request pass unasked; nothing where a person decides. */
export function passedBy(
  { confirms, trusted }: GateSettings,
  { policy, nodes }: Opening,
  node: string,
  request: Pick<ApprovalRequest, 'always' | 'leak'>,
): string | undefined {
  if (!confirms) return 'security.confirm_external_actions: false';
  if (!trusted) return undefined;
  const flows = request.leak === undefined || policy.allow_flow !== undefined;
  const mayAct =
    policy.confirm_external === false || nodes.find(({ id }) => id === node)?.require_human_confirm === false;
  if (request.always && !mayAct) return undefined;
  if (!flows) return undefined;
  return request.leak === undefined
    ? 'policy.confirm_external: false'
    : `policy.allow_flow: ${policy.allow_flow ?? ''}`;
}

/** What an opening asks for that only counts once its text is trusted. */
export function loosenings({ policy, nodes }: Opening): readonly string[] {
  return [
    ...(policy.allow_flow === undefined ? [] : ['policy.allow_flow']),
    ...(policy.confirm_external === false ? ['policy.confirm_external: false'] : []),
    ...nodes
      .filter((node) => node.require_human_confirm === false)
      .map(({ id }) => `${id}: require_human_confirm: false`),
  ];
}
