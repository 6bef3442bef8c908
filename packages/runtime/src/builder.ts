/**
 * Starts builder processes and reads their answers.
 *
 * 1. A builder has no environment, a deadline, and bounded output; what it does not say in time is a failure.
 * 2. No V8 flag is on its command line, as none is on a cell's: V8 would refuse the code cache that it makes.
 * 3. A builder that parses what a bundle brings (`prepare`, `adapt`, `unpack`) may read files and write its one folder, by Node's permission model; it starts nothing.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Clock, type Failure, type Result, err, failure, ok, parseJson } from '@runloop/core';
import type { BuilderAnswer, BuilderJob } from './builder-job.ts';
import { builderMsMax, builderOutputBytesMax } from './limits.ts';

export const fromSource: boolean = import.meta.url.endsWith('.ts');
/** One of our own programs, whether we run from source or from dist. */
export function program(name: string): string {
  return fileURLToPath(new URL(`./${name}-main.${fromSource ? 'ts' : 'js'}`, import.meta.url));
}

export async function runBuilder(
  deps: { readonly clock: Clock },
  job: BuilderJob,
): Promise<Result<Extract<BuilderAnswer, { ok: true }>, Failure>> {
  const permissions = permissionsOf(job);
  const conditions = fromSource ? ['--conditions=source'] : [];
  const child = spawn(
    process.execPath,
    [...permissions, ...conditions, '--disable-sigusr1', '--no-warnings', program('builder')],
    {
      env: {},
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: '/',
    },
  );
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  let bytes = 0;
  const keep = (into: Buffer[]) => (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > builderOutputBytesMax) child.kill('SIGKILL');
    else into.push(chunk);
  };
  child.stdout.on('data', keep(output));
  child.stderr.on('data', keep(errors));
  child.stdin.on('error', () => {});
  let late = false;
  using _deadline = deps.clock.after(builderMsMax, () => {
    late = true;
    child.kill('SIGKILL');
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', () => resolve(undefined));
  });
  child.stdin.end(JSON.stringify(job));
  const problem = await ended;
  const line = Buffer.concat(output).toString('utf8').trim().split('\n').pop() ?? '';
  const answer = parseJson(line);
  if (!answer.ok || answer.value === null || typeof answer.value !== 'object') {
    const what = late
      ? `it took longer than ${builderMsMax} ms`
      : (problem ?? Buffer.concat(errors).toString('utf8').trim().slice(-2000));
    return err(
      failure(permissions.length > 0 ? 'InvalidBundle' : 'BuildFailed', `the builder did not finish: ${what}`),
    );
  }
  const said = answer.value as unknown as BuilderAnswer;
  return said.ok ? ok(said) : err(failure(said.code, said.message));
}

function permissionsOf(job: BuilderJob): string[] {
  if (job.type !== 'prepare' && job.type !== 'adapt' && job.type !== 'unpack') return [];
  // The transpiler's WASI shim starts a worker for its own input and output.
  const worker = job.type !== 'unpack' ? ['--allow-worker'] : [];
  return ['--permission', ...worker, '--allow-fs-read=*', `--allow-fs-write=${job.outDir}`];
}
