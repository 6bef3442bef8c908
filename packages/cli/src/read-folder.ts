/**
 * The folder that is given to a run: where it really lies, if it may be given at all.
 */
import { realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { err, failure, type Failure, type Result, runFolder } from '@runloop/core';
import type { Environment } from './environment.ts';

export function readFolder(given: string, { cwd, root, env }: Environment): Result<string, Failure> {
  let path: string;
  try {
    path = realpathSync(resolve(cwd, given));
    if (!statSync(path).isDirectory()) return err(failure('NotFound', `${given} is no folder`));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return err(failure('NotFound', `the folder ${given} cannot be used: ${why}`));
  }
  return runFolder(path, { homeDir: env['HOME'] || homedir(), never: [root] });
}
