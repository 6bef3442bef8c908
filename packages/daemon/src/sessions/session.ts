/**
 * One connection: hello, then control requests, subscriptions and publications until it ends.
 *
 * 1. The first frame is a hello, within `helloMsMax`; nothing else is acted upon before it.
 * 2. Whatever bytes arrive, the worst is that this connection closes.
 * 3. It is not read from while its publication is held back, or while it leaves its answers unread.
 * 4. Once its token is revoked it is served nothing more; what was already running may still answer.
 */
import type { Socket } from 'node:net';
import { type Failure, type TraceId, err, failure } from '@runloop/core';
import { type Principal, type Seat, decide } from '@runloop/bus';
import {
  type DecodeFault,
  type Decoder,
  type Frame,
  type Value,
  createDecoder,
  encodeMessage,
  schema,
} from '@runloop/rmp';
import { changesSomething } from './idempotency.ts';
import { replyTtlMs } from './limits.ts';
import type { Peer, TokenHolder } from './ports.ts';
import type { ServerContext } from './context.ts';

const noTrace = '0'.repeat(32) as TraceId;
const decisionsTopic = 'rlp/actions/decisions';
const controlTopic = 'rlp/ctrl';
const operatorKinds: ReadonlySet<string> = new Set(['cli', 'tui', 'ui', 'sdk', 'bridge']);

type Fields = { readonly [key: string]: Value };
type Origin = { readonly traceId: TraceId; readonly msgId: bigint };

export class Session {
  readonly id: string;
  readonly #context: ServerContext;
  readonly #socket: Socket;
  readonly #peer: Peer;
  readonly #decoder: Decoder;
  readonly #gone = new AbortController();
  #principal: Principal | undefined;
  #seat: Seat | undefined;
  #msgId = 0n;
  #calls = 0;
  #isHeld = false;
  #isPumping = false;
  #isClosing = false;
  #isRevoked = false;
  #helloTimer: Disposable | undefined;
  #expiryTimer: Disposable | undefined;
  #closeTimer: Disposable | undefined;

  constructor(context: ServerContext, socket: Socket, peer: Peer, id: string) {
    this.#context = context;
    this.#socket = socket;
    this.#peer = peer;
    this.id = id;
    const { clock, registry, limits } = context;
    this.#decoder = createDecoder({ registry, nowMs: () => clock.nowMs(), bodyBytesMax: limits.bodyBytesMax });
    this.#helloTimer = clock.after(limits.helloMsMax, () => {
      this.#refuse(failure('HelloRequired', `no hello within ${limits.helloMsMax} ms`));
    });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('error', (error) =>
      context.log.log('debug', 'session socket failed', { session: id, error: error.message }),
    );
    socket.on('close', () => this.#closed());
    socket.on('end', () => this.#ended());
  }

  get principal(): Principal | undefined {
    return this.#principal;
  }

  /** Tells the client that the server is about to stop. */
  sendDrain(): void {
    if (this.#principal !== undefined) this.#send(schema.control, { v: 1, op: 'drain' }, undefined);
  }

  /** The token that this session was opened with is no longer good. */
  revoke(): void {
    this.#isRevoked = true;
    if (this.#calls === 0) this.#refuse(failure('Forbidden', 'the token of this session was revoked'));
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#closeTimer = this.#context.clock.after(this.#context.limits.closeMsMax, () => this.#socket.destroy());
    this.#socket.destroySoon();
  }

  #closed(): void {
    this.#isClosing = true;
    for (const timer of [this.#helloTimer, this.#expiryTimer, this.#closeTimer]) timer?.[Symbol.dispose]();
    this.#gone.abort();
    this.#seat?.detach();
    this.#context.bus.flush();
    this.#context.closed(this.id);
  }

  #read(chunk: Buffer): void {
    if (this.#isClosing) return;
    this.#decoder.push(chunk);
    this.#pump();
  }

  /** Handles what has been read until there is no more, or until it has to wait. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#socket.cork();
    while (!this.#isHeld && !this.#isClosing) {
      const item = this.#decoder.next();
      if (item === undefined) break;
      if (item.type === 'error') this.#fault(item);
      else this.#handle(item);
      // Only a socket that asked for patience tells when it has drained.
      if (this.#socket.writableNeedDrain && this.#socket.writableLength > this.#context.limits.repliesBytesMax)
        this.#hold();
    }
    this.#isPumping = false;
    this.#context.bus.flush();
    this.#socket.uncork();
  }

  #ended(): void {
    const fault = this.#isClosing ? undefined : this.#decoder.end();
    if (fault !== undefined) this.#fault(fault);
    this.close();
  }

  #hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  #release(): void {
    this.#isHeld = false;
    if (this.#isClosing) return;
    this.#pump();
    if (!this.#isHeld) this.#socket.resume();
  }

  #publishing = false;

  #drained(): void {
    this.#seat?.drained();
    if (this.#isHeld && !this.#publishing) this.#release();
  }

  #fault(fault: DecodeFault): void {
    const where = fault.header;
    this.#report(failure(fault.code, `the frame was refused: ${fault.code}`), where);
    if (fault.fatal) this.close();
  }

  #handle(frame: Frame): void {
    if (this.#seat === undefined) {
      if (frame.schemaId === schema.agentHello) this.#hello(frame);
      else this.#refuse(failure('HelloRequired', 'the first frame of a session is observation.agent.hello.v1'));
      return;
    }
    if (this.#isRevoked) {
      this.#report(failure('Forbidden', 'the token of this session was revoked'), frame.header);
      return;
    }
    switch (frame.schemaId) {
      case schema.subscribe:
        return this.#subscribe(frame, this.#seat);
      case schema.unsubscribe:
        return this.#unsubscribe(frame, this.#seat);
      case schema.ctrlRequest:
        return this.#control(frame);
      case schema.agentHello:
        return this.#report(failure('Conflict', 'this session has said hello already'), frame.header);
      case schema.control:
        if (frame.meta?.['topic'] === undefined) return this.#sessionControl(frame);
        return this.#publish(frame, this.#seat);
      default:
        return this.#publish(frame, this.#seat);
    }
  }

  #hello(frame: Frame): void {
    const payload = fieldsOf(frame);
    const { kind, name, token } = payload ?? {};
    if (
      typeof kind !== 'string' ||
      typeof name !== 'string' ||
      (token !== undefined && token !== null && typeof token !== 'string')
    ) {
      return this.#report(failure('BodyDecodeError', 'a hello is {v, kind, name, token?}'), frame.header);
    }
    const holder = typeof token === 'string' ? this.#context.tokens.verify(token) : undefined;
    if (typeof token === 'string' && holder === undefined) {
      this.#recordRefusal('hello', 'a token that is good');
      const hint = 'It was revoked, rotated or has expired.';
      return this.#report(failure('Forbidden', 'the token is not known here', { hint }), frame.header);
    }
    const principal = principalOf(holder, this.#peer, name.slice(0, 64), this.#context.isOperator(this.#peer));
    this.#principal = principal;
    this.#helloTimer?.[Symbol.dispose]();
    this.#helloTimer = undefined;
    this.#watchExpiry(holder);
    const { bus, busLimits, limits, owners, clock, server } = this.#context;
    this.#seat = bus.attach(
      this.id,
      principal,
      { write: (pieces) => this.#write(pieces), disconnect: (reason) => this.#refuse(reason) },
      (traceId) => owners?.ownerOf(traceId) === principal.id,
    );
    const answer = {
      v: 1,
      session: this.id,
      server: `${server.name}/${server.version}`,
      kind: grantedKind(kind, principal),
      limits: {
        body_bytes_max: limits.bodyBytesMax,
        ttl_ms_max: busLimits.ttlMsMax,
        subscriptions_max: busLimits.subscriptionsMax,
        queue_frames_max: busLimits.queueFramesMax,
      },
      now_ms: clock.nowMs(),
    };
    this.#send(schema.runtimeHello, answer, frame.header);
  }

  #watchExpiry(holder: TokenHolder | undefined): void {
    if (holder?.expiresMs === undefined) return;
    const { clock } = this.#context;
    this.#expiryTimer = clock.after(holder.expiresMs - clock.nowMs(), () => {
      // A timer reaches 24 days; a token may live longer.
      if (holder.expiresMs !== undefined && clock.nowMs() < holder.expiresMs) this.#watchExpiry(holder);
      else this.revoke();
    });
  }

  #sessionControl(frame: Frame): void {
    const op = fieldsOf(frame)?.['op'];
    if (op === 'ping') this.#send(schema.control, { v: 1, op: 'pong' }, frame.header);
    // What a newer client says of itself is not for us to refuse.
  }

  #subscribe(frame: Frame, seat: Seat): void {
    const { sub, topic, queue } = fieldsOf(frame) ?? {};
    if (
      typeof sub !== 'number' ||
      typeof topic !== 'string' ||
      (typeof queue !== 'string' && queue !== undefined && queue !== null)
    ) {
      return this.#report(failure('BodyDecodeError', 'a subscription is {v, sub, topic, queue?}'), frame.header);
    }
    const done = seat.subscribe(sub, topic, queue ?? undefined);
    if (!done.ok) return this.#report(done.error, frame.header);
    if (frame.meta?.['ack'] === true) this.#ack(frame, 0);
  }

  #unsubscribe(frame: Frame, seat: Seat): void {
    const sub = fieldsOf(frame)?.['sub'];
    if (typeof sub !== 'number')
      return this.#report(failure('BodyDecodeError', 'unsubscribing is {v, sub}'), frame.header);
    const done = seat.unsubscribe(sub);
    if (!done.ok) return this.#report(done.error, frame.header);
    if (frame.meta?.['ack'] === true) this.#ack(frame, 0);
  }

  #publish(frame: Frame, seat: Seat): void {
    const topic = frame.meta?.['topic'];
    if (typeof topic !== 'string') {
      return this.#report(failure('BodyDecodeError', 'a frame to publish names its topic in meta.topic'), frame.header);
    }
    if (topic === decisionsTopic && this.#principal?.type === 'operator') return void this.#decide(frame);
    const outcome = seat.publish(topic, frame, true);
    if (typeof outcome === 'number') {
      if (frame.meta?.['ack'] === true) this.#ack(frame, outcome);
    } else if (outcome instanceof Promise) {
      this.#publishing = true;
      this.#hold();
      void outcome.then((delivered) => {
        this.#publishing = false;
        if (frame.meta?.['ack'] === true) this.#ack(frame, delivered);
        this.#release();
      });
    } else this.#report(outcome, frame.header);
  }

  /** A decision counts once the action it names has taken it, with the hash that was shown; the daemon tells of it then. */
  async #decide(frame: Frame): Promise<void> {
    const { v: _, ...args } = fieldsOf(frame) ?? {};
    this.#calls += 1;
    const taken = await this.#call('action.decide', args, frame.header);
    if (!taken.ok) this.#report(taken.error, frame.header);
    this.#called();
    if (taken.ok && frame.meta?.['ack'] === true) this.#ack(frame, 1);
  }

  #control(frame: Frame): void {
    const payload = fieldsOf(frame);
    const op = payload?.['op'];
    const topic = frame.meta?.['topic'] ?? controlTopic;
    if (typeof op !== 'string' || topic !== controlTopic) {
      return this.#report(
        failure('BodyDecodeError', `a control request is {v, op, args} on ${controlTopic}`),
        frame.header,
      );
    }
    const { header } = frame;
    this.#calls += 1;
    void this.#call(op, payload?.['args'] ?? {}, header).then((answer) => {
      if (answer.ok) this.#send(schema.ctrlResponse, { v: 1, op, ok: true, result: answer.value }, header);
      else this.#report(answer.error, header);
      this.#called();
    });
  }

  /** A session whose token was revoked ends once what it had asked is answered. */
  #called(): void {
    this.#calls -= 1;
    if (this.#isRevoked) this.revoke();
  }

  async #call(op: string, args: unknown, origin: Origin): ReturnType<ServerContext['control']['call']> {
    const principal = this.#principal;
    const { control, idempotency, limits, log } = this.#context;
    if (principal === undefined) return err(failure('HelloRequired', 'no hello yet'));
    const decision = decide(principal, { type: 'call', op });
    if (!decision.allowed) {
      this.#recordRefusal(op, decision.missing);
      const details = { missing: decision.missing };
      return err(failure('Forbidden', `not allowed to call ${op}: missing ${decision.missing}`, { details }));
    }
    if (this.#calls > limits.callsMax)
      return err(failure('LimitExceeded', `${limits.callsMax} requests of this session are under way`));
    try {
      const { traceId } = origin;
      const changes = changesSomething(op);
      const signal = changes ? new AbortController().signal : this.#gone.signal;
      const run = (): ReturnType<typeof control.call> => control.call({ op, args, principal, traceId, signal });
      if (!changes) return await run();
      return await idempotency.once({ principal: principal.id, traceId, op, args }, run);
    } catch (error) {
      log.log('error', 'a control operation threw', {
        op,
        error: error instanceof Error ? error.stack : String(error),
      });
      return err(failure('Internal', `${op} failed inside the daemon`, { hint: 'The daemon log says where.' }));
    }
  }

  #recordRefusal(what: string, missing: unknown): void {
    const { uid, pid } = this.#peer;
    const principal = this.#principal?.id;
    this.#context.log.log('warn', 'refused', { session: this.id, principal, uid, pid, what, missing });
  }

  #ack(frame: Frame, delivered: number): void {
    const { header } = frame;
    this.#send(schema.ack, { v: 1, of: plainId(header.msgId), delivered }, header);
  }

  #report(problem: Failure, origin: Origin | undefined): void {
    if (problem.code === 'Forbidden' && this.#seat !== undefined)
      this.#recordRefusal(problem.message, problem.details?.['missing']);
    const { code, message, hint, details } = problem;
    this.#send(schema.errorReport, { v: 1, code, message, hint, details }, origin);
  }

  #refuse(problem: Failure): void {
    if (this.#isClosing) return;
    this.#report(problem, undefined);
    this.close();
  }

  #send(schemaId: number, payload: unknown, origin: Origin | undefined): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#msgId += 1n;
    const { registry, clock, log } = this.#context;
    const message = {
      schemaId,
      payload,
      ...(origin === undefined ? {} : { meta: { in_reply_to: plainId(origin.msgId) } }),
      createdAtMs: clock.nowMs(),
      ttlMs: replyTtlMs,
      traceId: origin?.traceId ?? noTrace,
      msgId: this.#msgId,
    };
    const encoded = encodeMessage(registry, message);
    if (encoded.ok && encoded.value.length <= this.#context.limits.bodyBytesMax) this.#socket.write(encoded.value);
    else {
      log.log('error', 'an answer could not be sent', { session: this.id, schemaId });
      const reason = encoded.ok ? 'larger than a frame can be' : 'no MsgPack';
      const sorry = { v: 1, code: encoded.ok ? 'LimitExceeded' : 'Internal', message: `the answer is ${reason}` };
      const small = encodeMessage(registry, { ...message, schemaId: schema.errorReport, payload: sorry });
      if (small.ok) this.#socket.write(small.value);
    }
  }

  #write(pieces: readonly Uint8Array[]): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return true;
    if (pieces.length > 1) this.#socket.cork();
    let takesMore = true;
    for (const piece of pieces) takesMore = this.#socket.write(piece);
    if (pieces.length > 1) this.#socket.uncork();
    return takesMore;
  }
}

function fieldsOf(frame: Frame): Fields | undefined {
  const payload = frame.payload();
  const isMap =
    typeof payload === 'object' && payload !== null && !Array.isArray(payload) && !ArrayBuffer.isView(payload);
  return isMap ? (payload as Fields) : undefined;
}

/** A number where it is one exactly. */
function plainId(id: bigint): number | bigint {
  return id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : id;
}

function principalOf(holder: TokenHolder | undefined, peer: Peer, name: string, isOperator: boolean): Principal {
  const { uid, pid } = peer;
  if (isOperator) return { type: 'operator', id: `operator:${uid}`, uid, pid, name, grants: [] };
  if (holder === undefined) return { type: 'anonymous', id: `anonymous:${uid}`, uid, pid, name, grants: [] };
  const { type, id, grants } = holder;
  return { type, id, uid, pid, name: type === 'client' ? holder.name : name, grants };
}

/** Never more than was proven. */
function grantedKind(asked: string, principal: Principal): string {
  if (principal.type === 'operator') return operatorKinds.has(asked) ? asked : 'sdk';
  return principal.type === 'client' && asked === 'bridge' ? 'bridge' : 'sdk';
}
