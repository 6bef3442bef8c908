/**
 * The mailbox: messages between agents, by name, over runs and restarts.
 *
 * 1. A message is on the ledger before its sender is answered, once for each call. What a call receives is taken on the
 *    ledger before it is answered: the same call made again is given the same messages, another call never.
 * 2. A message carries the label of all that its sender had seen, and so does the answer that gives it out.
 * 3. What waits for one agent is bounded; the sender of one more is refused.
 */
import {
  type Clock,
  cleanLabel,
  err,
  failure,
  type Failure,
  isClean,
  isJsonObject,
  joinLabels,
  type JsonObject,
  type JsonValue,
  ok,
  readLabel,
  type Result,
} from '@runloop/core';
import type { Kb, MailboxMessage } from '@runloop/kb';
import type { CallScope, Performed } from '../runs/ports.ts';
import type { Stored, Values } from '../runs/values.ts';
import { answered, provenanceOf, refused } from './kb-calls.ts';

/** Messages and bytes that wait for one agent. */
export const mailboxMessagesMax = 1_000;
export const mailboxBytesMax: number = 8 * 1024 * 1024;
export const mailboxMessageBytesMax: number = 256 * 1024;
/** Messages that one call receives. */
export const mailboxReceiveMax = 100;
export const mailboxWaitMsMax = 30_000;

type MailboxDeps = { readonly clock: Clock; readonly kb: Pick<Kb, 'append' | 'mailbox'>; readonly values: Values };

export class Mailbox {
  readonly #deps: MailboxDeps;
  readonly #waiting = new Map<string, Set<() => void>>();
  /** One call at a time: what it reads is what it takes. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: MailboxDeps) {
    this.#deps = deps;
  }

  async send(args: JsonObject, scope: CallScope): Promise<Performed> {
    const { to, type, value = null } = args;
    if (typeof to !== 'string' || typeof type !== 'string' || type === '' || type.length > 128)
      return refused(failure('InvalidParams', 'mailbox.send needs { to: an agent, type: a short text, value }'));
    const bytes = JSON.stringify(value).length;
    if (bytes > mailboxMessageBytesMax)
      return refused(failure('OutputTooLarge', `mailbox.send: a message has at most ${mailboxMessageBytesMax} bytes`));
    const sent = await this.#alone(() => this.#send(to, type, value, bytes, scope));
    if (sent.ok) for (const wake of this.#waiting.get(to) ?? []) wake();
    return sent.ok ? answered({ event_id: sent.value }) : refused(sent.error);
  }

  async receive(
    { max = 10, wait_ms: waitMs = 0 }: JsonObject,
    scope: CallScope,
    signal: AbortSignal,
  ): Promise<Performed> {
    if (!isWithin(max, 1, mailboxReceiveMax) || !isWithin(waitMs, 0, mailboxWaitMsMax)) {
      const why = `max is from 1 to ${mailboxReceiveMax}, wait_ms from 0 to ${mailboxWaitMsMax}`;
      return refused(failure('InvalidParams', `mailbox.receive: ${why}`));
    }
    const endMs = this.#deps.clock.monotonicMs() + waitMs;
    for (;;) {
      const news = this.#news(scope.bundle.name, endMs, signal);
      const taken = await this.#alone(() => this.#take(max, scope));
      const leftMs = endMs - this.#deps.clock.monotonicMs();
      if (!taken.ok || taken.value.length > 0 || leftMs <= 0) {
        news.close();
        return taken.ok ? this.#given(taken.value) : refused(taken.error);
      }
      await news.came;
      // No answer where the attempt is over: on the tape it would be the one that it gets when it runs again.
      if (signal.aborted) throw new Error('the attempt ended while it waited');
    }
  }

  async #send(
    to: string,
    type: string,
    value: JsonValue,
    bytes: number,
    scope: CallScope,
  ): Promise<Result<number, Failure>> {
    const { kb, values, clock } = this.#deps;
    const state = await kb.mailbox({ agent: to, call: scope.callId, max: 1 });
    if (!state.ok) return state;
    const { known, waiting, waiting_bytes: waitingBytes } = state.value;
    if (!known && (waiting >= mailboxMessagesMax || waitingBytes + bytes > mailboxBytesMax)) {
      const message = `the mailbox of ${to} is full: ${waiting} messages of ${waitingBytes} bytes wait`;
      return err(failure('LimitExceeded', message, { hint: `run ${to}, which receives them` }));
    }
    const stored = await values.store(value);
    if (!stored.ok) return stored;
    const label = isClean(scope.label) ? {} : { label: scope.label as unknown as JsonObject };
    const from = scope.bundle.name;
    const sent = await kb.append([
      {
        ts_ms: clock.nowMs(),
        actor: `agent:${from}`,
        kind: 'mailbox.sent',
        scope: `run/${scope.traceId}`,
        payload: { to, from, type, value: stored.value, bytes, call: scope.callId, ...label },
        provenance: provenanceOf(scope),
        dedupe_key: `call/${scope.callId}`,
        trace_id: scope.traceId,
      },
    ]);
    return sent.ok ? ok(sent.value[0]?.id ?? 0) : sent;
  }

  async #take(max: number, scope: CallScope): Promise<Result<readonly MailboxMessage[], Failure>> {
    const { kb, clock } = this.#deps;
    const agent = scope.bundle.name;
    const state = await kb.mailbox({ agent, call: scope.callId, max });
    if (!state.ok) return state;
    const { messages, known } = state.value;
    if (known || messages.length === 0) return ok(messages);
    const taken = await kb.append([
      {
        ts_ms: clock.nowMs(),
        actor: `agent:${agent}`,
        kind: 'mailbox.received',
        scope: `run/${scope.traceId}`,
        payload: { agent, call: scope.callId, messages: messages.map(({ id }) => id) },
        provenance: provenanceOf(scope),
        dedupe_key: `call/${scope.callId}`,
        trace_id: scope.traceId,
      },
    ]);
    return taken.ok ? ok(messages) : taken;
  }

  async #given(messages: readonly MailboxMessage[]): Promise<Performed> {
    const given: JsonValue[] = [];
    for (const { id, from, type, value, ts_ms } of messages) {
      const loaded = await this.#deps.values.load(storedIn(value));
      if (!loaded.ok) return refused(loaded.error);
      given.push({ id, from, type, value: loaded.value, ts_ms });
    }
    const label = messages.reduce((all, message) => joinLabels(all, readLabel(message.label)), cleanLabel);
    return { result: { ok: true, value: { messages: given }, label } };
  }

  /** Ends when a message comes, at `endMs`, or with the attempt. */
  #news(agent: string, endMs: number, signal: AbortSignal): { readonly came: Promise<void>; close(): void } {
    const { clock } = this.#deps;
    const woken = Promise.withResolvers<void>();
    const waiters = this.#waiting.get(agent) ?? new Set();
    this.#waiting.set(agent, waiters);
    const timer = clock.after(Math.max(0, endMs - clock.monotonicMs()), () => wake());
    const wake = (): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener('abort', wake);
      waiters.delete(wake);
      if (waiters.size === 0 && this.#waiting.get(agent) === waiters) this.#waiting.delete(agent);
      woken.resolve();
    };
    waiters.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    return { came: woken.promise, close: wake };
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

function storedIn(value: JsonValue): Stored {
  if (isJsonObject(value) && typeof value['blob'] === 'string') return { blob: value['blob'] };
  return { json: isJsonObject(value) ? (value['json'] ?? null) : null };
}

function isWithin(value: JsonValue, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}
