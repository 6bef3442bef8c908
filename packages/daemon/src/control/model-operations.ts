/**
 * model.list and bill.query: which models can be called, and what was spent.
 */
import { ok } from '@runloop/core';
import { type CostsBy, costsBy, type Kb } from '@runloop/kb';
import type { Models } from '../host/models.ts';
import type { Operations } from './operation.ts';

export function modelOperations({ models, kb }: { readonly models: Models; readonly kb: Kb }): Operations {
  return {
    'model.list': (args) => args.check(async () => ok(models.list())),
    'bill.query': (args, { principal }) => {
      const by = args.optionalText('by') ?? 'run';
      if (!isCostsBy(by)) args.refuse(`by must be one of ${costsBy.join(', ')}`);
      const sinceMs = args.optionalNumber('since_ms');
      const max = args.number('max', 1000, 1000);
      return args.check(async () => {
        const actor = principal.type === 'operator' ? undefined : principal.id;
        const costs = await kb.costs({ by: isCostsBy(by) ? by : 'run', sinceMs, actor, max });
        return costs.ok ? ok({ by, ...costs.value }) : costs;
      });
    },
  };
}

function isCostsBy(by: string): by is CostsBy {
  return costsBy.some((one) => one === by);
}
