/** How a process ends that does the work on the directory and kills itself at the step; upkeep-main.ts names the steps. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('upkeep-main.ts', import.meta.url));

export function killedAt(
  rootDir: string,
  work: 'archive' | 'backup' | 'forget',
  step: string,
): { readonly signal: string | null; readonly stderr: string } {
  const args = ['--conditions=source', script, rootDir, work, step];
  const options = { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGTERM' } as const;
  const { signal, stderr } = spawnSync(process.execPath, args, options);
  return { signal, stderr };
}
