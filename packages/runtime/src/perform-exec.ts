/**
 * Performs `exec.run`: one granted command in bubblewrap, never through a shell.
 *
 * 1. The child has an empty environment, namespaces of its own without network, a read-only /usr and an empty /tmp:
 *    no state directory, no socket, no home.
 * 2. Its output is bounded and cut; at the deadline or on abort its process group is killed.
 * 3. Where bubblewrap cannot run, the answer is a refusal, never an unsandboxed child.
 */
import { spawn } from 'node:child_process';
import { type Clock, type JsonValue, isJsonObject } from '@runloop/core';
import { argumentsOf } from './kernel/grants.ts';
import type { CallResult } from './kernel/kernel.ts';
import { execOutputBytesMax } from './limits.ts';

export type ExecOptions = {
  /** Absolute path of bubblewrap. */
  readonly bwrap?: string;
  readonly wallMsMax: number;
  /** Host directories that the command may read, besides /usr. */
  readonly readable?: readonly string[];
};

const sandbox = ['--unshare-all', '--die-with-parent', '--new-session', '--clearenv'];
const mounts = ['--ro-bind', '/usr', '/usr', '--symlink', 'usr/bin', '/bin', '--symlink', 'usr/sbin', '/sbin'];
const libraries = ['--symlink', 'usr/lib', '/lib', '--symlink', 'usr/lib64', '/lib64'];
const empty = ['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', '--chdir', '/tmp'];

export async function performExec(
  deps: { readonly clock: Clock },
  args: JsonValue,
  options: ExecOptions,
  signal: AbortSignal,
): Promise<CallResult> {
  const argv = isJsonObject(args) ? argumentsOf(args) : undefined;
  const command = isJsonObject(args) ? args['command'] : undefined;
  if (argv === undefined || typeof command !== 'string' || !command.startsWith('/')) {
    return failed('InvalidParams', 'exec.run needs { command: "/abs/path", argv: [texts] }');
  }
  if (signal.aborted) return failed('Cancelled', 'the call was cancelled');
  const reads = (options.readable ?? []).flatMap((dir) => ['--ro-bind', dir, dir]);
  const child = spawn(
    options.bwrap ?? '/usr/bin/bwrap',
    [...sandbox, ...mounts, ...libraries, ...empty, ...reads, '--', command, ...argv],
    {
      env: {},
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  );
  const out = collect(child.stdout);
  const errors = collect(child.stderr);
  let ended: 'deadline' | 'aborted' | undefined;
  const kill = (why: 'deadline' | 'aborted'): void => {
    ended ??= why;
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  };
  using _deadline = deps.clock.after(options.wallMsMax, () => kill('deadline'));
  const onAbort = (): void => kill('aborted');
  signal.addEventListener('abort', onAbort, { once: true });
  const exit = await new Promise<{ code: number | null; error?: Error }>((resolve) => {
    child.on('error', (error) => resolve({ code: null, error }));
    child.on('close', (code) => resolve({ code }));
  });
  signal.removeEventListener('abort', onAbort);
  if (exit.error !== undefined)
    return failed('CapabilityDenied', `exec cannot be sandboxed here, so it is refused: ${exit.error.message}`);
  if (ended === 'deadline') return failed('DeadlineExceeded', `${command} did not end within ${options.wallMsMax} ms`);
  if (ended === 'aborted') return failed('Cancelled', 'the call was cancelled');
  const stderr = errors();
  if (exit.code !== 0 && stderr.text.startsWith('bwrap: ')) {
    return failed(
      'CapabilityDenied',
      `exec cannot be sandboxed here, so it is refused: ${stderr.text.trim().slice(0, 300)}`,
    );
  }
  const stdout = out();
  return {
    ok: true,
    value: {
      exit_code: exit.code,
      stdout: stdout.text,
      stderr: stderr.text,
      truncated: stdout.truncated || stderr.truncated,
    },
  };
}

function failed(code: string, message: string): CallResult {
  return { ok: false, code, message, retryable: false };
}

function collect(stream: NodeJS.ReadableStream): () => { readonly text: string; readonly truncated: boolean } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    if (bytes < execOutputBytesMax) chunks.push(chunk.subarray(0, execOutputBytesMax - bytes));
    bytes += chunk.length;
  });
  return () => ({ text: Buffer.concat(chunks).toString('utf8'), truncated: bytes > execOutputBytesMax });
}
