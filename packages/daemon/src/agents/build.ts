/**
 * Builds agents from their source folders, without a daemon: what `rlp agent build` does.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, err, failure, type Failure, ok, type Result, systemRandom } from '@runloop/core';
import { buildAgent, type Bundle, type Cells, createCells, hostKey, type HostKey } from '@runloop/runtime';
import { AgentRegistry } from './registry.ts';
import { ownTrust } from './trust.ts';

export type BuildRequest = {
  readonly root: string;
  readonly checkout: string | undefined;
  readonly places: readonly ({ readonly name: string } | { readonly dir: string })[];
  readonly all: boolean;
  readonly clock: Clock;
};
export type Built = { readonly name: string; readonly result: Result<Bundle, Failure>; readonly ms: number };

export async function* buildAgents(request: BuildRequest): AsyncGenerator<Built> {
  const { root, checkout, clock } = request;
  const key = await hostKey(join(root, 'keys'));
  if (!key.ok) {
    yield { name: '', result: key, ms: 0 };
    return;
  }
  const names = request.all && checkout !== undefined ? await agentNames(join(checkout, 'agents')) : [];
  const places = [...names.map((name) => ({ name })), ...request.places];
  await using cells = createCells(
    { clock, random: systemRandom, log: quiet, hostKey: key.value },
    { cacheDir: join(root, 'cache', 'cells'), spares: 0 },
  );
  for (const place of places) {
    const began = clock.monotonicMs();
    const built =
      'dir' in place
        ? await buildFolder(place.dir, key.value, request)
        : await buildOwn(place.name, key.value, request);
    const result = built.ok ? await prepared(cells, built.value) : built;
    yield {
      name: 'dir' in place ? (result.ok ? result.value.name : place.dir) : place.name,
      result,
      ms: clock.monotonicMs() - began,
    };
  }
}

/** An agent of the checkout: its bundle goes into the state directory, where the daemon looks for it. */
function buildOwn(
  name: string,
  key: HostKey,
  { root, checkout, clock }: BuildRequest,
): Promise<Result<Bundle, Failure>> {
  if (checkout === undefined)
    return Promise.resolve(
      err(failure('NotFound', `there is no agent "${name}" here`, { hint: 'give the path of its folder' })),
    );
  const dir = join(checkout, 'agents');
  const registry = new AgentRegistry(
    { clock, random: systemRandom, log: quiet, hostKey: key, trust: ownTrust(key) },
    {
      searchDirs: [dir],
      builtIn: { dir, sdkDir: join(checkout, 'packages', 'agent-sdk') },
      cacheDir: join(root, 'cache'),
      storeDir: join(root, 'store'),
    },
  );
  return registry.resolve(name);
}

async function buildFolder(
  dir: string,
  key: HostKey,
  { checkout, clock }: BuildRequest,
): Promise<Result<Bundle, Failure>> {
  const sdkDir = checkout === undefined ? {} : { sdkDir: join(checkout, 'packages', 'agent-sdk') };
  const built = await buildAgent({ clock }, dir, { signWith: key, ...sdkDir });
  return built.ok ? ok(built.value) : built;
}

/** Makes the component ready to run, so that its first run need not; refuses it here where it cannot be made ready. */
async function prepared(cells: Cells, bundle: Bundle): Promise<Result<Bundle, Failure>> {
  const ready = await cells.warm(bundle);
  return ready.ok ? ok(bundle) : ready;
}

const quiet = { log: () => undefined };

async function agentNames(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules')
    .map((entry) => entry.name)
    .sort();
}
