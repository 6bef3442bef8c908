/**
 * The questions of one run: asked once, answered once, expiring.
 *
 * 1. A question is durable before anybody is asked, and its answer before it counts.
 * 2. A question shows what its arguments refer to; where that has changed since, it is asked again.
 * 3. Nothing is approved by default, on error, or because nobody answered.
 * 4. An approval that counts n times lets these very arguments of this agent pass n times in this run, and never once more.
 * 5. An agent has at most so many questions open, over all its runs.
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
import type { Action, Decision, Said } from './actions.ts';
import type { RunDriver } from './driver.ts';
import { asksToRaise, raisedBy, raisedDraft } from './exhausted.ts';
import { lineageOf } from './lineage.ts';
import type { Raised, RunDraft } from './ports.ts';

/** How long a question waits for an answer. */
export const approvalMs: number = 24 * 3600 * 1000;
/** Questions that an agent may have open; one more is answered with no at once, and its answer says by what. */
export const pendingActionsMax = 20;
/** How often one approval may count. */
export const timesMax = 100;
/** By how much one answer may raise a budget. */
export const raiseMax = 1e15;

export type Asker = { readonly node: string; readonly agent: string };
export type Answer =
  | { readonly type: 'approved' | 'denied' }
  | { readonly type: 'pending'; readonly action: string }
  /** The arguments that are to be asked about instead. */
  | { readonly type: 'edited'; readonly args: JsonValue };
export type QuestionsOptions = {
  readonly onConfirm: 'wait' | 'deny';
  /** Questions of the agent that are open, in all runs. */
  readonly openOf: (agent: string) => number;
  readonly raised: (raised: Raised) => void;
};

/** The question whether a call that was cut off is to be made again; a new one each time that it was begun. */
export function againOf(call: string, begun: number): string {
  return `${call}/again/${begun}`;
}

/** The question whether an attempt that has left its tape is followed by another. */
export function anewOf(runId: string, node: string, attempt: number): string {
  return `${runId}/${node}/${attempt}/anew`;
}

function isAnew(call: string): boolean {
  return call.endsWith('/anew');
}

function isCutOff(call: string): boolean {
  return call.includes('/again/');
}

export class Questions {
  readonly #deps: { readonly clock: Clock; readonly random: Random };
  readonly #driver: RunDriver;
  readonly #options: QuestionsOptions;
  /** Questions that are on their way to the ledger, by agent. */
  readonly #asking = new Map<string, string>();
  /** Questions whose answer is on its way to the ledger. */
  readonly #deciding = new Set<string>();

  constructor(deps: { readonly clock: Clock; readonly random: Random }, driver: RunDriver, options: QuestionsOptions) {
    this.#deps = deps;
    this.#driver = driver;
    this.#options = options;
  }

  /** Questions of the agent that are open in this run. */
  openOf(agent: string): number {
    const open = new Set(this.#driver.actions.pending().flatMap((one) => (one.agent === agent ? [one.id] : [])));
    for (const [action, of] of this.#asking) if (of === agent) open.add(action);
    return open.size;
  }

  /**
   * Asks for an action once; answers what has been decided, or that somebody must. `passedBy` names the setting that lets
   * it pass unasked.
   */
  async ask(asker: Asker, request: ApprovalRequest, why = '', passedBy?: string): Promise<Answer> {
    const { referents = {}, args_hash: hash } = request;
    const before = this.#driver.actions.ofCall(request.call);
    const instead = before === undefined ? undefined : insteadOf(before, hash);
    if (instead !== undefined) return { type: 'edited', args: instead };
    const known = before?.decision === 'edited' ? undefined : before;
    const changed = known !== undefined && !refersTo(known, referents);
    if (known?.decision === 'approve' && !changed) return { type: 'approved' };
    if (known?.decision !== undefined && known.decision !== 'approve') return { type: 'denied' };
    if (known !== undefined && !changed) return { type: 'pending', action: known.id };
    const action = newActionId(this.#deps.random);
    const standing = isCutOff(request.call) ? undefined : this.#driver.actions.standing(asker.agent, request.op, hash);
    const under = standing !== undefined && refersTo(standing, referents) ? standing : undefined;
    under?.uses.add(action);
    const expiresMs = this.#deps.clock.nowMs() + approvalMs;
    const what = `${request.op}${request.target === '' ? '' : ` → ${request.target}`}${why === '' ? '' : ` ${why}`}`;
    const meta: { [key: string]: JsonValue } = {
      action,
      ...asker,
      op: request.op,
      call: request.call,
      hash,
      what,
      target: request.target,
      args: request.args,
      ...(Object.keys(referents).length === 0 ? {} : { referents }),
      expires_ms: expiresMs,
      ...(before?.decision === 'edited' ? { replaces: before.id } : {}),
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
    const passes = under === undefined ? passedBy : `${under.id}, approved ${under.said.times} times`;
    const isFull = passes === undefined && this.#options.openOf(asker.agent) >= pendingActionsMax;
    const denied = isFull || (passes === undefined && this.#options.onConfirm === 'deny');
    if (denied) drafts.push(decided(action, hash, 'deny', isFull ? 'pending_actions_max' : 'on_confirm'));
    if (passes !== undefined)
      drafts.push(decided(action, hash, 'approve', passes, under === undefined ? {} : { under: under.id }));
    if (!denied && passes === undefined) this.#asking.set(action, asker.agent);
    const recorded = await this.#driver.record(drafts);
    this.#asking.delete(action);
    if (!recorded.ok) throw new Error(recorded.error.message);
    if (passes !== undefined) return { type: 'approved' };
    if (denied) return { type: 'denied' };
    this.expireLater(action, hash, expiresMs);
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
    said: Said = {},
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
    // The timer may be late: a machine that slept does not count the time.
    if (decision !== 'expired' && this.#deps.clock.nowMs() >= action.expiresMs) {
      const late = await this.decide(id, hash, 'expired', 'expiry');
      return late ?? failure('Conflict', `request ${id} expired before it was answered`);
    }
    const wrong = wrongAnswer(action, decision, said);
    if (wrong !== undefined) return wrong;
    // Two answers at once: the first counts, the second is not written at all.
    if (this.#deciding.has(id)) return failure('Conflict', `request ${id} is being answered by somebody else`);
    this.#deciding.add(id);
    const raised = decision === 'approve' && asksToRaise(action.call) ? raisedBy(action, said.raise) : undefined;
    const drafts = raised === undefined ? [] : [raisedDraft(action.node, raised, by)];
    const recorded = await this.#driver.record([decided(id, hash, decision, by, said), ...drafts]);
    this.#deciding.delete(id);
    if (!recorded.ok) return recorded.error;
    if (raised !== undefined) this.#options.raised(raised);
    this.wakeIfDecided(action.node, id);
    return undefined;
  }

  /** A decision may arrive before the waiting that it ends. */
  wakeIfDecided(node: string, action: string | undefined): void {
    const { call, decision } = (action === undefined ? undefined : this.#driver.actions.get(action)) ?? {};
    if (call === undefined || decision === undefined) return;
    const anew = decision === 'approve' && isAnew(call) ? ({ anew: true } as const) : {};
    this.#driver.send({ type: 'decided', node, ...anew });
  }
}

/** What is asked about in place of a call with these arguments, once a person has edited it. */
function insteadOf({ decision, said, hash, meta }: Action, asked: string): JsonValue | undefined {
  const args = decision === 'edited' ? said.args : hash === asked ? undefined : meta['args'];
  return args === undefined || digestJson(args) === asked ? undefined : args;
}

function refersTo({ meta }: Action, referents: JsonValue): boolean {
  return digestJson(meta['referents'] ?? {}) === digestJson(referents);
}

function wrongAnswer({ id, call }: Action, decision: Decision, { times, raise }: Said): Failure | undefined {
  if (raise !== undefined && !(asksToRaise(call) && decision === 'approve' && raise > 0 && raise <= raiseMax))
    return failure('Usage', `request ${id} raises no budget by ${raise}`, { hint: 'see: rlp approve show' });
  if (isCutOff(call) || isAnew(call) || asksToRaise(call)) {
    if (decision === 'approve' && times === undefined) return undefined;
    if (decision === 'deny' || decision === 'expired' || (decision === 'done' && isCutOff(call))) return undefined;
    const hint = isCutOff(call) ? 'answer approve (again), deny or done' : 'answer approve or deny';
    return failure('Usage', `request ${id} is no call that could be edited, done, or made several times`, { hint });
  }
  if (decision === 'done')
    return failure('Usage', `request ${id} asks whether to begin: nothing can have been done yet`, {
      hint: 'answer approve or deny',
    });
  if (times === undefined || (decision === 'approve' && times >= 1 && times <= timesMax)) return undefined;
  return failure('Usage', `an approval counts 1 to ${timesMax} times, not ${times}`);
}

function decided(
  action: string,
  hash: string,
  decision: Decision,
  by: string,
  more: Said & { readonly under?: string } = {},
): RunDraft {
  const words = {
    approve: `approved${more.times === undefined ? '' : ` ${more.times} times`}`,
    deny: 'denied',
    done: 'said to be done',
    edited: 'edited, and is asked anew',
    expired: 'expired',
  }[decision];
  return {
    kind: 'action.decided',
    level: 'info',
    message: `Request ${action} was ${words} (${by}).`,
    meta: { action, decision, hash, by, ...more },
  };
}
