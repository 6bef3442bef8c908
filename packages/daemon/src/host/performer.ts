/**
 * Performs the host calls that the kernel lets through: one place that says which code serves which operation.
 */
import { type Clock, failure, isJsonObject, type JsonValue } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import { type Files, performExec } from '@runloop/runtime';
import type { HostPerformer, Performed } from '../runs/ports.ts';
import type { Values } from '../runs/values.ts';
import { performKb, refused } from './kb-calls.ts';
import { performMail } from './mail-calls.ts';
import { performClock } from './clock-calls.ts';
import { type ModelPort, performModel } from './model-calls.ts';

export type PerformerDeps = {
  readonly clock: Clock;
  readonly kb: Kb;
  readonly values: Values;
  readonly models: ModelPort;
  readonly files: Files;
  readonly execTimeoutMs: number;
};

/**
 * Proposals and mail end in what the ledger takes once for each call id; file calls find what they did before.
 * Mail will leave this list with its first transport.
 */
const repeatable: ReadonlySet<string> = new Set([
  'kb.propose',
  'mail.send',
  'fs.write',
  'fs.mkdir',
  'fs.remove',
  'fs.rename',
]);

export function createPerformer(deps: PerformerDeps): HostPerformer {
  return {
    repeats: (op) => repeatable.has(op),
    leaves: (op, args, caps) => deps.files.leaves(op, args, caps.fs),
    cleared(args) {
      const model = isJsonObject(args) ? args['model'] : undefined;
      return deps.models.clears(typeof model === 'string' ? model : undefined);
    },
    async perform(op, args: JsonValue, scope, signal): Promise<Performed> {
      const given = isJsonObject(args) ? args : {};
      if (op.startsWith('kb.')) return performKb(deps.kb, op, given, scope);
      if (op.startsWith('model.')) return performModel(deps.models, op, given, scope, signal);
      if (op.startsWith('fs.')) {
        const { callId: id, approved, repeated, bundle } = scope;
        return { result: await deps.files.perform(op, args, { id, approved, repeated, grants: bundle.caps.fs }) };
      }
      if (op.startsWith('clock.')) return performClock(deps.clock, op, given, signal);
      if (op === 'mail.send') return performMail(deps.kb, deps.values, given, scope);
      if (op === 'exec.run') {
        const result = await performExec({ clock: deps.clock }, args, { wallMsMax: deps.execTimeoutMs }, signal);
        const level = result.ok ? 'info' : 'warn';
        const meta = { node: scope.node, tool: 'exec', target: String(given['command'] ?? ''), ok: result.ok };
        return {
          result,
          events: [{ kind: 'tool.called', level, message: `${scope.node} executed ${meta.target}.`, meta }],
        };
      }
      return refused(failure('ProviderUnavailable', `${op} is not available on this host yet`));
    },
  };
}
