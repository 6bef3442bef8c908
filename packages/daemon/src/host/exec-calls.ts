/**
 * exec.run: one granted command in the sandbox, with the agent's own folders and never the state directory.
 */
import { type Clock, isJsonObject, type JsonObject } from '@runloop/core';
import { executableDigest, isReadingCommand, performExec, type Referents } from '@runloop/runtime';
import type { CallScope, Performed } from '../runs/ports.ts';
import { told } from './telling.ts';

export type ExecCallDeps = {
  readonly clock: Clock;
  readonly execTimeoutMs: number;
  /** Folders that no command sees, whatever is granted. */
  readonly hidden: readonly string[];
};

export async function performCommand(
  deps: ExecCallDeps,
  args: JsonObject,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Performed> {
  const { clock } = deps;
  const startedMs = clock.monotonicMs();
  const reads = isReadingCommand(scope.caps, 'exec.run', args);
  const result = await performExec({ clock }, args, { ...sandboxOf(deps, scope), reads }, signal);
  const code = result.ok && isJsonObject(result.value) ? result.value['exit_code'] : undefined;
  return told(result, scope, {
    op: 'exec.run',
    target: String(args['command']),
    startedMs,
    endedMs: clock.monotonicMs(),
    ...(code === undefined ? {} : { more: { exit_code: code } }),
  });
}

export function sandboxOf(
  { execTimeoutMs, hidden }: ExecCallDeps,
  { caps }: CallScope,
): { readonly wallMsMax: number; readonly folders: CallScope['caps']['fs']; readonly hidden: readonly string[] } {
  return { wallMsMax: execTimeoutMs, folders: caps.fs, hidden };
}

export async function commandReferents(command: string): Promise<Referents> {
  return { [`executable ${command}`]: await executableDigest(command) };
}
