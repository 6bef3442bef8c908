/**
 * Which providers a model name leads to, in the order in which they are tried. Pure.
 */
import type { BrokerConfig, ProviderConfig } from './broker-config.ts';
import { matches } from './pattern.ts';

export type Target = { readonly provider: ProviderConfig; readonly model: string };

/** A fallback is a provider, or `provider:model` where that one knows the model by another name. */
export function wayOf(way: string): { readonly id: string; readonly model?: string } {
  const colon = way.indexOf(':');
  return colon < 0 ? { id: way } : { id: way.slice(0, colon), model: way.slice(colon + 1) };
}

/** The first route that matches, with its fallbacks; without one, a provider that the name begins with (`local:llama3`). */
export function route(config: Pick<BrokerConfig, 'providers' | 'routes'>, name: string): readonly Target[] {
  const byId = (id: string): ProviderConfig | undefined => config.providers.find((provider) => provider.id === id);
  const found = config.routes.find(({ pattern }) => matches(pattern, name));
  const ways = found === undefined ? [name.split(':')[0] ?? ''] : [found.provider, ...found.fallback];
  return ways.flatMap((way) => {
    const { id, model } = wayOf(way);
    const provider = byId(id);
    if (provider === undefined) return [];
    const bare = name.startsWith(`${id}:`) ? name.slice(id.length + 1) : name;
    return [{ provider, model: model ?? found?.targetModel ?? bare }];
  });
}
