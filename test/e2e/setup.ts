/**
 * Once for all end-to-end tests: a state directory whose agents are built and ready, copied by each test that needs one.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { agentDir, root, template } from './place.ts';

export default function setup(): void {
  rmSync(template, { recursive: true, force: true });
  mkdirSync(join(template, 'agents'), { recursive: true, mode: 0o700 });
  const env = { ...process.env, RUNLOOP_HOME: template };
  execFileSync('cp', ['-r', agentDir('slow'), join(template, 'agents', 'slow')]);
  execFileSync(join(root, 'bin/rlp'), ['agent', 'build', '--all', join(template, 'agents', 'slow')], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
