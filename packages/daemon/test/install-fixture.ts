/** A state directory with installer and registry over it, and small bundles made by hand: nothing here runs them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JsonObject, ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { type Bundle, type HostKey, hostKey, signBundle } from '@runloop/runtime';
import { type MemoryLog, memoryLog } from '@runloop/testkit';
import { Installer } from '../src/agents/install.ts';
import { AgentRegistry } from '../src/agents/registry.ts';
import { Pins } from '../src/home/pins.ts';
import { Trust } from '../src/agents/trust.ts';

export type Place = {
  readonly root: string;
  readonly host: HostKey;
  readonly trust: Trust;
  readonly agents: AgentRegistry;
  readonly installer: Installer;
  readonly log: MemoryLog;
  readonly pins: Pins;
  readonly told: { kind: string; payload: JsonObject }[];
};

export async function placeAt(root: string, step?: (name: string) => void): Promise<Place> {
  const host = unwrap(await hostKey(join(root, 'keys')), 'a host key');
  const deps = { clock: systemClock, random: systemRandom, hostKey: host };
  const log = memoryLog();
  const trust = new Trust({ ...deps, log }, { root });
  const pins = new Pins(join(root, 'trust'));
  const agents = new AgentRegistry(
    { ...deps, log, trust, pins },
    { searchDirs: [join(root, 'agents')], cacheDir: join(root, 'cache'), storeDir: join(root, 'store') },
  );
  const told: Place['told'] = [];
  const holder = async (name: string): Promise<Bundle | undefined> => {
    const found = await agents.resolve(name);
    return found.ok ? found.value : undefined;
  };
  const installer = new Installer(
    {
      ...deps,
      trust,
      check: () => Promise.resolve(ok(undefined)),
      holder,
      record: (kind, payload) => Promise.resolve(ok(void told.push({ kind, payload }))),
      ...(step === undefined ? {} : { step }),
    },
    join(root, 'agents'),
  );
  return { root, log, host, trust, agents, installer, pins, told };
}

export function makeRoot(): Disposable & { readonly root: string } {
  const root = mkdtempSync(join(tmpdir(), 'rl-ins-'));
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

/** A signed folder; what is in the component says which version it is. */
export async function makeBundle(
  dir: string,
  key: HostKey,
  version: string,
  caps = '',
  name = 'small',
): Promise<string> {
  mkdirSync(join(dir, 'bin'), { recursive: true });
  mkdirSync(join(dir, 'schemas'), { recursive: true });
  writeFileSync(
    join(dir, 'manifest.toml'),
    `[agent]\nname = "${name}"\nversion = "${version}"\n[ports]\nout = { out = ["*"] }\n`,
  );
  writeFileSync(join(dir, 'policy.caps'), `${caps}\n`);
  writeFileSync(join(dir, 'schemas/with.json'), '{"type":"object"}\n');
  writeFileSync(join(dir, `bin/${name}.wasm`), `the component of ${version} ${'w'.repeat(300)}`);
  unwrap(await signBundle(dir, key), 'it signs');
  return dir;
}
