/**
 * Where values of secrets come from, at the last moment before they are sent.
 *
 * 1. A value is given only for the use that it was bound to; the answer names the use where it was not.
 * 2. `scrub` takes every value that was given, and its usual encodings, out of a text before anybody keeps or sees it.
 */
import type { Failure, Result } from '@runloop/core';

export type SecretUse =
  | { readonly type: 'http'; readonly origin: string; readonly header: string }
  | { readonly type: 'exec'; readonly path: string }
  /** `server` is host:port. */
  | { readonly type: 'smtp'; readonly server: string };

export interface SecretsPort {
  resolve(id: string, use: SecretUse): Promise<Result<string, Failure>>;
  scrub(text: string): string;
}
