/** A signer who is let in and not trusted: the suite's raw components come from one, and run in bubblewrap. */
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Arena } from './arena.ts';
import { bundle } from './raw.ts';

export const hasBwrap: boolean =
  spawnSync('/usr/bin/bwrap', ['--unshare-all', '--ro-bind', '/', '/', 'true']).status === 0;
if (!hasBwrap) process.stderr.write('skipped: no bubblewrap here, components of strangers are refused\n');

/** The component as a stranger's bundle, where the operator lets that signer have all that it asks for. */
export async function installFromStranger(arena: Arena, name: string, wasm: Uint8Array, caps: string): Promise<void> {
  const { home } = arena;
  const key = join(home.path, `${name}.key`);
  const dir = join(home.path, 'raw', name);
  bundle(dir, name, wasm, caps);
  const ok = async (...args: readonly string[]): Promise<void> =>
    expect(await home.rlp(...args)).toMatchObject({ code: 0 });
  await ok('agent', 'keygen', '--out', key);
  await ok('trust', 'add', name, `${key}.pub`);
  const grants = caps.replaceAll('[limits]', '[anchor.caps.limits]');
  appendFileSync(join(home.path, 'trust-policy.toml'), `\n[anchor.caps]\n${grants}`);
  await ok('agent', 'sign', dir, '--key', key);
  await ok('agent', 'install', dir);
}
