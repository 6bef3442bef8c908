/**
 * Which of the places for secrets can be used here: each is looked at, nothing is read out of it, opened or made.
 */
import { existsSync, readdirSync } from 'node:fs';
import type { Clock, Config, Random } from '@runloop/core';
import { expand } from '../home/home.ts';
import type { SecretsBackend } from './backend.ts';
import type { Variables } from './given.ts';
import { keyringBackend } from './keyring.ts';
import { keyringMsMax } from './limits.ts';
import { Vault } from './vault.ts';

export type SecretsPlace = {
  readonly name: SecretsBackend['name'];
  readonly isUsable: boolean;
  readonly says: string;
  readonly hint?: string;
};

/** `env` is the daemon's, or what it would be started with. */
export async function inspectSecrets(
  { clock, random, env }: { readonly clock: Clock; readonly random: Random; readonly env: Variables },
  { security }: Config,
  root: string,
): Promise<readonly SecretsPlace[]> {
  return [
    await keyring(clock),
    vault(new Vault({ random }, expand(security.secrets.root, root)).path),
    credentials(env['CREDENTIALS_DIRECTORY']),
    variables(env),
  ];
}

/** Asks for an id that no secret has. */
async function keyring(clock: Clock): Promise<SecretsPlace> {
  const late = Promise.withResolvers<undefined>();
  using _deadline = clock.after(keyringMsMax, () => late.resolve(undefined));
  const found = await Promise.race([keyringBackend().get('runloop/doctor'), late.promise]);
  const name = 'os-keyring';
  if (found === undefined)
    return { name, isUsable: false, says: `silent for ${keyringMsMax} ms`, hint: 'unlock it in the desktop session' };
  if (found.ok) return { name, isUsable: true, says: 'answers' };
  const hint = found.error.hint === undefined ? {} : { hint: found.error.hint };
  return { name, isUsable: false, says: 'none here', ...hint };
}

function vault(path: string): SecretsPlace {
  return existsSync(path)
    ? { name: 'vault', isUsable: true, says: path }
    : { name: 'vault', isUsable: false, says: 'not made', hint: 'rlp secrets init' };
}

function credentials(directory: string | undefined): SecretsPlace {
  const hint = 'LoadCredentialEncrypted= in the unit of runloopd; see docs/operations.md';
  if (directory === undefined) return { name: 'systemd', isUsable: false, says: 'no credentials given', hint };
  try {
    const uses = readdirSync(directory).filter((name) => name.startsWith('runloop.') && name.endsWith('.for'));
    return { name: 'systemd', isUsable: true, says: `${uses.length} credentials` };
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return { name: 'systemd', isUsable: false, says: `${directory} cannot be read: ${why}`, hint };
  }
}

/** Every id begins with `runloop/`, so its variable begins with its name twice. */
function variables(env: Variables): SecretsPlace {
  const set = Object.keys(env).filter((name) => name.startsWith('RUNLOOP_RUNLOOP_'));
  return { name: 'env', isUsable: true, says: `${set.length} variables, for development` };
}
