/**
 * Calls that a crash or a deadline cut off: begun, and nobody knows whether they happened.
 *
 * 1. Where doing it again does nothing twice, it is done again.
 * 2. Anything else is asked about, each time it was cut off: has it happened, shall it be made again, or neither? Without an
 *    answer the node waits.
 * 3. What is not done again has a result on the tape: what the operator says it gave, or a failure that says so.
 */
import { type Failure, type JsonValue, ok, type Result } from '@runloop/core';
import type { Action, Waits } from './actions.ts';
import type { RunDriver } from './driver.ts';
import type { RunMemory } from './memory.ts';
import type { HostPerformer, RunDraft } from './ports.ts';
import { againOf, type Questions } from './questions.ts';
import type { TapedCall } from './tape.ts';
import type { Values } from './values.ts';

export class CutOff {
  readonly #deps: { readonly performer: Pick<HostPerformer, 'repeats'>; readonly values: Values };
  readonly #driver: RunDriver;
  readonly #memory: RunMemory;
  readonly #questions: Questions;

  constructor(
    deps: { readonly performer: Pick<HostPerformer, 'repeats'>; readonly values: Values },
    driver: RunDriver,
    memory: RunMemory,
    questions: Questions,
  ) {
    this.#deps = deps;
    this.#driver = driver;
    this.#memory = memory;
    this.#questions = questions;
  }

  /** Which calls the kernel is to know of: all but those that are to be made again. */
  async settle(node: string, attempt: number): Promise<Result<(call: TapedCall) => boolean, Failure>> {
    const again = new Set<TapedCall>();
    for (const call of this.#of(node, attempt)) {
      const asked = this.#driver.actions.ofCall(againOf(call.call, call.begun ?? 1));
      if (asked?.decision === 'approve' || this.#deps.performer.repeats(call.op)) again.add(call);
      else if (asked?.decision !== undefined) {
        const settled = await (asked.decision === 'done'
          ? this.#accept(call, asked.said.value ?? {})
          : this.#refuse(call));
        if (!settled.ok) return settled;
      }
    }
    return ok((call) => !again.has(call));
  }

  /** Asks about the first that nobody has answered for, once; nothing where no call was cut off. */
  async ask(node: string, attempt: number, agent: string): Promise<Waits | undefined> {
    const asked = (one: TapedCall): Action | undefined =>
      this.#driver.actions.ofCall(againOf(one.call, one.begun ?? 1));
    const calls = this.#of(node, attempt).filter(({ op }) => !this.#deps.performer.repeats(op));
    // Answered while the attempt was already under way, it did not know of the answer: it need not wait for another.
    const call = calls.find((one) => asked(one)?.decision === undefined) ?? calls[0];
    if (call === undefined) return undefined;
    const known = asked(call);
    if (known !== undefined) return { for: 'approval', action: known.id };
    const args = await this.#deps.values.load((call.performed ?? call).args);
    const request = {
      call: againOf(call.call, call.begun ?? 1),
      op: call.op,
      args: args.ok ? args.value : ({ unreadable: args.error.message } as JsonValue),
      args_hash: (call.performed ?? call).args_hash,
      target: '',
      always: true,
      label: this.#memory.given(node, this.#driver.state),
    };
    const answer = await this.#questions.ask({ node, agent }, request, 'again: it was cut off and may have happened');
    // A denial at once (--on-confirm deny) is waited for like any other answer, and is there already.
    const action = answer.type === 'pending' ? answer.action : this.#driver.actions.ofCall(request.call)?.id;
    return action === undefined ? undefined : { for: 'approval', action };
  }

  #of(node: string, attempt: number): readonly TapedCall[] {
    const all = [...this.#memory.calls(node, attempt), ...this.#memory.earlier(node, attempt)];
    return all.filter((call) => call.class === 'once' && call.ok === undefined);
  }

  /** The operator has looked: it happened, and this is what it gave. */
  async #accept(call: TapedCall, given: JsonValue): Promise<Result<void, Failure>> {
    const value = await this.#deps.values.store(given);
    if (!value.ok) return value;
    return this.#settle(call, 'info', `${call.op} was cut off, and is said to have happened`, {
      ok: true,
      value: value.value,
    });
  }

  #refuse(call: TapedCall): Promise<Result<void, Failure>> {
    const message = `${call.op} was cut off and not made again; it may have happened`;
    return this.#settle(call, 'warn', message, {
      ok: false,
      error: { code: 'ApprovalDenied', message, retryable: false },
    });
  }

  async #settle(
    { node, attempt, index, call, op, class: cls, args_hash, args, performed }: TapedCall,
    level: RunDraft['level'],
    message: string,
    how: Pick<TapedCall, 'ok' | 'value' | 'error'>,
  ): Promise<Result<void, Failure>> {
    const edited = performed === undefined ? {} : { performed };
    const meta = { node, attempt, index, call, op, class: cls, args_hash, args, ...edited, ...how };
    const recorded = await this.#driver.record([
      { kind: 'effect.result', level, message: `${node}: ${message}.`, meta },
    ]);
    if (recorded.ok) this.#memory.remember(meta);
    return recorded;
  }
}
