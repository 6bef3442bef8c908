/**
 * agent.*: what agents there are, and what each may do.
 */
import { ok } from '@runloop/core';
import type { Cells } from '@runloop/runtime';
import type { AgentRegistry } from '../agents/registry.ts';
import type { Operations } from './operation.ts';

export function agentOperations({
  agents,
  cells,
}: {
  readonly agents: AgentRegistry;
  readonly cells: Cells;
}): Operations {
  return {
    'agent.list': (args) => args.check(async () => ok({ agents: await agents.list(), cells: cells.stats() })),
    'agent.show': (args) => {
      const name = args.text('name');
      return args.check(async () => {
        const bundle = await agents.resolve(name);
        if (!bundle.ok) return bundle;
        const { version, dir, digest, kind, ports, withSchema, caps, component, signer, trusted } = bundle.value;
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
          signer,
          trusted,
        });
      });
    },
  };
}
