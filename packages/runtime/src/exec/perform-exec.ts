/**
 * Performs `exec.run {command, argv?, stdin?}`: one granted command in the sandbox, never through a shell.
 *
 * Where the sandbox cannot be made, the answer is a refusal, never an unsandboxed child.
 */
import { type Clock, type Failure, type JsonValue, isJsonObject } from '@runloop/core';
import { argumentsOf } from '../kernel/grants.ts';
import type { CallResult } from '../kernel/kernel.ts';
import { type RunOptions, runSandboxed } from './run-sandboxed.ts';

export type ExecOptions = RunOptions;

export async function performExec(
  deps: { readonly clock: Clock },
  args: JsonValue,
  options: ExecOptions,
  signal: AbortSignal,
): Promise<CallResult> {
  const given = isJsonObject(args) ? args : {};
  const argv = argumentsOf(given);
  const { command, stdin } = given;
  if (
    argv === undefined ||
    typeof command !== 'string' ||
    !command.startsWith('/') ||
    (stdin !== undefined && typeof stdin !== 'string')
  ) {
    return failed({
      code: 'InvalidParams',
      message: 'exec.run needs { command: "/abs/path", argv?: [texts], stdin?: text }',
    });
  }
  const ran = await runSandboxed(deps, { command, argv, ...(stdin === undefined ? {} : { stdin }) }, options, signal);
  if (!ran.ok) return failed(ran.error);
  const { exitCode, stdout, stderr, truncated } = ran.value;
  return { ok: true, value: { exit_code: exitCode, stdout, stderr, truncated } };
}

function failed({ code, message }: Pick<Failure, 'code' | 'message'>): CallResult {
  return { ok: false, code, message, retryable: false };
}
