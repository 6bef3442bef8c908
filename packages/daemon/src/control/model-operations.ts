/**
 * model.* and bill.query: which models can be called, what was spent, and the budgets that an alarm has frozen.
 */
import { type Clock, err, type Failure, failure, ok } from '@runloop/core';
import { type CostsBy, costsBy, type EventDraft, type Kb } from '@runloop/kb';
import type { Meter, Models } from '../host/models.ts';
import type { Operations } from './operation.ts';

export type ModelOperationDeps = { readonly clock: Clock; readonly models: Models; readonly kb: Kb };

export function modelOperations({ clock, models, kb }: ModelOperationDeps): Operations {
  return {
    'model.list': (args, { principal }) => args.check(async () => ok(models.list(principal.type === 'operator'))),
    'model.test': (args, { principal, signal }) => {
      const model = args.text('model');
      return args.check(async () => {
        if (principal.type !== 'operator') return err(operatorOnly());
        const drafts: EventDraft[] = [];
        const meter: Meter = (kind, meta) => {
          const payload = { agent: 'rlp models test', ...meta };
          drafts.push({ ts_ms: clock.nowMs(), actor: principal.id, kind, scope: 'operator', payload, provenance: {} });
        };
        const tried = await models.try(model, principal.id, meter, signal);
        const told = drafts.length === 0 ? ok(undefined) : await kb.append(drafts);
        if (!told.ok) return told;
        if (tried.length > 0) return ok({ model, tried });
        return err(
          failure('ProviderUnavailable', `no route leads from the model "${model}" to a provider`, {
            hint: 'see: rlp models, and docs/broker.md',
          }),
        );
      });
    },
    'model.thaw': (args, { principal }) => {
      const key = args.text('key');
      return args.check(async () => {
        if (principal.type !== 'operator') return err(operatorOnly());
        const keys = models.frozen().map((one) => one.key);
        if (!keys.includes(key)) {
          const hint = keys.length === 0 ? 'none is frozen' : `frozen are: ${keys.join(', ')}`;
          return err(failure('NotFound', `no budget "${key}" is frozen`, { hint }));
        }
        const draft = { ts_ms: clock.nowMs(), actor: principal.id, kind: 'budget.thawed', scope: 'operator' };
        const told = await kb.append([{ ...draft, payload: { key }, provenance: {} }]);
        if (!told.ok) return told;
        models.thaw(key);
        return ok({ thawed: key });
      });
    },
    'bill.query': (args, { principal }) => {
      const by = args.optionalText('by') ?? 'run';
      if (!isCostsBy(by)) args.refuse(`by must be one of ${costsBy.join(', ')}`);
      const sinceMs = args.optionalNumber('since_ms');
      const max = args.number('max', 1000, 1000);
      return args.check(async () => {
        const isOperator = principal.type === 'operator';
        const actor = isOperator ? undefined : principal.id;
        const costs = await kb.costs({ by: isCostsBy(by) ? by : 'run', sinceMs, actor, max });
        if (!costs.ok) return costs;
        return ok({ by, ...costs.value, frozen: isOperator ? models.frozen().map(({ key }) => key) : [] });
      });
    },
  };
}

function operatorOnly(): Failure {
  return failure('Forbidden', 'models are tried, and budgets thawed, by the operator alone');
}

function isCostsBy(by: string): by is CostsBy {
  return costsBy.some((one) => one === by);
}
