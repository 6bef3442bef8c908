/** The places for secrets: which is in use, and which could be. */
import { systemClock, systemRandom } from '@runloop/core';
import type { Tools } from '../command.ts';
import type { Check } from './check.ts';

/** `env` is that of the daemon that runs, or of the one that would be started. */
export async function secretsCheck(tools: Tools, env: NodeJS.ProcessEnv): Promise<Check[]> {
  const config = await tools.config();
  if (!config.ok) return [];
  const { inspectSecrets } = await import('@runloop/daemon');
  const { root } = tools.environment;
  const { provider } = config.value.config.security.secrets;
  const deps = { clock: systemClock, random: systemRandom, env };
  const places = await inspectSecrets(deps, config.value.config, root);
  const inUse = places.find((place) => place.name === provider);
  const others = places
    .filter((place) => place !== inUse)
    .map(({ name, isUsable, says }) => `${name} ${isUsable ? 'can be used' : 'cannot'} (${says})`);
  const says = `${provider} is in use (${inUse?.says ?? 'unknown'}); ${others.join(', ')}`;
  return [
    {
      name: 'secrets',
      state: inUse?.isUsable === true ? 'ok' : 'warning',
      says,
      ...(inUse?.hint === undefined ? {} : { hint: inUse.hint }),
    },
  ];
}
