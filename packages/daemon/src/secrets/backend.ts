/**
 * Where secrets lie: what the store needs of any such place.
 */
import { err, type Failure, failure, isJsonObject, ok, parseJson, type Result } from '@runloop/core';
import { type Binding, parseBinding, showBinding } from './binding.ts';

export type Entry = {
  readonly value: string;
  /** Without one it may go anywhere: the environment binds nothing. */
  readonly binding?: Binding;
  readonly putMs?: number;
};
export type Listed = { readonly id: string; readonly binding?: Binding; readonly putMs?: number };

export interface SecretsBackend {
  readonly name: 'os-keyring' | 'vault' | 'systemd' | 'env';
  get(id: string): Promise<Result<Entry | undefined, Failure>>;
  put(id: string, entry: Required<Entry>): Promise<Result<void, Failure>>;
  /** Whether there was one. */
  delete(id: string): Promise<Result<boolean, Failure>>;
  list(): Promise<Result<readonly Listed[], Failure>>;
}

export function readOnly(name: string, hint: string): Result<never, Failure> {
  return err(failure('Conflict', `secrets in ${name} are not written by this program`, { hint }));
}

/** An entry as one text, for places that hold one text for each id. */
export function encodeEntry({ value, binding, putMs }: Required<Entry>): string {
  return JSON.stringify({ for: showBinding(binding), put_ms: putMs, value });
}

export function decodeEntry(where: string, text: string): Result<Required<Entry>, Failure> {
  const parsed = parseJson(text);
  const { for: use, put_ms: putMs, value } = parsed.ok && isJsonObject(parsed.value) ? parsed.value : {};
  const binding = typeof use === 'string' ? parseBinding(use) : undefined;
  if (typeof value !== 'string' || typeof putMs !== 'number' || binding?.ok !== true)
    return err(failure('StorageCorrupt', `${where} holds no secret of this program`));
  return ok({ value, binding: binding.value, putMs });
}
