/**
 * What may grow in the sessions, and how far.
 */
export type SessionLimits = {
  readonly bodyBytesMax: number;
  readonly sessionsMax: number;
  readonly helloMsMax: number;
  /** Control requests of one session that run at a time. */
  readonly callsMax: number;
  /** Answers that one session leaves unread before it is no longer read from. */
  readonly repliesBytesMax: number;
  /** How long a session that was told to go may take to read that. */
  readonly closeMsMax: number;
  readonly idempotencyKeysMax: number;
  readonly idempotencyMs: number;
};

export const defaultSessionLimits: SessionLimits = {
  bodyBytesMax: 8 * 1024 * 1024,
  sessionsMax: 1024,
  helloMsMax: 2000,
  callsMax: 64,
  repliesBytesMax: 1024 * 1024,
  closeMsMax: 1000,
  idempotencyKeysMax: 10_000,
  idempotencyMs: 24 * 3_600_000,
};

/** Bytes that a socket takes before it says that it is full. */
export const socketBufferBytes: number = 256 * 1024;
/** Life of the server's own answers. */
export const replyTtlMs = 30_000;
