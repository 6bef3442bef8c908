/**
 * The keyring of the desktop session (Secret Service): one credential for each id, its binding inside.
 *
 * The kernel's own keyring is not used where there is none: it forgets everything at the next boot.
 */
import { err, type Failure, failure, ok, type Result } from '@runloop/core';
import type * as Keyring from '@napi-rs/keyring';
import { decodeEntry, encodeEntry, type SecretsBackend } from './backend.ts';

const service = 'runloop';

export function keyringBackend(): SecretsBackend {
  const entryOf = async (id: string): Promise<Keyring.AsyncEntry> => {
    const { AsyncEntry } = await import('@napi-rs/keyring');
    return new AsyncEntry(service, id, { linux: { store: 'secret-service' } });
  };
  return {
    name: 'os-keyring',
    get: (id) =>
      reached(async () => {
        const text = await (await entryOf(id)).getPassword();
        return text === null || text === undefined ? ok(undefined) : decodeEntry(`the keyring's entry ${id}`, text);
      }),
    put: (id, entry) => reached(async () => ok(await (await entryOf(id)).setPassword(encodeEntry(entry)))),
    delete: (id) => reached(async () => ok(await (await entryOf(id)).deletePassword())),
    list: () =>
      reached(async () => {
        const { findCredentialsAsync } = await import('@napi-rs/keyring');
        const found = await findCredentialsAsync(service);
        return ok(
          found.flatMap(({ account, password }) => {
            const entry = decodeEntry(account, password);
            return entry.ok ? [{ id: account, binding: entry.value.binding, putMs: entry.value.putMs }] : [];
          }),
        );
      }),
  };
}

async function reached<T>(work: () => Promise<Result<T, Failure>>): Promise<Result<T, Failure>> {
  try {
    return await work();
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).slice(0, 200);
    const hint = 'without a desktop session: set security.secrets.provider: vault, then rlp secrets init';
    return err(failure('ProviderUnavailable', `there is no keyring here: ${why}`, { hint }));
  }
}
