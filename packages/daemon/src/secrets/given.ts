/**
 * Secrets that somebody else provides: systemd credentials, and for development the environment. Only read here.
 *
 * 1. systemd: `$CREDENTIALS_DIRECTORY/<id with . for />`, and beside it `<the same>.for` with what it is for; without
 *    that it is not used.
 * 2. environment: `runloop/models/openai` is `RUNLOOP_RUNLOOP_MODELS_OPENAI`; it binds nothing, so it may go anywhere.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { err, failure, type Failure, ok, type Result } from '@runloop/core';
import { type Entry, readOnly, type SecretsBackend } from './backend.ts';
import { parseBinding } from './binding.ts';

export type Variables = { readonly [name: string]: string | undefined };

export function envName(id: string): string {
  return `RUNLOOP_${id.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`;
}

export function envBackend(env: Variables): SecretsBackend {
  const refused = (): Promise<Result<never, Failure>> =>
    Promise.resolve(readOnly('the environment', 'set the variable and start the daemon again'));
  return {
    name: 'env',
    get(id) {
      const value = env[envName(id)];
      return Promise.resolve(ok(value === undefined || value === '' ? undefined : { value }));
    },
    put: refused,
    delete: refused,
    list: () => Promise.resolve(ok([])),
  };
}

export function systemdBackend(directory: string | undefined): SecretsBackend {
  const refused = (): Promise<Result<never, Failure>> =>
    Promise.resolve(
      readOnly('systemd', 'use LoadCredentialEncrypted= in the unit of runloopd; see docs/operations.md'),
    );
  const read = (id: string): Result<Entry | undefined, Failure> => {
    const missing = 'the daemon was not started by systemd with credentials: there is no CREDENTIALS_DIRECTORY';
    if (directory === undefined)
      return err(failure('ProviderUnavailable', missing, { hint: 'see docs/operations.md' }));
    const name = id.replaceAll('/', '.');
    const value = textOf(join(directory, name));
    if (value === undefined) return ok(undefined);
    const use = textOf(join(directory, `${name}.for`));
    const hint = `give a second credential ${name}.for, such as https://api.example.com`;
    if (use === undefined)
      return err(failure('InvalidConfig', `the credential ${name} does not say what it is for`, { hint }));
    const binding = parseBinding(use);
    return binding.ok ? ok({ value, binding: binding.value }) : binding;
  };
  return {
    name: 'systemd',
    get: (id) => Promise.resolve(read(id)),
    put: refused,
    delete: refused,
    list() {
      if (directory === undefined) return Promise.resolve(ok([]));
      const ids = readdirSync(directory)
        .filter((name) => /^runloop\.[a-z0-9_-]+\.[a-z0-9_.-]+$/.test(name) && !name.endsWith('.for'))
        .map((name) => name.replace('.', '/').replace('.', '/'));
      return Promise.resolve(
        ok(
          ids.map((id) => {
            const found = read(id);
            return found.ok && found.value?.binding !== undefined ? { id, binding: found.value.binding } : { id };
          }),
        ),
      );
    },
  };
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch {
    return undefined;
  }
}
