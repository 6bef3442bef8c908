/**
 * The secrets of one daemon, in the place that `security.secrets.provider` names.
 */
import type { Config, Random } from '@runloop/core';
import { expand } from '../home/home.ts';
import type { SecretsBackend } from './backend.ts';
import { envBackend, systemdBackend } from './given.ts';
import { keyringBackend } from './keyring.ts';
import { Secrets, type SecretsDeps } from './store.ts';
import { Vault } from './vault.ts';

export function openSecrets(deps: SecretsDeps & { readonly random: Random }, config: Config, root: string): Secrets {
  return new Secrets(deps, backendOf(deps, config, root));
}

function backendOf(
  { env, random }: SecretsDeps & { readonly random: Random },
  { security }: Config,
  root: string,
): SecretsBackend {
  const { provider } = security.secrets;
  switch (provider) {
    case 'os-keyring':
      return keyringBackend();
    case 'vault':
      return new Vault(
        { random, passphraseFile: env['RUNLOOP_VAULT_PASSPHRASE_FILE'] },
        expand(security.secrets.root, root),
      );
    case 'systemd':
      return systemdBackend(env['CREDENTIALS_DIRECTORY']);
    case 'env':
      return envBackend(env);
    default:
      return provider satisfies never;
  }
}
