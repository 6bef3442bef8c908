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
  const patterns = new Map<MessageQueue<Message>, (topic: string) => boolean>();
  const replies = new Map<number, (message: Message) => void>();
  let lastSub = 0;
  let isDraining = false;
  let inbox: Promise<Result<Subscription, Failure>> | undefined;
  const inboxTopic = `_inbox/${welcome.session}/replies`;

  inbound((frame) => {
    const topic = frame.meta?.['topic'];
    if (typeof topic !== 'string') {
      if (frame.schemaId === schema.control && field(frame, 'op') === 'drain') isDraining = true;
      return;
    }
    const message = messageOf(frame, topic);
    if (topic === inboxTopic) {
      const of = message.meta['in_reply_to'];
      if (typeof of === 'number') replies.get(of)?.(message);
      return;
    }
    for (const [queue, takes] of patterns) if (takes(topic)) queue.put(message);
  });
  void closed.then(() => {
    for (const queue of patterns.keys()) queue.end();
  });

  const subscribe: Client['subscribe'] = async (topic, options = {}) => {
    lastSub += 1;
    const sub = lastSub;
    const queue = createMessageQueue<Message>(
      // Answers that somebody waits for come over the same socket: it must be read for them.
      () => void (connection.pending === 0 && connection.pause()),
      () => connection.resume(),
    );
    patterns.set(queue, matcher(topic));
    const payload = { v: 1, sub, topic, ...(options.queue === undefined ? {} : { queue: options.queue }) };
    const answer = await connection.ask({ schemaId: schema.subscribe, payload, meta: { ack: true } });
    if (!answer.ok) {
      patterns.delete(queue);
      return answer;
    }
    return ok({
      topic,
      [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
      async [Symbol.asyncDispose]() {
        patterns.delete(queue);
        queue.end();
        connection.resume();
        if (connection.closed === undefined) {
          await connection.ask({ schemaId: schema.unsubscribe, payload: { v: 1, sub }, meta: { ack: true } });
        }
      },
    });
  };

  const publish: Client['publish'] = async (topic, { ack, ...message }) => {
    const outgoing = { ...message, meta: { ...message.meta, topic, ...(ack === true ? { ack: true } : {}) } };
    if (ack === true) {
      const answer = await connection.ask(outgoing);
      if (!answer.ok) return answer;
      const delivered = field(answer.value, 'delivered');
      return ok({ msgId: Number(field(answer.value, 'of')), delivered: typeof delivered === 'number' ? delivered : 0 });
    }
    const sent = connection.send(outgoing);
    if (!sent.ok) return sent;
    if (!sent.value.takesMore) await connection.drained();
    return ok({ msgId: sent.value.msgId });
  };

  const call: Client['call'] = async (op, args, options = {}) => {
    connection.resume();
    const { traceId, ...ask } = options;
    const answer = await connection.ask(
      {
        schemaId: schema.ctrlRequest,
        payload: { v: 1, op, args },
        meta: { topic: 'rlp/ctrl' },
        ...(traceId === undefined ? {} : { traceId }),
      },
      ask,
    );
    if (!answer.ok) return answer;
    return ok((field(answer.value, 'result') ?? null) as JsonValue);
  };

  const request: Client['request'] = async (topic, message, options = {}) => {
    connection.resume();
    inbox ??= subscribe(inboxTopic);
    const ready = await inbox;
    if (!ready.ok) {
      inbox = undefined;
      return ready;
    }
    const ttlMs = message.ttlMs ?? options.timeoutMs ?? callTimeoutMs;
    const meta = { ...message.meta, topic, reply_to: inboxTopic, ack: true };
    const { promise, resolve } = Promise.withResolvers<Result<Message, Failure>>();
    let msgId = 0;
    const timer = connection.after(ttlMs, () => {
      resolve(err(failure('DeadlineExceeded', `nobody answered on ${topic} within ${ttlMs} ms`)));
    });
    const asked = connection.ask({ ...message, ttlMs, meta }, options, (id) => {
      msgId = id;
      replies.set(id, (reply) =>
        resolve(reply.schemaId === schema.errorReport ? err(failureOf(reply.frame)) : ok(reply)),
      );
    });
    void asked.then((ack) => {
      if (!ack.ok) resolve(ack);
      else if (field(ack.value, 'delivered') === 0) {
        resolve(err(failure('NotFound', `nobody is subscribed to ${topic}`)));
      }
    });
    const onAbort = (): void => resolve(err(failure('Cancelled', 'cancelled while waiting for the answer')));
    options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await promise;
    } finally {
      replies.delete(msgId);
      timer[Symbol.dispose]();
      options.signal?.removeEventListener('abort', onAbort);
    }
  };

  return {
    welcome,
    closed,
    get isDraining() {
      return isDraining;
    },
    call,
    subscribe,
    publish,
    request,
    async ping(options) {
      const answer = await connection.ask({ schemaId: schema.control, payload: { v: 1, op: 'ping' } }, options);
      return answer.ok ? ok(undefined) : answer;
    },
    async reply(to, message) {
      const topic = to.meta['reply_to'];
      if (typeof topic !== 'string') return err(failure('NotFound', 'this message asks for no reply'));
      const of = to.msgId <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(to.msgId) : to.msgId;
      return publish(topic, { ...message, traceId: to.traceId, meta: { ...message.meta, in_reply_to: of } });
    },
    follow: (traceId, options = {}) => follow(call, traceId, options),
    [Symbol.asyncDispose]: () => connection.close(),
  };
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
