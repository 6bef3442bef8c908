/**
 * Performs the host calls that the kernel lets through: one place that says which code serves which operation.
 */
import { failure, isJsonObject, type JsonValue } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { Files } from '@runloop/runtime';
import type { CallScope, HostPerformer, Performed } from '../runs/ports.ts';
import type { Values } from '../runs/values.ts';
import { commandReferents, performCommand } from './exec-calls.ts';
import { performHttp } from './http-calls.ts';
import { performKb, refused } from './kb-calls.ts';
import { performMail } from './mail-calls.ts';
import type { MailTransport } from './mail-transport.ts';
import { performClock } from './clock-calls.ts';
import type { Scrubber } from '../secrets/scrubber.ts';
import type { Secrets } from '../secrets/store.ts';
import { performSecretRef } from './secret-calls.ts';
import { missingSecret } from './secret-headers.ts';
import { missingForTool, performTool, type ToolCallDeps, toolReferents } from './tool-calls.ts';
import { Mailbox } from './mailbox-calls.ts';
import { type ModelPort, performModel } from './model-calls.ts';

export type PerformerDeps = ToolCallDeps & {
  readonly kb: Kb;
  readonly values: Values;
  readonly models: ModelPort;
  readonly files: Files;
  readonly secrets: Secrets;
  readonly scrubber: Scrubber;
  /** Without one, mail stays a draft. */
  readonly mail?: MailTransport | undefined;
};

/**
 * Proposals and messages to agents end in what the ledger takes once for each call id, and so does mail that stays a draft; file calls find
 * what they did before.
 */
const repeatable: ReadonlySet<string> = new Set([
  'kb.propose',
  'mail.send',
  'mailbox.send',
  'mailbox.receive',
  'fs.write',
  'fs.mkdir',
  'fs.remove',
  'fs.rename',
]);

export function createPerformer(given: PerformerDeps): HostPerformer {
  const deps = { ...given, mailbox: new Mailbox(given) };
  return {
    repeats: (op) => repeatable.has(op) && !(op === 'mail.send' && deps.mail !== undefined),
    missing(op, args, scope) {
      if (op === 'http.fetch') return missingSecret(scope.caps, args);
      return op === 'tools.call' ? missingForTool(args, scope) : undefined;
    },
    async referents(op, args, scope) {
      if (op === 'tools.call') return toolReferents(deps, args, scope);
      const command = isJsonObject(args) ? args['command'] : undefined;
      return op === 'exec.run' && typeof command === 'string' ? commandReferents(command) : {};
    },
    leaves: (op, args, caps) => deps.files.leaves(op, args, caps.fs),
    cleared(args) {
      const model = isJsonObject(args) ? args['model'] : undefined;
      return deps.models.clears(typeof model === 'string' ? model : undefined);
    },
    forfeit: (op, args, spender) => deps.models.forfeit(op === 'model.embed' ? 'embed' : 'complete', args, spender),
    raise: (raised) => deps.models.raise(raised),
    async perform(op, args: JsonValue, scope, signal): Promise<Performed | undefined> {
      const performed = await perform(deps, op, args, scope, signal);
      return performed === undefined ? undefined : scrubbed(deps.scrubber, performed);
    },
  };
}

/** No agent and no record gets to see a secret that came back. */
function scrubbed(scrubber: Scrubber, { result, events = [], ...more }: Performed): Performed {
  const clean = result.ok
    ? { ...result, value: scrubber.scrubJson(result.value) }
    : { ...result, message: scrubber.scrub(result.message) };
  return { ...more, result: clean, events };
}

async function perform(
  deps: PerformerDeps & { readonly mailbox: Mailbox },
  op: string,
  args: JsonValue,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Performed | undefined> {
  const given = isJsonObject(args) ? args : {};
  if (op.startsWith('kb.')) return performKb(deps.kb, op, given, scope);
  if (op.startsWith('model.')) return performModel(deps.models, op, given, scope, signal);
  if (op.startsWith('fs.')) {
    const { callId: id, approved, repeated, bundle } = scope;
    return { result: await deps.files.perform(op, args, { id, approved, repeated, grants: bundle.caps.fs }) };
  }
  if (op.startsWith('clock.')) return performClock(deps.clock, op, given, signal);
  if (op === 'mail.send') return performMail(deps, given, scope, signal);
  if (op === 'http.fetch') return performHttp(deps, given, scope, signal);
  if (op === 'exec.run') return performCommand(deps, given, scope, signal);
  if (op === 'tools.call') return performTool(deps, given, scope, signal);
  if (op === 'mailbox.send') return deps.mailbox.send(given, scope);
  if (op === 'mailbox.receive') return deps.mailbox.receive(given, scope, signal);
  if (op === 'secrets.ref') return performSecretRef(deps.secrets, given);
  return refused(failure('ProviderUnavailable', `${op} is not available on this host yet`));
}
