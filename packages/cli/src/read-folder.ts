/**
 * The folder that is given to a run: where it really lies, if it may be given at all.
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
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

/** The top of the repository that the folder lies in without being it: git has to be asked there. */
export function repositoryAbove(folder: string): string | undefined {
  if (existsSync(join(folder, '.git'))) return undefined;
  for (let dir = dirname(folder); dir !== dirname(dir); dir = dirname(dir))
    if (existsSync(join(dir, '.git'))) return dir;
  return undefined;
}
