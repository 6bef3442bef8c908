/**
 * The approvals of one run: the fold of its action.* events.
 *
 * 1. One question for each call id: asked once, answered once, found again after a restart.
 * 2. A decision counts only for the hash that was asked about, and only while the question is open.
 * 3. A call whose arguments were edited is asked about again: its last question is the one that counts.
 * 4. What was approved several times over is used up on the ledger: each use names the approval under which it passed.
 */
import type { JsonObject, JsonValue, RunEventKind } from '@runloop/core';

/**
 * `done` is an answer to the question whether a call that was cut off has happened; after `edited` the call is asked about
 * anew, with other arguments.
 */
export type Decision = 'approve' | 'deny' | 'done' | 'edited' | 'expired';
/** What comes with a decision. */
export type Said = {
  /** What the call gave, as the operator says who decided `done`. */
  readonly value?: JsonValue;
  /** What is to be asked about instead. */
  readonly args?: JsonValue;
  /** How often these very arguments may go, this time included. */
  readonly times?: number;
  /** By how much a budget is raised, in its own unit. */
  readonly raise?: number;
};

/** What an attempt waits for, and the question's id. */
export type Waits = { readonly for: 'approval' | 'budget'; readonly action: string };

export type Action = {
  readonly id: string;
  readonly node: string;
  readonly agent: string;
  readonly call: string;
  readonly op: string;
  readonly hash: string;
  readonly expiresMs: number;
  readonly meta: JsonObject;
  decision: Decision | undefined;
  said: Said;
  /** Requests that passed because of this one. */
  readonly uses: Set<string>;
};

export class Actions {
  readonly #byId = new Map<string, Action>();
  readonly #byCall = new Map<string, Action>();
  readonly #pending = new Set<Action>();
  /** Approved more than once over. */
  readonly #standing: Action[] = [];

  fold(kind: RunEventKind, meta: JsonObject): void {
    if (kind === 'action.requested') {
      const action: Action = {
        id: String(meta['action']),
        node: String(meta['node']),
        agent: String(meta['agent']),
        call: String(meta['call']),
        op: String(meta['op']),
        hash: String(meta['hash']),
        expiresMs: Number(meta['expires_ms']),
        meta,
        decision: undefined,
        said: {},
        uses: new Set(),
      };
      this.#byId.set(action.id, action);
      this.#byCall.set(action.call, action);
      this.#pending.add(action);
    } else if (kind === 'action.decided') {
      const action = this.#byId.get(String(meta['action']));
      if (action === undefined || action.decision !== undefined) return;
      action.decision = meta['decision'] as Decision;
      action.said = meta;
      this.#pending.delete(action);
      if (action.decision === 'approve' && action.said.times !== undefined) this.#standing.push(action);
      this.#byId.get(String(meta['under']))?.uses.add(action.id);
    }
  }

  /** An approval of these very arguments to this agent that is not used up. */
  standing(agent: string, op: string, hash: string): Action | undefined {
    return this.#standing.find(
      (one) => one.agent === agent && one.op === op && one.hash === hash && one.uses.size + 1 < (one.said.times ?? 1),
    );
  }

  ofCall(call: string): Action | undefined {
    return this.#byCall.get(call);
  }

  get(id: string): Action | undefined {
    return this.#byId.get(id);
  }

  pending(): Action[] {
    return [...this.#pending];
  }
}
