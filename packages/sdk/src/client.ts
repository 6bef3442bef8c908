/**
 * A session with the daemon: call, subscribe, publish, request, follow.
 *
 * 1. Expected failures are values; `follow` alone throws, for an iteration has no other way to say why it stopped.
 * 2. What is subscribed is bounded: when its reader falls behind, the socket is no longer read.
 */
import {
  type Failure,
  type JsonValue,
  type Result,
  type RunEvent,
  type TraceId,
  err,
  failure,
  isJsonObject,
  ok,
} from '@runloop/core';
import { type Frame, type Value, schema } from '@runloop/rmp';
import { type AskOptions, type Connection, type Outgoing, failureOf } from './connection.ts';
import { callTimeoutMs, followEventsMax, followWaitMs } from './limits.ts';
import { FollowError } from './follow-error.ts';
import { type MessageQueue, createMessageQueue } from './subscription.ts';

export type Message = {
  readonly topic: string | undefined;
  readonly schemaId: number;
  readonly type: string;
  readonly traceId: TraceId;
  readonly msgId: bigint;
  readonly meta: { readonly [key: string]: Value };
  readonly payload: Value | undefined;
  readonly frame: Frame;
};

export type Publication = Outgoing & { readonly ack?: boolean };
export type Published = { readonly msgId: number; /** Known when an ack was asked for. */ readonly delivered?: number };
export type CallOptions = AskOptions & { readonly traceId?: TraceId };
export type FollowOptions = { readonly afterSeq?: number; readonly signal?: AbortSignal };

export interface Subscription extends AsyncIterable<Message>, AsyncDisposable {
  readonly topic: string;
}

export type Welcome = {
  readonly session: string;
  readonly server: string;
  /** What was granted, which may be less than what was asked for. */
  readonly kind: string;
  readonly limits: { readonly [name: string]: Value };
};

export interface Client extends AsyncDisposable {
  readonly welcome: Welcome;
  /** Runs a control operation. Its `traceId` makes it idempotent: use a new one for each change. */
  call(op: string, args: unknown, options?: CallOptions): Promise<Result<JsonValue, Failure>>;
  ping(options?: AskOptions): Promise<Result<void, Failure>>;
  subscribe(topic: string, options?: { readonly queue?: string }): Promise<Result<Subscription, Failure>>;
  publish(topic: string, message: Publication): Promise<Result<Published, Failure>>;
  /** Publishes and waits for the answer of whoever subscribed to `topic`. */
  request(topic: string, message: Outgoing, options?: AskOptions): Promise<Result<Message, Failure>>;
  /** Answers a message that came through `request`. */
  reply(to: Message, message: Outgoing): Promise<Result<Published, Failure>>;
  /** The events of a run, each once and in order, until it has finished. */
  follow(traceId: TraceId, options?: FollowOptions): AsyncIterable<RunEvent>;
  /** Settles with the reason when the session ends; the daemon said beforehand whether it drains. */
  readonly closed: Promise<Failure>;
  readonly isDraining: boolean;
}

export function createClient(
  connection: Connection,
  welcome: Welcome,
  closed: Promise<Failure>,
  inbound: (take: (frame: Frame) => void) => void,
): Client {
  return new SessionClient(connection, welcome, closed, inbound);
}

class SessionClient implements Client {
  readonly welcome: Welcome;
  readonly closed: Promise<Failure>;
  readonly #connection: Connection;
  /** What each subscription takes. */
  readonly #queues = new Map<MessageQueue<Message>, (topic: string) => boolean>();
  readonly #replies = new Map<number, (answer: Result<Message, Failure>) => void>();
  readonly #inboxTopic: string;
  #inbox: Promise<Result<Subscription, Failure>> | undefined;
  #lastSub = 0;
  #isDraining = false;

  constructor(
    connection: Connection,
    welcome: Welcome,
    closed: Promise<Failure>,
    inbound: (take: (frame: Frame) => void) => void,
  ) {
    this.#connection = connection;
    this.welcome = welcome;
    this.closed = closed;
    this.#inboxTopic = `_inbox/${welcome.session}/replies`;
    inbound((frame) => this.#take(frame));
    void closed.then((reason) => {
      for (const queue of this.#queues.keys()) queue.end();
      for (const answer of this.#replies.values()) answer(err(reason));
    });
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  #take(frame: Frame): void {
    const topic = frame.meta?.['topic'];
    if (typeof topic !== 'string') {
      if (frame.schemaId === schema.control && field(frame, 'op') === 'drain') this.#isDraining = true;
      return;
    }
    const message = messageOf(frame, topic);
    if (topic === this.#inboxTopic) {
      const of = message.meta['in_reply_to'];
      if (typeof of === 'number')
        this.#replies.get(of)?.(message.schemaId === schema.errorReport ? err(failureOf(frame)) : ok(message));
      return;
    }
    for (const [queue, takes] of this.#queues) if (takes(topic)) queue.put(message);
  }

  async call(op: string, args: unknown, options: CallOptions = {}): Promise<Result<JsonValue, Failure>> {
    const { traceId, ...ask } = options;
    const request = { schemaId: schema.ctrlRequest, payload: { v: 1, op, args }, meta: { topic: 'rlp/ctrl' } };
    const answer = await this.#connection.ask(traceId === undefined ? request : { ...request, traceId }, ask);
    if (!answer.ok) return answer;
    return ok((field(answer.value, 'result') ?? null) as JsonValue);
  }

  async ping(options: AskOptions = {}): Promise<Result<void, Failure>> {
    const answer = await this.#connection.ask({ schemaId: schema.control, payload: { v: 1, op: 'ping' } }, options);
    return answer.ok ? ok(undefined) : answer;
  }

  async subscribe(topic: string, options: { readonly queue?: string } = {}): Promise<Result<Subscription, Failure>> {
    const connection = this.#connection;
    this.#lastSub += 1;
    const sub = this.#lastSub;
    const queue = createMessageQueue<Message>(
      // Answers that somebody waits for come over the same socket: it must be read for them.
      () => void (connection.pending === 0 && connection.pause()),
      () => connection.resume(),
    );
    this.#queues.set(queue, matcher(topic));
    const payload = { v: 1, sub, topic, ...(options.queue === undefined ? {} : { queue: options.queue }) };
    const answer = await connection.ask({ schemaId: schema.subscribe, payload, meta: { ack: true } });
    if (!answer.ok) {
      this.#queues.delete(queue);
      return answer;
    }
    const leave = async (): Promise<void> => {
      this.#queues.delete(queue);
      queue.end();
      connection.resume();
      if (connection.closed !== undefined) return;
      await connection.ask({ schemaId: schema.unsubscribe, payload: { v: 1, sub }, meta: { ack: true } });
    };
    return ok({ topic, [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](), [Symbol.asyncDispose]: leave });
  }

  async publish(topic: string, { ack, ...message }: Publication): Promise<Result<Published, Failure>> {
    const outgoing = { ...message, meta: { ...message.meta, topic, ...(ack === true ? { ack: true } : {}) } };
    if (ack === true) {
      const answer = await this.#connection.ask(outgoing);
      if (!answer.ok) return answer;
      const delivered = field(answer.value, 'delivered');
      return ok({ msgId: Number(field(answer.value, 'of')), delivered: typeof delivered === 'number' ? delivered : 0 });
    }
    const sent = this.#connection.send(outgoing);
    if (!sent.ok) return sent;
    if (!sent.value.takesMore) await this.#connection.drained();
    return ok({ msgId: sent.value.msgId });
  }

  async request(topic: string, message: Outgoing, options: AskOptions = {}): Promise<Result<Message, Failure>> {
    this.#inbox ??= this.subscribe(this.#inboxTopic);
    const ready = await this.#inbox;
    if (!ready.ok) {
      this.#inbox = undefined;
      return ready;
    }
    const timeoutMs = options.timeoutMs ?? callTimeoutMs;
    const ttlMs = message.ttlMs ?? timeoutMs;
    const meta = { ...message.meta, topic, reply_to: this.#inboxTopic, ack: true };
    const { promise, resolve } = Promise.withResolvers<Result<Message, Failure>>();
    let msgId = 0;
    const acked = this.#connection.ask({ ...message, ttlMs, meta }, options, (id) => {
      msgId = id;
      this.#replies.set(id, resolve);
    });
    // The ack says that somebody was asked; from then on it is the reply that is waited for.
    void acked.then((ack) => {
      if (!ack.ok) resolve(ack);
      else if (field(ack.value, 'delivered') === 0) resolve(err(failure('NotFound', `nobody subscribes to ${topic}`)));
    });
    const late = (): void => resolve(err(failure('DeadlineExceeded', `no answer on ${topic} within ${timeoutMs} ms`)));
    using _timer = this.#connection.after(timeoutMs, late);
    const onAbort = (): void => resolve(err(failure('Cancelled', 'cancelled while waiting for the answer')));
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const answer = await promise;
    options.signal?.removeEventListener('abort', onAbort);
    this.#replies.delete(msgId);
    return answer;
  }

  async reply(to: Message, message: Outgoing): Promise<Result<Published, Failure>> {
    const topic = to.meta['reply_to'];
    if (typeof topic !== 'string') return err(failure('NotFound', 'this message asks for no reply'));
    const of = to.msgId <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(to.msgId) : to.msgId;
    return this.publish(topic, { ...message, traceId: to.traceId, meta: { ...message.meta, in_reply_to: of } });
  }

  follow(traceId: TraceId, options: FollowOptions = {}): AsyncIterable<RunEvent> {
    return follow((op, args, ask) => this.call(op, args, ask), traceId, options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection.close();
  }
}

async function* follow(call: Client['call'], traceId: TraceId, options: FollowOptions): AsyncGenerator<RunEvent> {
  let afterSeq = options.afterSeq ?? 0;
  for (;;) {
    const args = { trace_id: traceId, after_seq: afterSeq, max: followEventsMax, wait_ms: followWaitMs };
    const answer = await call('run.events', args, options.signal === undefined ? {} : { signal: options.signal });
    if (!answer.ok) {
      if (options.signal?.aborted === true) return;
      throw new FollowError(answer.error);
    }
    if (!isJsonObject(answer.value))
      throw new FollowError(failure('BodyDecodeError', 'the answer to run.events cannot be read'));
    const { events, done } = answer.value as { readonly events?: readonly RunEvent[]; readonly done?: boolean };
    for (const event of events ?? []) {
      if (event.seq !== undefined) afterSeq = Math.max(afterSeq, event.seq);
      yield event;
      if (event.kind === 'run.finished') return;
    }
    if (done === true) return;
  }
}

function field(frame: Frame, key: string): Value | undefined {
  const payload = frame.payload();
  return typeof payload === 'object' && payload !== null ? (Reflect.get(payload, key) as Value | undefined) : undefined;
}

function messageOf(frame: Frame, topic: string): Message {
  const { traceId, msgId } = frame.header;
  return {
    topic,
    schemaId: frame.schemaId,
    type: frame.envelope.type,
    traceId,
    msgId,
    meta: frame.meta ?? {},
    payload: frame.payload(),
    frame,
  };
}

/** Does a topic belong to this subscription? The daemon sends one copy, whatever the number of them that match. */
function matcher(pattern: string): (topic: string) => boolean {
  const wanted = pattern.split('/');
  if (!pattern.includes('*')) return (topic) => topic === pattern;
  return (topic) => {
    const parts = topic.split('/');
    for (const [index, part] of wanted.entries()) {
      if (part === '**') return parts.length > index;
      if (part !== '*' && part !== parts[index]) return false;
    }
    return parts.length === wanted.length;
  };
}
