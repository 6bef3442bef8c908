/**
 * model.list and bill.query: which models can be called, and what was spent.
 */
import { ok } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { Models } from '../host/models.ts';
import type { Operations } from './operation.ts';

export function modelOperations({ models, kb }: { readonly models: Models; readonly kb: Kb }): Operations {
  return {
    'model.list': (args) => args.check(async () => ok(models.list())),
    'bill.query': (args) => {
      const by = args.optionalText('by') ?? 'run';
      if (by !== 'run' && by !== 'node' && by !== 'model' && by !== 'day')
        args.refuse('by must be run, node, model or day');
      return args.check(async () => {
        const rows = await kb.costs(by as 'run' | 'node' | 'model' | 'day', 1000);
        return rows.ok ? ok({ by, rows: rows.value }) : rows;
      });
    },
  };
}
