/**
 * What the sessions need from others: control operations, tokens, the kernel's word on a peer, and who owns a run.
 */
import type { Failure, Result, TraceId } from '@runloop/core';
import type { Principal } from '@runloop/bus';
import type { Socket } from 'node:net';

export type ControlRequest = {
  readonly op: string;
  readonly args: unknown;
  readonly principal: Principal;
  readonly traceId: TraceId;
  /** Aborted when the session goes away, for operations that change nothing. */
  readonly signal: AbortSignal;
};

export interface ControlPort {
  call(request: ControlRequest): Promise<Result<unknown, Failure>>;
}

/** What a token proves. */
export type TokenHolder = {
  readonly type: 'operator' | 'client';
  readonly id: string;
  readonly name: string;
  readonly grants: readonly string[];
  readonly expiresMs?: number;
};

export interface TokenPort {
  verify(token: string): TokenHolder | undefined;
  /** Told the holder's id when its token stops being good. */
  onRevoked(fn: (id: string) => void): Disposable;
}

export type Peer = { readonly uid: number; readonly gid: number; readonly pid: number };
export type PeerPort = (socket: Socket) => Result<Peer, Failure>;

export interface RunOwners {
  /** Id of the principal that submitted the run. */
  ownerOf(traceId: string): string | undefined;
}
