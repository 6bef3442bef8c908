/**
 * Runs one command in the sandbox to its end: bounded in time and in what it says.
 *
 * 1. At the deadline or on abort its process group is killed, and with it, by its pid namespace, all that it started.
 * 2. Of each stream the first bytes are kept; the rest is read and dropped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { type Clock, type Failure, type Result, err, failure, ok } from '@runloop/core';
import { execOutputBytesMax } from '../limits.ts';
import { type SandboxOptions, type SandboxedCommand, sandboxed } from './sandbox.ts';

export type RunOptions = SandboxOptions & { readonly wallMsMax: number };

export type Finished = {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
};

export async function runSandboxed(
  deps: { readonly clock: Clock },
  given: { readonly command: string; readonly argv: readonly string[]; readonly stdin?: string },
  options: RunOptions,
  signal: AbortSignal,
): Promise<Result<Finished, Failure>> {
  if (signal.aborted) return err(failure('Cancelled', 'the call was cancelled'));
  const prepared = sandboxed(given.command, given.argv, options);
  if (!prepared.ok) return prepared;
  const child = start(prepared.value, given.stdin === undefined ? 'ignore' : 'pipe');
  child.stdin?.on('error', () => {}).end(given.stdin);
  const out = collect(child.stdout);
  const errors = collect(child.stderr);
  let ended: Failure | undefined;
  const kill = (why: Failure): void => {
    ended ??= why;
    killGroup(child);
  };
  const late = failure('DeadlineExceeded', `${given.command} did not end within ${options.wallMsMax} ms`);
  using _deadline = deps.clock.after(options.wallMsMax, () => kill(late));
  const onAbort = (): void => kill(failure('Cancelled', 'the call was cancelled'));
  signal.addEventListener('abort', onAbort, { once: true });
  const exit = await new Promise<{ readonly code: number | null; readonly error?: Error }>((resolve) => {
    child.on('error', (error) => resolve({ code: null, error }));
    child.on('close', (code) => resolve({ code }));
  });
  signal.removeEventListener('abort', onAbort);
  if (ended !== undefined) return err(ended);
  const stdout = out();
  const stderr = errors();
  const refused =
    exit.error?.message ?? (exit.code !== 0 && stderr.text.startsWith('bwrap: ') ? stderr.text : undefined);
  if (refused !== undefined) {
    const why = `exec cannot be sandboxed here, so it is refused: ${refused.trim().slice(0, 300)}`;
    return err(failure('CapabilityDenied', why, { hint: 'install bubblewrap and allow user namespaces' }));
  }
  const truncated = stdout.truncated || stderr.truncated;
  return ok({ exitCode: exit.code, stdout: stdout.text, stderr: stderr.text, truncated });
}

/** Starts it, hands it its filter, and lets go of the descriptors that it was given. */
export function start(prepared: SandboxedCommand, stdin: 'ignore' | 'pipe'): ChildProcess {
  using command = prepared;
  const { file, args, folders, filter } = command;
  const child = spawn(file, args, {
    env: {},
    cwd: '/',
    stdio: [stdin, 'pipe', 'pipe', 'pipe', ...folders],
    detached: true,
  });
  (child.stdio[3] as Writable).on('error', () => {}).end(filter);
  return child;
}

export function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

function collect(stream: NodeJS.ReadableStream | null): () => { readonly text: string; readonly truncated: boolean } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (bytes < execOutputBytesMax) chunks.push(chunk.subarray(0, execOutputBytesMax - bytes));
    bytes += chunk.length;
  });
  return () => ({ text: Buffer.concat(chunks).toString('utf8'), truncated: bytes > execOutputBytesMax });
}
