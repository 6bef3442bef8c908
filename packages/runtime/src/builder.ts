/**
 * Starts builder processes and reads their answers.
 *
 * 1. A builder has no environment, a deadline, and bounded output; what it does not say in time is a failure.
 * 2. No V8 flag is on its command line, as none is on a cell's: V8 would refuse the code cache that it makes.
 * 3. A builder that parses what a bundle brings (`prepare`, `adapt`, `unpack`) may read files and write its one folder, by
 *    Node's permission model; it starts nothing. For a signer that is not trusted it runs in bubblewrap besides: our own
 *    programs, the one file and the one folder, no network, a system call filter.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, type Failure, type Result, err, failure, ok, parseJson } from '@runloop/core';
import type { BuilderAnswer, BuilderJob } from './builder-job.ts';
import { bareLauncher, giveFilter, type Launcher } from './launcher.ts';
import { builderMsMax, builderOutputBytesMax } from './limits.ts';

export const fromSource: boolean = import.meta.url.endsWith('.ts');
/** One of our own programs, whether we run from source or from dist. */
export function program(name: string): string {
  return fileURLToPath(new URL(`./${name}-main.${fromSource ? 'ts' : 'js'}`, import.meta.url));
}

export async function runBuilder(
  deps: { readonly clock: Clock },
  job: BuilderJob,
  launcher: Launcher = bareLauncher,
): Promise<Result<Extract<BuilderAnswer, { ok: true }>, Failure>> {
  const permissions = permissionsOf(job);
  const conditions = fromSource ? ['--conditions=source'] : [];
  const nodeArgs = [...permissions, ...conditions, '--disable-sigusr1', '--no-warnings', program('builder')];
  const { readable, writable } = pathsOf(job);
  const { file, args, filter } = launcher.command(nodeArgs, readable, writable);
  // Standard streams for the job; a launcher reads its filter from descriptor 4.
  const more = filter === undefined ? [] : (['ignore', 'pipe'] as const);
  const child = spawn(file, args, {
    env: {},
    stdio: ['pipe', 'pipe', 'pipe', ...more],
    cwd: '/',
  }) as ChildProcessWithoutNullStreams;
  giveFilter(child, filter);
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

/** What a confined builder sees of the file system: our own programs with what they import, its one file, its one folder. */
function pathsOf(job: BuilderJob): { readonly readable: readonly string[]; readonly writable: readonly string[] } {
  if (job.type === 'prepare') return { readable: [...own(), job.component], writable: [job.outDir] };
  return job.type === 'unpack'
    ? { readable: [...own(), job.archive], writable: [job.outDir] }
    : { readable: [], writable: [] };
}

let programs: readonly string[] | undefined;
/** The outermost folder above us with installed packages: theirs and ours. */
function own(): readonly string[] {
  if (programs !== undefined) return programs;
  let outermost = dirname(program('builder'));
  for (let dir = outermost; dir !== dirname(dir); dir = dirname(dir))
    if (existsSync(join(dir, 'node_modules'))) outermost = dir;
  const parts = ['node_modules', 'packages', 'package.json']
    .map((name) => join(outermost, name))
    .filter((path) => existsSync(path));
  return (programs = parts);
}
