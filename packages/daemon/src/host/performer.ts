/**
 * Performs the host calls that the kernel lets through: one place that says which code serves which operation.
 */
import { failure, isJsonObject, type JsonValue } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { HostPerformer, Performed } from '../runs/ports.ts';
import type { Values } from '../runs/values.ts';
import { commandReferents, performCommand } from './exec-calls.ts';
import { performHttp } from './http-calls.ts';
import { performKb, refused } from './kb-calls.ts';
import { performMail } from './mail-calls.ts';
import { missingForTool, performTool, type ToolCallDeps, toolReferents } from './tool-calls.ts';
import { type ModelPort, performModel } from './model-calls.ts';

export type PerformerDeps = ToolCallDeps & {
  readonly kb: Kb;
  readonly values: Values;
  readonly models: ModelPort;
};

/** Both end in a proposal that the ledger takes once for each call id. Mail will leave this list with its first transport. */
const repeatable: ReadonlySet<string> = new Set(['kb.propose', 'mail.send']);

export function createPerformer(deps: PerformerDeps): HostPerformer {
  return {
    repeats: (op) => repeatable.has(op),
    missing: (op, args, scope) => (op === 'tools.call' ? missingForTool(args, scope) : undefined),
    async referents(op, args, scope) {
      if (op === 'tools.call') return toolReferents(deps, args, scope);
      const command = isJsonObject(args) ? args['command'] : undefined;
      return op === 'exec.run' && typeof command === 'string' ? commandReferents(command) : {};
    },
    async perform(op, args: JsonValue, scope, signal): Promise<Performed> {
      const given = isJsonObject(args) ? args : {};
      if (op.startsWith('kb.')) return performKb(deps.kb, op, given, scope);
      if (op.startsWith('model.')) return performModel(deps.models, op, given, scope, signal);
      if (op === 'mail.send') return performMail(deps.kb, deps.values, given, scope);
      if (op === 'http.fetch') return performHttp(deps, given, scope, signal);
      if (op === 'exec.run') return performCommand(deps, given, scope, signal);
      if (op === 'tools.call') return performTool(deps, given, scope, signal);
      return refused(failure('ProviderUnavailable', `${op} is not available on this host yet`));
    },
  };
}
