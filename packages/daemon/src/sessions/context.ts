/**
 * What the server of sessions is given, and what each session needs of it.
 */
import type { Bus, BusLimits } from '@runloop/bus';
import type { Clock, Log, Random } from '@runloop/core';
import type { Registry } from '@runloop/rmp';
import type { Idempotency } from './idempotency.ts';
import type { SessionLimits } from './limits.ts';
import type { ControlPort, Peer, PeerPort, RunOwners, TokenPort } from './ports.ts';

export type SessionServerDeps = {
  readonly bus: Bus;
  readonly busLimits: BusLimits;
  readonly registry: Registry;
  readonly control: ControlPort;
  readonly tokens: TokenPort;
  readonly peer: PeerPort;
  /** Who submitted which run; without it, nobody but operators can watch one. */
  readonly owners?: RunOwners;
  /** System mode: is this peer root or in the operators' group? */
  readonly isOperator?: (peer: Peer) => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits: SessionLimits;
  readonly server: { readonly name: string; readonly version: string };
  readonly mode: 'user' | 'system';
  readonly ownUid: number;
};

/** What a session needs of the server that it belongs to. */
export type ServerContext = SessionServerDeps & {
  readonly idempotency: Idempotency;
  readonly isOperator: (peer: Peer) => boolean;
  readonly closed: (id: string) => void;
};
