/**
 * The bus: published frames to those who subscribed, byte for byte.
 *
 * 1. Frames of one publisher on one topic reach each subscriber in the order published, at most once.
 * 2. A session takes one copy of a frame, however many of its subscriptions match; a queue group takes one copy in all.
 * 3. Whatever is not delivered is counted, and told on `rlp/sys/drops` so that the notices add up to the totals.
 * 4. Nobody publishes to an inbox but whom its owner asked; nobody else subscribes to it.
 *
 * It knows no sockets: a session attaches with an outlet, and calls `flush` at the end of each turn.
 */
import { type Clock, type Failure, type Result, type TraceId, err, failure, ok } from '@runloop/core';
import { type Frame, type Registry, encodeMessage, msgIdOffset, readHeader, schema, traceOffset } from '@runloop/rmp';
import { type Principal, decide } from './access.ts';
import { type DropReason, type Drops, createDrops } from './drops.ts';
import { type BusLimits, futureMsMax } from './limits.ts';
import { type Outlet, type Parcel, Queue } from './queue.ts';
import { TopicTable } from './topic-table.ts';
import { type Pattern, matches, parsePattern } from './topics.ts';

/** Delivered to how many; a promise of it when the publisher has to wait; or why it was refused. */
export type PublishOutcome = number | Promise<number> | Failure;

/** A message of the daemon's own. */
export type OwnMessage = {
  readonly schemaId: number;
  readonly payload: unknown;
  readonly traceId: TraceId;
  readonly ttlMs?: number;
  readonly meta?: { readonly [key: string]: unknown };
};

export type BusStats = {
  readonly published: number;
  readonly delivered: number;
  readonly drops: { readonly [reason in DropReason]: number };
  readonly dedupeEvictions: number;
  readonly sessions: number;
  readonly subscriptions: number;
  readonly topics: number;
  readonly queuedFrames: number;
  readonly queuedBytes: number;
};

export interface Seat {
  subscribe(sub: number, topic: string, queue?: string): Result<void, Failure>;
  unsubscribe(sub: number): Result<void, Failure>;
  /** `mayWait` is false for a publisher that cannot be held back: it drops at once. */
  publish(topic: string, frame: Frame, mayWait: boolean): PublishOutcome;
  /** The outlet takes bytes again. */
  drained(): void;
  detach(): void;
}

export interface Bus extends Disposable {
  attach(session: string, principal: Principal, outlet: Outlet, ownsRun?: (traceId: string) => boolean): Seat;
  /** Publishes as the daemon. How many took it. */
  publish(topic: string, message: OwnMessage): Result<number, Failure>;
  /** Hands over what was published since the last flush. Call it at the end of each turn that published. */
  flush(): void;
  stats(): BusStats;
  /** Gives the drop notices that rate-limiting holds back. */
  flushDropNotices(): void;
}

export type BusDeps = { readonly clock: Clock; readonly registry: Registry; readonly limits: BusLimits };

type Subscription = { readonly seat: AttachedSeat; readonly pattern: Pattern; readonly queue: string | undefined };
type Group = { readonly members: readonly AttachedSeat[]; next: number };
type Route = { readonly direct: readonly AttachedSeat[]; readonly groups: readonly Group[] };
type Asked = { readonly seats: Set<AttachedSeat>; expiresAtMs: number };

const dropsTopic = 'rlp/sys/drops';
const ownTtlMs = 60_000;

export function createBus(deps: BusDeps): Bus {
  return new MemoryBus(deps);
}

class MemoryBus implements Bus {
  readonly deps: BusDeps;
  readonly seats = new Map<string, AttachedSeat>();
  readonly #topics: TopicTable<Route>;
  readonly #drops: Drops;
  readonly #dirty: Queue[] = [];
  #msgId = 0n;
  #published = 0;
  #delivered = 0;

  constructor(deps: BusDeps) {
    this.deps = deps;
    this.#topics = new TopicTable(deps.limits, (topic) => this.#routeOf(topic));
    this.#drops = createDrops(deps.clock, deps.limits, (notice) => {
      this.publish(dropsTopic, { schemaId: schema.dropNotice, payload: notice, traceId: notice.trace_id });
      this.flush();
    });
    this.#msgId = BigInt(deps.clock.nowMs()) * 1024n;
  }

  attach(
    session: string,
    principal: Principal,
    outlet: Outlet,
    ownsRun: (traceId: string) => boolean = () => false,
  ): Seat {
    const seat = new AttachedSeat(this, session, principal, outlet, ownsRun);
    this.seats.set(session, seat);
    return seat;
  }

  publish(topic: string, message: OwnMessage): Result<number, Failure> {
    this.#msgId += 1n;
    const nowMs = this.deps.clock.nowMs();
    const ttlMs = message.ttlMs ?? ownTtlMs;
    const encoded = encodeMessage(this.deps.registry, {
      schemaId: message.schemaId,
      payload: message.payload,
      meta: { ...message.meta, topic },
      createdAtMs: nowMs,
      ttlMs,
      traceId: message.traceId,
      msgId: this.#msgId,
    });
    if (!encoded.ok) return encoded;
    const state = this.#topics.at(topic, nowMs);
    if (state === undefined) return err(invalidTopic(topic));
    this.#published += 1;
    const source = encoded.value;
    const outcome = this.#deliver(
      state.route,
      { source, start: 0, end: source.length, expiresAtMs: nowMs + ttlMs },
      topic,
      false,
    );
    return ok(typeof outcome === 'number' ? outcome : 0);
  }

  publishFrom(seat: AttachedSeat, topic: string, frame: Frame, mayWait: boolean): PublishOutcome {
    const { clock, limits } = this.deps;
    const nowMs = clock.nowMs();
    const state = this.#topics.at(topic, nowMs);
    if (state === undefined) return invalidTopic(topic);
    const refusal = this.#refuse(seat, topic, frame, nowMs);
    if (refusal !== undefined) return refusal;
    this.#published += 1;
    if (nowMs >= frame.expiresAtMs) {
      this.drop(frame, topic, 'expired');
      return 0;
    }
    const { route } = state;
    if (route.direct.length === 0 && route.groups.length === 0) return 0;
    const { source, start } = frame;
    if (this.#topics.seen(state, seat.key, source, start + traceOffset, start + msgIdOffset, nowMs)) {
      this.drop(frame, topic, 'duplicate');
      return 0;
    }
    const replyTo = frame.meta?.['reply_to'];
    if (typeof replyTo === 'string') seat.ask(replyTo, route, frame.expiresAtMs, limits.repliesMax);
    return this.#deliver(route, frame, topic, mayWait);
  }

  #refuse(seat: AttachedSeat, topic: string, frame: Frame, nowMs: number): Failure | undefined {
    if (topic !== seat.lastTopic || topic.startsWith('_inbox/') || frame.schemaId !== seat.lastSchema) {
      const isAsked = topic.startsWith('_inbox/') && this.#isAsked(seat, topic, nowMs);
      const decision = decide(seat.principal, { type: 'publish', topic, schemaId: frame.schemaId, isAsked });
      if (!decision.allowed) return forbidden(`publish to ${topic}`, decision.missing);
      seat.lastTopic = topic;
      seat.lastSchema = frame.schemaId;
    }
    const replyTo = frame.meta?.['reply_to'];
    if (replyTo !== undefined && (typeof replyTo !== 'string' || !replyTo.startsWith(seat.inbox))) {
      return forbidden(`ask for replies there`, `a topic under ${seat.inbox}`);
    }
    if (frame.createdAtMs > nowMs + futureMsMax) {
      return failure(
        'LimitExceeded',
        `the frame was made ${frame.createdAtMs - nowMs} ms in the future, at most ${futureMsMax} are taken`,
        {
          hint: 'Set the clock of the sender.',
        },
      );
    }
    const { ttlMsMax } = this.deps.limits;
    if (frame.expiresAtMs - frame.createdAtMs > ttlMsMax) {
      return failure(
        'LimitExceeded',
        `ttl_ms is ${frame.expiresAtMs - frame.createdAtMs}, at most ${ttlMsMax} are taken`,
      );
    }
    return undefined;
  }

  #isAsked(seat: AttachedSeat, topic: string, nowMs: number): boolean {
    const asked = this.seats.get(topic.split('/', 2)[1] ?? '')?.asked.get(topic);
    return asked !== undefined && asked.expiresAtMs > nowMs && asked.seats.has(seat);
  }

  #deliver(route: Route, parcel: Parcel, topic: string, mayWait: boolean): number | Promise<number> {
    let delivered = 0;
    let waiting: Promise<boolean>[] | undefined;
    const give = (seat: AttachedSeat): void => {
      const wasDirty = seat.queue.isDirty;
      let settle: ((delivered: boolean) => void) | undefined;
      if (mayWait && seat.queue.isFull) {
        const { promise, resolve } = Promise.withResolvers<boolean>();
        settle = resolve;
        const taken = seat.queue.offer(parcel, topic, settle);
        if (taken === undefined) (waiting ??= []).push(promise);
        else if (taken) delivered += 1;
      } else if (seat.queue.offer(parcel, topic, undefined) === true) delivered += 1;
      if (!wasDirty && seat.queue.isDirty) this.#dirty.push(seat.queue);
    };
    for (const seat of route.direct) give(seat);
    for (const group of route.groups) {
      const member = pick(group);
      // A member that subscribed directly as well has its copy: that one is the group's.
      if (member !== undefined && !route.direct.includes(member)) give(member);
    }
    this.#delivered += delivered;
    if (waiting === undefined) return delivered;
    return Promise.all(waiting).then((taken) => {
      const late = taken.filter(Boolean).length;
      this.#delivered += late;
      return delivered + late;
    });
  }

  flush(): void {
    for (const queue of this.#dirty) queue.flush();
    this.#dirty.length = 0;
  }

  #routeOf(topic: string): Route {
    const direct = new Set<AttachedSeat>();
    const groups = new Map<string, AttachedSeat[]>();
    for (const seat of this.seats.values()) {
      for (const { pattern, queue } of seat.subscriptions.values()) {
        if (!matches(pattern, topic)) continue;
        if (queue === undefined) direct.add(seat);
        else groups.set(queue, [...(groups.get(queue) ?? []), seat]);
      }
    }
    const shared = [...groups.values()].map((members) => ({ members: [...new Set(members)], next: 0 }));
    return { direct: [...direct], groups: shared };
  }

  drop(parcel: Parcel, topic: string, reason: DropReason): void {
    this.#drops.count(
      () => {
        const { traceId, msgId } = readHeader(parcel.source, parcel.start);
        return { reason, topic, traceId, msgId, expiresAtMs: parcel.expiresAtMs };
      },
      reason,
      topic,
    );
  }

  routesChanged(): void {
    this.#topics.invalidate();
  }

  flushDropNotices(): void {
    this.#drops.flush();
  }

  stats(): BusStats {
    let subscriptions = 0;
    let queuedFrames = 0;
    let queuedBytes = 0;
    for (const seat of this.seats.values()) {
      subscriptions += seat.subscriptions.size;
      queuedFrames += seat.queue.frames;
      queuedBytes += seat.queue.bytes;
    }
    return {
      published: this.#published,
      delivered: this.#delivered,
      drops: this.#drops.totals(),
      dedupeEvictions: this.#topics.evictions,
      sessions: this.seats.size,
      subscriptions,
      topics: this.#topics.size,
      queuedFrames,
      queuedBytes,
    };
  }

  [Symbol.dispose](): void {
    for (const seat of this.seats.values()) seat.detach();
    this.#drops[Symbol.dispose]();
  }
}

class AttachedSeat implements Seat {
  readonly #bus: MemoryBus;
  readonly principal: Principal;
  readonly session: string;
  readonly inbox: string;
  readonly queue: Queue;
  readonly key: number;
  readonly subscriptions = new Map<number, Subscription>();
  /** Who may publish to which of this session's reply topics. */
  readonly asked = new Map<string, Asked>();
  readonly #ownsRun: (traceId: string) => boolean;
  lastTopic = '';
  lastSchema = 0;

  constructor(
    bus: MemoryBus,
    session: string,
    principal: Principal,
    outlet: Outlet,
    ownsRun: (traceId: string) => boolean,
  ) {
    this.#bus = bus;
    this.session = session;
    this.principal = principal;
    this.inbox = `_inbox/${session}/`;
    this.#ownsRun = ownsRun;
    this.key = keyOf(`${principal.type} ${principal.id}`);
    const { clock, limits } = bus.deps;
    this.queue = new Queue(outlet, clock, limits, (parcel, topic, reason) => bus.drop(parcel, topic, reason));
  }

  subscribe(sub: number, topic: string, queue?: string): Result<void, Failure> {
    const pattern = parsePattern(topic);
    if (pattern === undefined) return err(invalidTopic(topic));
    const { session, principal } = this;
    const decision = decide(principal, { type: 'subscribe', topic, session, ownsRun: this.#ownsRun });
    if (!decision.allowed) return err(forbidden(`subscribe to ${topic}`, decision.missing));
    if (this.subscriptions.has(sub))
      return err(failure('Conflict', `subscription ${sub} exists already in this session`));
    const { subscriptionsMax } = this.#bus.deps.limits;
    if (this.subscriptions.size >= subscriptionsMax) {
      return err(failure('LimitExceeded', `a session has at most ${subscriptionsMax} subscriptions`));
    }
    this.subscriptions.set(sub, { seat: this, pattern, queue });
    this.#bus.routesChanged();
    return ok(undefined);
  }

  unsubscribe(sub: number): Result<void, Failure> {
    if (!this.subscriptions.delete(sub))
      return err(failure('NotFound', `there is no subscription ${sub} in this session`));
    this.#bus.routesChanged();
    return ok(undefined);
  }

  publish(topic: string, frame: Frame, mayWait: boolean): PublishOutcome {
    return this.#bus.publishFrom(this, topic, frame, mayWait);
  }

  /** Those who get this frame may answer to `topic` until it expires. */
  ask(topic: string, route: Route, expiresAtMs: number, repliesMax: number): void {
    let asked = this.asked.get(topic);
    if (asked === undefined) {
      if (this.asked.size >= repliesMax) {
        const oldest = this.asked.keys().next().value;
        if (oldest !== undefined) this.asked.delete(oldest);
      }
      asked = { seats: new Set(), expiresAtMs };
      this.asked.set(topic, asked);
    }
    asked.expiresAtMs = Math.max(asked.expiresAtMs, expiresAtMs);
    for (const seat of route.direct) asked.seats.add(seat);
    // The member of a group that will be picked is not known yet; any of them may be the one.
    for (const group of route.groups) for (const seat of group.members) asked.seats.add(seat);
  }

  drained(): void {
    this.queue.drained();
  }

  detach(): void {
    if (!this.#bus.seats.delete(this.session)) return;
    for (const seat of this.#bus.seats.values()) for (const { seats } of seat.asked.values()) seats.delete(this);
    this.#bus.routesChanged();
    this.queue.close();
  }
}

/** The next member whose queue has room, else the next. */
function pick(group: Group): AttachedSeat | undefined {
  const { members } = group;
  const from = group.next;
  group.next = (from + 1) % members.length;
  for (let i = 0; i < members.length; i += 1) {
    const member = members[(from + i) % members.length];
    if (member !== undefined && !member.queue.isFull) return member;
  }
  return members[from];
}

function keyOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function invalidTopic(topic: string): Failure {
  return failure('BodyDecodeError', `"${topic.slice(0, 80)}" is no topic: segments of [A-Za-z0-9_.:-], parted by /`);
}

function forbidden(what: string, missing: string): Failure {
  return failure('Forbidden', `not allowed to ${what}: missing ${missing}`, { details: { missing } });
}
