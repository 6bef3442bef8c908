/**
 * secrets.*: for the operator alone. Values come in, and never go out again by this door.
 *
 * What was done with which id is on the ledger; a value is not.
 */
import { type Clock, err, failure, type Failure, type JsonObject, ok, type Result } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import { showBinding } from '../secrets/binding.ts';
import type { Secrets } from '../secrets/store.ts';
import { Vault } from '../secrets/vault.ts';
import type { Args, Caller, Operation, Operations } from './operation.ts';

export type SecretOperationDeps = {
  readonly clock: Clock;
  readonly kb: Pick<Kb, 'append'>;
  readonly secrets: Secrets;
  /** Where `init` makes a key file. */
  readonly keyFile: string;
};

export function secretOperations({ clock, kb, secrets, keyFile }: SecretOperationDeps): Operations {
  const tell = (caller: Caller, kind: string, payload: JsonObject): Promise<Result<unknown, Failure>> =>
    kb.append([{ ts_ms: clock.nowMs(), actor: caller.principal.id, kind, scope: 'operator', payload, provenance: {} }]);
  const told = async (done: Result<void, Failure>, caller: Caller, kind: string, payload: JsonObject) => {
    if (!done.ok) return done;
    const recorded = await tell(caller, kind, payload);
    return recorded.ok ? ok({ ...payload, backend: secrets.backend.name }) : recorded;
  };
  const vault = (): Result<Vault, Failure> => {
    if (secrets.backend instanceof Vault) return ok(secrets.backend);
    const message = `secrets are kept in ${secrets.backend.name}, which needs no making and no unlocking`;
    return err(failure('Conflict', message, { hint: 'for a vault: security.secrets.provider: vault in config.yaml' }));
  };
  return onlyOperators({
    'secrets.init': (args, caller) => {
      const passphrase = args.optionalText('passphrase');
      return args.check(async () => {
        const made = vault();
        if (!made.ok) return made;
        const key = passphrase === undefined ? { keyFile } : { passphrase };
        const payload = { path: made.value.path, ...(passphrase === undefined ? { key_file: keyFile } : {}) };
        return told(await made.value.init(key), caller, 'secrets.vault_made', payload);
      });
    },
    'secrets.unlock': (args) => {
      const passphrase = args.optionalText('passphrase');
      return args.check(async () => {
        const found = vault();
        if (!found.ok) return found;
        const opened = await found.value.unlock(passphrase);
        return opened.ok ? ok({ path: found.value.path }) : opened;
      });
    },
    'secrets.put': (args, caller) => {
      const [id, use, value] = [args.text('id'), args.text('for'), args.text('value')];
      return args.check(async () => told(await secrets.put(id, use, value), caller, 'secrets.put', { id, for: use }));
    },
    'secrets.rotate': (args, caller) => {
      const [id, value] = [args.text('id'), args.text('value')];
      return args.check(async () => told(await secrets.rotate(id, value), caller, 'secrets.rotated', { id }));
    },
    'secrets.delete': (args, caller) => {
      const id = args.text('id');
      return args.check(async () => told(await secrets.delete(id), caller, 'secrets.deleted', { id }));
    },
    'secrets.list': (args) =>
      args.check(async () => {
        const found = await secrets.list();
        if (!found.ok) return found;
        const rows = found.value.map(({ id, binding, putMs }) => ({
          id,
          ...(binding === undefined ? {} : { for: showBinding(binding) }),
          backend: secrets.backend.name,
          ...(putMs === undefined ? {} : { put_ms: putMs }),
        }));
        return ok({ backend: secrets.backend.name, secrets: rows });
      }),
  });
}

function onlyOperators(operations: Operations): Operations {
  const guard =
    (operation: Operation): Operation =>
    (args: Args, caller: Caller) =>
      caller.principal.type === 'operator'
        ? operation(args, caller)
        : Promise.resolve(err(failure('Forbidden', 'secrets are for the operator alone')));
  return Object.fromEntries(Object.entries(operations).map(([name, operation]) => [name, guard(operation)]));
}
