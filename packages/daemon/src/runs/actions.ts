/**
 * The approvals of one run: the fold of its action.* events.
 *
 * 1. One question for each call id: asked once, answered once, found again after a restart.
 * 2. A decision counts only for the hash that was asked about, and only while the question is open.
 */
import type { JsonObject, RunEventKind } from '@runloop/core';

export type Decision = 'approve' | 'deny' | 'expired';

export type Action = {
  readonly id: string;
  readonly node: string;
  readonly call: string;
  readonly op: string;
  readonly hash: string;
  readonly expiresMs: number;
  readonly meta: JsonObject;
  decision: Decision | undefined;
};

export class Actions {
  readonly #byId = new Map<string, Action>();
  readonly #byCall = new Map<string, Action>();

  fold(kind: RunEventKind, meta: JsonObject): void {
    if (kind === 'action.requested') {
      const action: Action = {
        id: String(meta['action']),
        node: String(meta['node']),
        call: String(meta['call']),
        op: String(meta['op']),
        hash: String(meta['hash']),
        expiresMs: Number(meta['expires_ms']),
        meta,
        decision: undefined,
      };
      this.#byId.set(action.id, action);
      this.#byCall.set(action.call, action);
    } else if (kind === 'action.decided') {
      const action = this.#byId.get(String(meta['action']));
      if (action !== undefined) action.decision ??= meta['decision'] as Decision;
    }
  }

  ofCall(call: string): Action | undefined {
    return this.#byCall.get(call);
  }

  get(id: string): Action | undefined {
    return this.#byId.get(id);
  }

  pending(): Action[] {
    return [...this.#byId.values()].filter((action) => action.decision === undefined);
  }
}
