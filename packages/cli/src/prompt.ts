/**
 * `rlp "<prompt>"`: a command runs in the user's shell, anything else starts the default opening.
 *
 * A denied line is not run: exit code 77, with the rule.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { errorTable, failure } from '@runloop/core';
import { route } from '@runloop/router';
import { type Environment, readConfig } from './environment.ts';
import { lookups, routerConfig } from './lookup.ts';
import type { Screen } from './screen.ts';

/** `dispatch` runs a command of rlp's own. */
export async function prompt(
  line: string,
  environment: Environment,
  screen: Screen,
  dispatch: (argv: readonly string[]) => Promise<number>,
): Promise<number> {
  const read = await readConfig(environment);
  if (!read.ok) {
    screen.failure(read.error);
    return errorTable[read.error.code].exit;
  }
  const { router } = read.value.config;
  const { env, cwd } = environment;
  const decision = route({ line, ...lookups({ env, cwd }), config: routerConfig(router) });
  if (decision.blocked) {
    screen.failure(
      failure('Forbidden', `this line is blocked by the ${decision.rule}`, {
        hint: 'the list is router.denylist; rlp config show',
      }),
    );
    return errorTable.Forbidden.exit;
  }
  if (decision.route === 'shell') return inShell(decision.text, env['SHELL'] || '/bin/sh');
  // A blank before it: no text of a sentence is an option.
  return dispatch(['ask', ` ${decision.text}`]);
}

/** The exit code of the shell; 128 and the signal's number where a signal ended it. */
function inShell(line: string, shell: string): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(shell, ['-c', line], { stdio: 'inherit' });
    child.on('error', (error) => {
      process.stderr.write(`rlp: ${shell} cannot be started: ${error.message}\n`);
      resolve(69);
    });
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
