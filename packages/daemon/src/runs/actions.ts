/**
 * The approvals of one run: the fold of its action.* events.
 *
 * 1. One question for each call id: asked once, answered once, found again after a restart.
 * 2. A decision counts only for the hash that was asked about, and only while the question is open.
 */
import type { JsonObject, JsonValue, RunEventKind } from '@runloop/core';

/** `done` is an answer to the question whether a call that was cut off has happened. */
export type Decision = 'approve' | 'deny' | 'done' | 'expired';

export type Action = {
  readonly id: string;
  readonly node: string;
  readonly call: string;
  readonly op: string;
  readonly hash: string;
  readonly expiresMs: number;
  readonly meta: JsonObject;
  decision: Decision | undefined;
  /** What the call gave, as the operator says who decided `done`. */
  value?: JsonValue;
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
      if (action === undefined || action.decision !== undefined) return;
      action.decision = meta['decision'] as Decision;
      if (meta['value'] !== undefined) action.value = meta['value'];
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
