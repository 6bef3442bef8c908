/**
 * The questions of one run: asked once, answered once, expiring.
 *
 * 1. A question is durable before anybody is asked, and its answer before it counts.
 * 2. A question shows what its arguments refer to; where that has changed since, it is asked again.
 * 3. Nothing is approved by default, on error, or because nobody answered.
 */
import {
  type Clock,
  digestJson,
  type Failure,
  failure,
  isClean,
  type JsonValue,
  newActionId,
  type Random,
  showLine,
} from '@runloop/core';
import type { ApprovalRequest } from '@runloop/runtime';
import type { Decision } from './actions.ts';
import type { RunDriver } from './driver.ts';
import { lineageOf } from './lineage.ts';
import type { RunDraft } from './ports.ts';

/** How long a question waits for an answer. */
export const approvalMs: number = 24 * 3600 * 1000;
/** Questions that one run may have open; one more is answered with no at once, and its answer says by what. */
export const pendingActionsMax = 20;

export type Asker = { readonly node: string; readonly agent: string };
export type Answer = { readonly type: 'approved' | 'denied' } | { readonly type: 'pending'; readonly action: string };

/** The question whether a call that was cut off is to be made again; a new one each time that it was begun. */
export function againOf(call: string, begun: number): string {
  return `${call}/again/${begun}`;
}

function isCutOff(call: string): boolean {
  return call.includes('/again/');
}

export class Questions {
  readonly #deps: { readonly clock: Clock; readonly random: Random };
  readonly #driver: RunDriver;
  readonly #onConfirm: 'wait' | 'deny';
  /** Questions whose answer is on its way to the ledger. */
  readonly #deciding = new Set<string>();

  constructor(deps: { readonly clock: Clock; readonly random: Random }, driver: RunDriver, onConfirm: 'wait' | 'deny') {
    this.#deps = deps;
    this.#driver = driver;
    this.#onConfirm = onConfirm;
  }

  /**
   * Asks for an action once; answers what has been decided, or that somebody must. `passedBy` names the setting that lets
   * it pass unasked.
   */
  async ask(asker: Asker, request: ApprovalRequest, why = '', passedBy?: string): Promise<Answer> {
    const { referents = {} } = request;
    const known = this.#driver.actions.ofCall(request.call);
    const changed = known !== undefined && digestJson(known.meta['referents'] ?? {}) !== digestJson(referents);
    if (known?.decision === 'approve' && !changed) return { type: 'approved' };
    if (known?.decision !== undefined && known.decision !== 'approve') return { type: 'denied' };
    if (known !== undefined && !changed) return { type: 'pending', action: known.id };
    const action = newActionId(this.#deps.random);
    const expiresMs = this.#deps.clock.nowMs() + approvalMs;
    const what = `${request.op}${request.target === '' ? '' : ` → ${request.target}`}${why === '' ? '' : ` ${why}`}`;
    const meta: { [key: string]: JsonValue } = {
      action,
      ...asker,
      op: request.op,
      call: request.call,
      hash: request.args_hash,
      what,
      target: request.target,
      args: request.args,
      ...(Object.keys(referents).length === 0 ? {} : { referents }),
      expires_ms: expiresMs,
      ...(isClean(request.label) && request.leak === undefined
        ? {}
        : { flow: lineageOf(request.label, asker.node, this.#driver.state) }),
      ...(request.leak === undefined ? {} : { leak: request.leak }),
    };
    const drafts: RunDraft[] = [
      ...(known?.decision === undefined && known !== undefined
        ? [decided(known.id, known.hash, 'expired', 'changed')]
        : []),
      { kind: 'action.requested', level: 'warn', message: `${asker.node} asks to ${showLine(what)}.`, meta },
    ];
    const isFull = this.#driver.actions.pending().length >= pendingActionsMax;
    const denied = passedBy === undefined && (isFull || this.#onConfirm === 'deny');
    if (denied) drafts.push(decided(action, request.args_hash, 'deny', isFull ? 'pending_actions_max' : 'on_confirm'));
    if (passedBy !== undefined) drafts.push(decided(action, request.args_hash, 'approve', passedBy));
    const recorded = await this.#driver.record(drafts);
    if (!recorded.ok) throw new Error(recorded.error.message);
    if (passedBy !== undefined) return { type: 'approved' };
    if (denied) return { type: 'denied' };
    this.expireLater(action, request.args_hash, expiresMs);
    return { type: 'pending', action };
  }

  expireLater(action: string, hash: string, expiresMs: number): void {
    this.#driver.later(Math.max(0, expiresMs - this.#deps.clock.nowMs()), () => {
      if (this.#driver.actions.get(action)?.decision === undefined) void this.decide(action, hash, 'expired', 'expiry');
    });
  }

  /** Records a decision and wakes the node; the first answer counts, and only for the hash that was asked about. */
  async decide(
    id: string,
    hash: string,
    decision: Decision,
    by: string,
    value?: JsonValue,
  ): Promise<Failure | undefined> {
    const action = this.#driver.actions.get(id);
    if (action === undefined) return failure('NotFound', `there is no request ${id}`);
    if (action.decision !== undefined) {
      return failure('Conflict', `request ${id} was answered already: ${action.decision}`);
    }
    if (action.hash !== hash) {
      const hint = 'look at it again: rlp approve show';
      return failure('Conflict', `request ${id} is not what was shown: its hash is ${action.hash.slice(0, 12)}…`, {
        hint,
      });
    }
    if (decision === 'done' && !isCutOff(action.call)) {
      const hint = 'answer approve or deny';
      return failure('Usage', `request ${id} asks whether to begin: nothing can have been done yet`, { hint });
    }
    // Two answers at once: the first counts, the second is not written at all.
    if (this.#deciding.has(id)) return failure('Conflict', `request ${id} is being answered by somebody else`);
    this.#deciding.add(id);
    const recorded = await this.#driver.record([decided(id, hash, decision, by, value)]);
    this.#deciding.delete(id);
    if (!recorded.ok) return recorded.error;
    this.#driver.send({ type: 'decided', node: action.node });
    return undefined;
  }

  /** A decision may arrive before the waiting that it ends. */
  wakeIfDecided(node: string, action: string | undefined): void {
    if (action !== undefined && this.#driver.actions.get(action)?.decision !== undefined) {
      this.#driver.send({ type: 'decided', node });
    }
  }
}

function decided(action: string, hash: string, decision: Decision, by: string, value?: JsonValue): RunDraft {
  const words = { approve: 'approved', deny: 'denied', done: 'said to be done', expired: 'expired' }[decision];
  return {
    kind: 'action.decided',
    level: 'info',
    message: `Request ${action} was ${words} (${by}).`,
    meta: { action, decision, hash, by, ...(value === undefined ? {} : { value }) },
  };
}
