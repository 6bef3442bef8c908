/**
 * The one failure that this package throws: an iteration has no other way to say why it stopped.
 */
import type { Failure } from '@runloop/core';

/** Why following stopped before the run had finished. */
export class FollowError extends Error {
  readonly failure: Failure;

  constructor(reason: Failure) {
    super(reason.message);
    this.name = 'FollowError';
    this.failure = reason;
  }
}
