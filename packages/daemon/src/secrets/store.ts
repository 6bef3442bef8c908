/**
 * Secrets by opaque id: one place that says whether a value may go where somebody wants to send it.
 *
 * 1. A value is given only for the use that it was bound to when it was put, and is scrubbed from then on.
 * 2. Where the configured place has no such secret, or is not there at all, the environment may have it, with a warning:
 *    for development. A vault that is locked, damaged or says no is never gone around.
 */
import { type Clock, err, type Failure, failure, type Log, ok, type Result } from '@runloop/core';
import type { SecretsPort, SecretUse } from '@runloop/runtime';
import type { Entry, Listed, SecretsBackend } from './backend.ts';
import { checkId, parseBinding, permits } from './binding.ts';
import { envBackend, envName, type Variables } from './given.ts';
import { secretCharsMax, secretCharsMin } from './limits.ts';
import type { Scrubber } from './scrubber.ts';

export type SecretsDeps = {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Log;
  readonly scrubber: Scrubber;
  readonly env: Variables;
};

export class Secrets implements SecretsPort {
  readonly backend: SecretsBackend;
  readonly #deps: SecretsDeps;
  readonly #development: SecretsBackend;
  readonly #warned = new Set<string>();

  constructor(deps: SecretsDeps, backend: SecretsBackend) {
    this.#deps = deps;
    this.backend = backend;
    this.#development = envBackend(deps.env);
  }

  async resolve(id: string, use: SecretUse): Promise<Result<string, Failure>> {
    const found = await this.#find(id);
    if (!found.ok) return found;
    const { value, binding } = found.value;
    const allowed = binding === undefined ? ok(undefined) : permits(id, binding, use);
    if (!allowed.ok) return allowed;
    const fits = checkValue(value);
    if (!fits.ok) return err(failure('InvalidConfig', `the secret ${id}: ${fits.error.message}`));
    this.#deps.scrubber.add(value);
    return ok(value);
  }

  scrub(text: string): string {
    return this.#deps.scrubber.scrub(text);
  }

  /** Whether there is such a secret, without giving it to anybody. */
  async has(id: string): Promise<Result<void, Failure>> {
    const found = await this.#find(id);
    return found.ok ? ok(undefined) : found;
  }

  async put(id: string, use: string, value: string): Promise<Result<void, Failure>> {
    const named = checkId(id);
    if (!named.ok) return named;
    const binding = parseBinding(use);
    if (!binding.ok) return binding;
    return this.#put(id, { value, binding: binding.value });
  }

  /** Another value under the same id, for the same use. */
  async rotate(id: string, value: string): Promise<Result<void, Failure>> {
    const old = await this.backend.get(id);
    if (!old.ok) return old;
    if (old.value?.binding === undefined) return err(noSecret(id, this.backend.name));
    this.#deps.scrubber.add(old.value.value);
    return this.#put(id, { value, binding: old.value.binding });
  }

  async delete(id: string): Promise<Result<void, Failure>> {
    const gone = await this.backend.delete(id);
    if (!gone.ok) return gone;
    return gone.value ? ok(undefined) : err(noSecret(id, this.backend.name));
  }

  list(): Promise<Result<readonly Listed[], Failure>> {
    return this.backend.list();
  }

  async #put(
    id: string,
    { value, binding }: Pick<Required<Entry>, 'value' | 'binding'>,
  ): Promise<Result<void, Failure>> {
    const fits = checkValue(value);
    if (!fits.ok) return fits;
    this.#deps.scrubber.add(value);
    return this.backend.put(id, { value, binding, putMs: this.#deps.clock.nowMs() });
  }

  async #find(id: string): Promise<Result<Entry, Failure>> {
    const found = await this.backend.get(id);
    if (found.ok && found.value !== undefined && this.backend.name !== 'env') return ok(found.value);
    if (!found.ok && found.error.code !== 'ProviderUnavailable') return found;
    const given = await this.#development.get(id);
    if (!given.ok || given.value === undefined) return found.ok ? err(noSecret(id, this.backend.name)) : found;
    if (!this.#warned.has(id)) {
      this.#warned.add(id);
      this.#deps.log.log('warn', 'a secret comes from the environment, bound to no use: for development only', { id });
    }
    return ok(given.value);
  }
}

function noSecret(id: string, name: string): Failure {
  const hint =
    name === 'env'
      ? `start the daemon with ${envName(id)} set`
      : `put it: rlp secrets put ${id} --for https://where.it.goes`;
  return failure('NotFound', `there is no secret ${id} (looked in: ${name})`, { hint });
}

function checkValue(value: string): Result<void, Failure> {
  const { length } = value;
  if (length < secretCharsMin || length > secretCharsMax) {
    const why = `a value has ${secretCharsMin} to ${secretCharsMax} characters; this one has ${length}`;
    const hint = 'shorter ones could not be told from ordinary text, to keep them out of logs';
    return err(failure('Usage', why, length < secretCharsMin ? { hint } : {}));
  }
  const isText = value.isWellFormed() && !value.includes('\0');
  return isText ? ok(undefined) : err(failure('Usage', 'a value is text (UTF-8) without NUL'));
}
