/**
 * Lets a person edit a text in the editor of their choice: $VISUAL, $EDITOR, else vi.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { err, failure, type Failure, ok, type Result } from '@runloop/core';
import { canAsk } from './ask-approval.ts';
import type { Environment } from './environment.ts';

export async function editText(environment: Environment, before: string): Promise<Result<string, Failure>> {
  if (!canAsk(environment))
    return err(failure('Usage', 'there is no terminal to edit on', { hint: "give the arguments: --args '{…}'" }));
  const { env } = environment;
  const editor = env['VISUAL'] || env['EDITOR'] || 'vi';
  const dir = await mkdtemp(join(tmpdir(), 'rlp-'));
  try {
    const file = join(dir, 'arguments.json');
    await writeFile(file, before, { mode: 0o600 });
    // An editor may be a command with arguments of its own.
    const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
    const code = await new Promise<number>((resolve) => {
      child.on('close', (status) => resolve(status ?? 1));
    });
    if (code !== 0) return err(failure('Cancelled', `${editor} ended with ${code}; nothing was changed`));
    const after = await readFile(file, 'utf8');
    return after === before ? err(failure('Cancelled', 'nothing was changed')) : ok(after);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
