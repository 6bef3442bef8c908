/**
 * Which providers a model name leads to, in the order in which they are tried. Pure.
 */
import type { BrokerConfig, ProviderConfig } from './config.ts';
import { matches } from './pattern.ts';

export type Target = { readonly provider: ProviderConfig; readonly model: string };

/** The first route that matches, with its fallbacks; without one, a provider that the name begins with (`local:llama3`). */
export function route(config: BrokerConfig, name: string): readonly Target[] {
  const byId = (id: string): ProviderConfig | undefined => config.providers.find((provider) => provider.id === id);
  const found = config.routes.find(({ pattern }) => matches(pattern, name));
  const ids = found === undefined ? [name.split(':')[0] ?? ''] : [found.provider, ...found.fallback];
  return ids.flatMap((id) => {
    const provider = byId(id);
    if (provider === undefined) return [];
    const bare = name.startsWith(`${id}:`) ? name.slice(id.length + 1) : name;
    return [{ provider, model: found?.targetModel ?? bare }];
  });
}
