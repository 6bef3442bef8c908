/**
 * agent.* and caps.show: what agents there are, what each may do and why, and how they come and go.
 */
import { err, type Failure, failure, ok, type Result } from '@runloop/core';
import { applyLayer, type Bundle, type Caps, type Cells } from '@runloop/runtime';
import type { Installer } from '../agents/install.ts';
import type { Quarantine } from '../agents/quarantine.ts';
import type { AgentRegistry } from '../agents/registry.ts';
import type { verifyAgent } from '../agents/verify.ts';
import type { TrustSource } from '../agents/trust.ts';
import type { Operations } from './operation.ts';

export type AgentOperationDeps = {
  readonly agents: AgentRegistry;
  readonly cells: Cells;
  readonly trust: TrustSource;
  readonly installer: Installer;
  /** Whether untrusted agents may run without namespaces where there are none. */
  readonly isWeak: () => boolean;
  readonly quarantine: Quarantine;
  readonly verify: (agent: Bundle, probe: Bundle, signal: AbortSignal) => ReturnType<typeof verifyAgent>;
};

export function agentOperations(deps: AgentOperationDeps): Operations {
  const { agents, cells, trust, installer, isWeak } = deps;
  return {
    'agent.list': (args) => args.check(async () => ok({ agents: await listed(deps), cells: cells.stats() })),
    'agent.show': (args) => {
      const name = args.text('name');
      return args.check(async () => {
        const bundle = await agents.resolve(name);
        if (!bundle.ok) return bundle;
        const { version, dir, digest, kind, ports, withSchema, caps, component, sbom, signer, trusted } = bundle.value;
        return ok({
          name,
          version,
          kind,
          dir,
          digest,
          ports,
          with: withSchema ?? null,
          caps,
          component: component.digest,
          sbom: sbom ?? null,
          signer,
          signer_key: bundle.value.signerKey,
          trusted,
          quarantine: deps.quarantine.held(name) ?? null,
          confined: trusted ? 'permission model' : await confinedBy(cells, isWeak),
        });
      });
    },
    'caps.show': (args) => {
      const name = args.text('name');
      return args.check(() => showCaps(name, agents, trust));
    },
    'agent.release': (args) => {
      const name = args.text('name');
      return args.check(async () =>
        (await deps.quarantine.release(name))
          ? ok({ name })
          : err(failure('NotFound', `agent ${name} is not held back`, { hint: 'see: rlp agent list' })),
      );
    },
    'agent.verify': (args, caller) => {
      const name = args.text('name');
      return args.check(async () => {
        const [agent, probe] = [await agents.resolve(name), await agents.resolve('probe')];
        if (!agent.ok) return agent;
        if (!probe.ok) return probe;
        const rows = await deps.verify(agent.value, probe.value, caller.signal);
        if (!rows.ok) return rows;
        const { digest, trusted } = agent.value;
        const confined = trusted ? 'permission model' : await confinedBy(cells, isWeak);
        return ok({ name, digest, confined, rows: rows.value });
      });
    },
    'agent.install': (args) => {
      const source = args.text('source');
      const accept = args.optionalText('accept');
      return args.check(() => installer.install(source, accept));
    },
    'agent.remove': (args) => {
      const name = args.text('name');
      return args.check(() => installer.remove(name));
    },
    'agent.rollback': (args) => {
      const name = args.text('name');
      const version = args.optionalText('version');
      return args.check(() => installer.rollback(name, version));
    },
  };
}

async function listed({ agents, quarantine }: AgentOperationDeps): Promise<unknown> {
  return (await agents.list()).map((agent) => {
    const held = quarantine.held(agent.name);
    return held === undefined ? agent : { ...agent, quarantine: held };
  });
}

async function confinedBy(cells: Cells, isWeak: () => boolean): Promise<string> {
  if ((await cells.confinement()) === undefined) return 'bubblewrap';
  return isWeak() ? 'permission model alone (allow_weak)' : 'not at all: it is refused';
}

/** Each layer's word on each key, and what is left. */
async function showCaps(name: string, agents: AgentRegistry, trust: TrustSource): Promise<Result<unknown, Failure>> {
  const bundle = await agents.resolve(name);
  if (!bundle.ok) return bundle;
  const policy = trust.policy();
  if (!policy.ok) return policy;
  const override = trust.override(bundle.value.name);
  if (!override.ok) return override;
  const { asks, caps, signer, signerKey, trusted } = bundle.value;
  const anchor = policy.value.anchors.find(({ key }) => key === signerKey);
  const given = (layer: Caps | undefined, named: object | undefined, key: string): unknown =>
    layer === undefined || (named !== undefined && !Object.hasOwn(named, key))
      ? null
      : (layer[key as keyof Caps] ?? false);
  const rows = [...new Set([...Object.keys(asks), ...Object.keys(caps)])].map((key) => ({
    key,
    asks: asks[key as keyof Caps] ?? false,
    anchor: anchor?.caps === undefined ? (trusted ? null : false) : given(anchor.caps.caps, undefined, key),
    override: given(override.value?.caps, override.value?.given, key),
    effective: caps[key as keyof Caps] ?? false,
  }));
  const warnings = override.value === undefined ? [] : applyLayer(caps, override.value, 'override').warnings;
  return ok({ name, signer, trusted, rows, warnings });
}
