/**
 * Frames over one socket: requests matched with their answers, the rest handed on.
 *
 * 1. An answer belongs to the request whose message id it names in `meta.in_reply_to`.
 * 2. When the socket ends, every request that waits fails with DaemonUnavailable; nothing hangs.
 * 3. Frames written in one turn leave together.
 */
import type { Socket } from 'node:net';
import {
  type Clock,
  type ErrorCode,
  type Failure,
  type Random,
  type Result,
  type TraceId,
  err,
  failure,
  isErrorCode,
  newTraceId,
  ok,
} from '@runloop/core';
import { type Decoder, type Frame, type Registry, createDecoder, encodeMessage, schema } from '@runloop/rmp';
import { callTimeoutMs, messageTtlMs, pendingMax } from './limits.ts';

export type Outgoing = {
  readonly schemaId: number;
  readonly type?: string;
  readonly payload: unknown;
  readonly meta?: { readonly [key: string]: unknown };
  readonly traceId?: TraceId;
  readonly ttlMs?: number;
};

export type AskOptions = { readonly timeoutMs?: number; readonly signal?: AbortSignal };

type Pending = (answer: Result<Frame, Failure>) => void;

export type ConnectionDeps = {
  readonly socket: Socket;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly random: Random;
  /** Frames that answer nothing of ours. */
  readonly onFrame: (frame: Frame) => void;
  readonly onClose: (reason: Failure) => void;
};

export class Connection {
  readonly #deps: ConnectionDeps;
  readonly #decoder: Decoder;
  readonly #pending = new Map<number, Pending>();
  #msgId: number;
  #isCorked = false;
  #closed: Failure | undefined;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    const { socket, clock, random, registry } = deps;
    // The daemon knows a frame again by (who, trace id, message id): what a former connection used must not come back.
    const [a = 0, b = 0] = random.bytes(2);
    this.#msgId = clock.nowMs() * 1024 + (((a << 8) | b) % 1024);
    // Expiry is the daemon's to judge: what it delivered is read, however late this process gets to it.
    this.#decoder = createDecoder({ registry, nowMs: () => 0 });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () =>
      this.fail(failure('DaemonUnavailable', 'the daemon closed the connection', { hint: 'rlp daemon status' })),
    );
  }

  get closed(): Failure | undefined {
    return this.#closed;
  }

  get pending(): number {
    return this.#pending.size;
  }

  after(delayMs: number, fn: () => void): Disposable {
    return this.#deps.clock.after(delayMs, fn);
  }

  pause(): void {
    this.#deps.socket.pause();
  }

  resume(): void {
    this.#deps.socket.resume();
  }

  /** Writes a frame; the message id it got, and whether the socket wants more. */
  send(message: Outgoing): Result<{ readonly msgId: number; readonly takesMore: boolean }, Failure> {
    if (this.#closed !== undefined) return err(this.#closed);
    const { clock, random, registry, socket } = this.#deps;
    this.#msgId += 1;
    const encoded = encodeMessage(registry, {
      ...message,
      createdAtMs: clock.nowMs(),
      ttlMs: message.ttlMs ?? messageTtlMs,
      traceId: message.traceId ?? newTraceId(random),
      msgId: BigInt(this.#msgId),
    });
    if (!encoded.ok) return encoded;
    if (!this.#isCorked) {
      this.#isCorked = true;
      socket.cork();
      queueMicrotask(() => {
        this.#isCorked = false;
        socket.uncork();
      });
    }
    return ok({ msgId: this.#msgId, takesMore: socket.write(encoded.value) });
  }

  /** Resolves when the socket takes bytes again, or is gone. */
  drained(): Promise<void> {
    const { socket } = this.#deps;
    if (!socket.writableNeedDrain || socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        socket.off('drain', done);
        socket.off('close', done);
        resolve();
      };
      socket.on('drain', done);
      socket.on('close', done);
    });
  }

  /** Sends, and waits for the frame that answers. */
  ask(message: Outgoing, options: AskOptions = {}, onSent?: (msgId: number) => void): Promise<Result<Frame, Failure>> {
    if (options.signal?.aborted === true)
      return Promise.resolve(err(failure('Cancelled', 'cancelled before it was sent')));
    if (this.#pending.size >= pendingMax) {
      return Promise.resolve(err(failure('LimitExceeded', `${pendingMax} requests wait for an answer already`)));
    }
    // The answer comes over a socket that a slow subscriber may have stopped.
    this.resume();
    const timeoutMs = options.timeoutMs ?? callTimeoutMs;
    const sent = this.send({ ...message, ttlMs: message.ttlMs ?? timeoutMs });
    if (!sent.ok) return Promise.resolve(sent);
    const { msgId } = sent.value;
    onSent?.(msgId);
    return new Promise((resolve) => {
      const finish: Pending = (answer) => {
        this.#pending.delete(msgId);
        timer[Symbol.dispose]();
        options.signal?.removeEventListener('abort', onAbort);
        resolve(answer);
      };
      const onAbort = (): void => finish(err(failure('Cancelled', 'cancelled while waiting for the answer')));
      const timer = this.#deps.clock.after(timeoutMs, () => {
        finish(err(failure('DeadlineExceeded', `no answer within ${timeoutMs} ms`)));
      });
      options.signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(msgId, finish);
    });
  }

  close(): Promise<void> {
    const { socket } = this.#deps;
    if (socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      socket.once('close', () => resolve());
      socket.destroySoon();
    });
  }

  fail(reason: Failure): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    // Each takes itself out of the map, which iterating allows.
    for (const finish of this.#pending.values()) finish(err(reason));
    this.#deps.onClose(reason);
  }

  #read(chunk: Buffer): void {
    this.#decoder.push(chunk);
    for (let item = this.#decoder.next(); item !== undefined; item = this.#decoder.next()) {
      if (item.type === 'frame') this.#take(item);
      else if (item.fatal) {
        this.fail(failure('DaemonUnavailable', `what answers is no daemon of ours: ${item.code}`));
        this.#deps.socket.destroy();
      }
      // A frame of a newer version that this one does not know is skipped.
    }
  }

  #take(frame: Frame): void {
    // What carries a topic was published by somebody; the daemon's own answers carry none.
    const of = frame.meta?.['topic'] === undefined ? frame.meta?.['in_reply_to'] : undefined;
    const finish = typeof of === 'number' ? this.#pending.get(of) : undefined;
    if (finish !== undefined) finish(frame.schemaId === schema.errorReport ? err(failureOf(frame)) : ok(frame));
    else if (frame.schemaId === schema.errorReport && of === undefined && frame.meta?.['topic'] === undefined)
      this.fail(failureOf(frame));
    else this.#deps.onFrame(frame);
  }
}

/** The failure that an `error.report` carries, its code kept where this version knows it. */
export function failureOf(frame: Frame): Failure {
  const payload = frame.payload();
  const read = (key: string): unknown =>
    typeof payload === 'object' && payload !== null ? Reflect.get(payload, key) : undefined;
  const named = read('code');
  const code: ErrorCode = typeof named === 'string' && isErrorCode(named) ? named : 'Internal';
  const said = read('message');
  const message = typeof said === 'string' ? said : `the daemon answered ${String(named)}`;
  const hint = read('hint');
  const details = read('details');
  return failure(code, message, {
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof details === 'object' && details !== null
      ? { details: details as { readonly [key: string]: unknown } }
      : {}),
  });
}
