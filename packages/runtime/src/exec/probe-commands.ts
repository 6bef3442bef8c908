/**
 * Which limits of commands this host enforces, found out by commands that go beyond them.
 *
 * The kernel exempts root's processes from the limit on their number, whatever namespace they are in.
 */
import type { Clock } from '@runloop/core';
import { execMemoryBytesMax, launcherMsMax } from '../limits.ts';
import { runSandboxed } from './run-sandboxed.ts';

export type CommandLimits = { readonly memory: boolean; readonly processes: boolean };

/** Twice as many processes as the few that it leaves itself. */
const forks = [
  '--nproc=8:8',
  '--',
  '/usr/bin/sh',
  '-c',
  'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 5 & done',
];
const takes = ['if=/dev/zero', 'of=/dev/null', `bs=${execMemoryBytesMax + 2 ** 20}`, 'count=1', 'status=none'];

/** Undefined where commands cannot run at all. */
export async function probeCommands(
  deps: { readonly clock: Clock },
  bwrap?: string,
): Promise<CommandLimits | undefined> {
  const { signal } = new AbortController();
  const isStopped = async (command: string, argv: readonly string[]): Promise<boolean | undefined> => {
    const ran = await runSandboxed(deps, { command, argv }, { bwrap, wallMsMax: launcherMsMax }, signal);
    return ran.ok ? ran.value.exitCode !== 0 : undefined;
  };
  const memory = await isStopped('/usr/bin/dd', takes);
  const processes = await isStopped('/usr/bin/prlimit', forks);
  return memory === undefined || processes === undefined ? undefined : { memory, processes };
}
