/**
 * Calls that a crash or a deadline cut off: begun, and nobody knows whether they happened.
 *
 * 1. Where doing it again does nothing twice, it is done again.
 * 2. Anything else is asked about, each time it was cut off: again, or not. Without an answer the node waits.
 * 3. What is not done again has a result on the tape: a failure that says so.
 */
import { type Failure, type JsonValue, ok, type Result } from '@runloop/core';
import type { RunDriver } from './driver.ts';
import type { RunMemory } from './memory.ts';
import type { HostPerformer } from './ports.ts';
import type { Questions } from './questions.ts';
import type { TapedCall } from './tape.ts';
import type { Values } from './values.ts';

export type Waits = { readonly for: 'approval'; readonly action: string };

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
      const decision = this.#driver.actions.ofCall(questionOf(call))?.decision;
      if (decision === 'approve' || this.#deps.performer.repeats(call.op)) again.add(call);
      else if (decision !== undefined) {
        const refused = await this.#refuse(call);
        if (!refused.ok) return refused;
      }
    }
    return ok((call) => !again.has(call));
  }

  /** Asks about the first that nobody has been asked about; nothing where there is none. */
  async ask(node: string, attempt: number, agent: string): Promise<Waits | undefined> {
    const call = this.#of(node, attempt).find(
      (one) => !this.#deps.performer.repeats(one.op) && this.#driver.actions.ofCall(questionOf(one)) === undefined,
    );
    if (call === undefined) return undefined;
    const args = await this.#deps.values.load(call.args);
    const request = {
      call: questionOf(call),
      op: call.op,
      args: args.ok ? args.value : ({ unreadable: args.error.message } as JsonValue),
      args_hash: call.args_hash,
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

  async #refuse(call: TapedCall): Promise<Result<void, Failure>> {
    const error = {
      code: 'ApprovalDenied',
      message: `${call.op} was cut off and not made again; it may have happened`,
      retryable: false,
    };
    const { node, attempt, index, op, class: cls, args_hash, args } = call;
    const meta = { node, attempt, index, call: call.call, op, class: cls, args_hash, args, ok: false, error };
    const message = `${node}: ${error.message}.`;
    const recorded = await this.#driver.record([{ kind: 'effect.result', level: 'warn', message, meta }]);
    if (recorded.ok) this.#memory.remember(meta);
    return recorded;
  }
}

/** The question whether a call is to be made again; a new one each time that it was begun. */
function questionOf({ call, begun = 1 }: TapedCall): string {
  return `${call}/again/${begun}`;
}
