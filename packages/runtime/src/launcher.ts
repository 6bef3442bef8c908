/**
 * How a cell of a signer that is not trusted, and a builder that parses what it brings, are started: in bubblewrap, or not
 * at all.
 *
 * 1. Own user, mount, pid, network, ipc, uts and cgroup namespaces; no environment but PWD=/; no capability; it dies with us.
 * 2. Its file system holds node, the libraries that node is linked with, and what the cell may read; all of it read-only.
 *    No /proc, no /dev, no /tmp.
 * 3. A system call filter: no socket, no other process, no look into one.
 * 4. A host where that cannot be done is found out by doing it, once, and such bundles are refused there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { type Clock, type Failure, failure } from '@runloop/core';
import { launcherMsMax } from './limits.ts';
import { seccompFilter } from './seccomp/profiles.ts';

export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  /** What it reads on descriptor 4 before it starts: its system call filter. */
  readonly filter?: Uint8Array;
};

export interface Launcher {
  /** `node` with these arguments, which may read these files and folders, and write these. */
  command(nodeArgs: readonly string[], readable: readonly string[], writable?: readonly string[]): Command;
  /** Why it cannot be used on this host, if it cannot. */
  refusal(): Promise<Failure | undefined>;
}

/** Without namespaces: for bundles of trusted signers. */
export const bareLauncher: Launcher = {
  command: (args) => ({ file: process.execPath, args }),
  refusal: () => Promise.resolve(undefined),
};

export function bubblewrap(deps: { readonly clock: Clock }, path: string): Launcher {
  let tried: Promise<Failure | undefined> | undefined;
  const filter = seccompFilter('cell', process.arch);
  const command: Launcher['command'] = (nodeArgs, readable, writable = []) => {
    const bound = [process.execPath, ...linkedLibraries(), ...readable];
    const binds = [
      ...bound.flatMap((one) => ['--ro-bind', one, one]),
      ...writable.flatMap((one) => ['--bind', one, one]),
    ];
    const args = [
      '--unshare-all',
      '--unshare-user',
      '--die-with-parent',
      '--new-session',
      '--cap-drop',
      'ALL',
      '--clearenv',
      ...binds,
    ];
    const sealed = ['--remount-ro', '/', '--seccomp', '4', '--', process.execPath, ...nodeArgs];
    return { file: path, args: [...args, ...sealed], filter: filter ?? new Uint8Array() };
  };
  const noFilter = (): Promise<Failure> => Promise.resolve(refused(`there is no filter for ${process.arch}`));
  const trial = (): Promise<Failure | undefined> =>
    filter === undefined ? noFilter() : attempt(deps.clock, command(['--version'], []));
  return { command, refusal: () => (tried ??= trial()) };
}

function attempt(clock: Clock, { file, args, filter }: Command): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { env: {}, cwd: '/', stdio: ['ignore', 'ignore', 'pipe', 'ignore', 'pipe'] });
    giveFilter(child, filter);
    let said = '';
    const deadline = clock.after(launcherMsMax, () => {
      child.kill('SIGKILL');
      child.stderr?.destroy();
      end(`it did not end within ${launcherMsMax} ms`);
    });
    const end = (why: string | undefined): void => {
      deadline[Symbol.dispose]();
      resolve(why === undefined ? undefined : refused(why));
    };
    child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString('latin1')).slice(0, 300)));
    child.on('error', (error) => end(error.message));
    child.on('close', (code) => end(code === 0 ? undefined : said.trim() || `it ended with ${code}`));
  });
}

/** Hands a child the filter that it waits for on descriptor 4. */
export function giveFilter(child: ChildProcess, filter: Uint8Array | undefined): void {
  (child.stdio[4] as Writable | undefined)?.on('error', () => {}).end(filter);
}

function refused(why: string): Failure {
  return failure('InvalidBundle', `its signer is not trusted, and this host cannot confine it: ${why}`, {
    hint: 'install bubblewrap and allow user namespaces, or trust the signer in trust-policy.toml',
  });
}

let linked: readonly string[] | undefined;
/** What node's dynamic loader opened, the loader itself included. */
function linkedLibraries(): readonly string[] {
  if (linked !== undefined) return linked;
  // Without it the report asks the network for the names of our addresses; Node's types do not know the switch.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { readonly sharedObjects?: readonly string[] };
  linked = (report.sharedObjects ?? []).filter((path) => path.startsWith('/') && !path.endsWith('.node'));
  return linked;
}
