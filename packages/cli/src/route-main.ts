/**
 * `rlp route`: one JSON line, exit code 10 for the shell, 11 for the agents, 12 when time ran out.
 *
 * 1. A prompt waits for it: nothing is loaded but the router; the configuration only where there is one.
 * 2. When the time is up the answer is 12, and the line belongs to the shell.
 */
import { writeSync } from 'node:fs';
import { route as decide, routerDefaults, type RouterConfig } from '@runloop/router';
import { hasConfig, lookups, type Machine, readInput, routerConfig } from './lookup.ts';

const usage = 'usage: rlp route "<prompt>" | --stdin [--timeout-ms 200]';

/** Its exit code; undefined for what it does not answer itself, such as `--help`. */
export async function route(argv: readonly string[]): Promise<number | undefined> {
  const from = performance.now();
  const asked = read(argv);
  if (typeof asked !== 'object') return asked;
  const machine: Machine = { env: process.env, cwd: process.cwd() };
  const root = process.env['RUNLOOP_HOME'] || `${process.env['HOME'] ?? ''}/.runloop`;
  const late = (): boolean => performance.now() - from > asked.timeoutMs;
  let config: RouterConfig = routerDefaults;
  if (hasConfig(machine, root)) {
    const read = await configured();
    if (typeof read === 'number') return read;
    config = read;
  }
  const line = asked.line ?? readInput().replace(/\n$/, '');
  if (late()) return 12;
  const { isCommand, ...rest } = lookups(machine);
  // Folders of PATH may lie on a network that hangs: once time is up, nothing more is looked up.
  const decision = decide({ line, ...rest, isCommand: (word) => !late() && isCommand(word), config });
  if (late()) return 12;
  const { version, route: to, rule, blocked } = decision;
  writeSync(1, `${JSON.stringify({ version, route: to, rule, blocked })}\n`);
  return to === 'shell' ? 10 : 11;
}

async function configured(): Promise<RouterConfig | number> {
  const { readConfig, readEnvironment } = await import('./environment.ts');
  const read = await readConfig(readEnvironment());
  if (read.ok) return routerConfig(read.value.config.router);
  writeSync(2, `rlp: ${read.error.message}\n${read.error.hint === undefined ? '' : `     ${read.error.hint}\n`}`);
  return 65;
}

/** The line and the time; undefined for the slow path (`--help`), a number for an exit code. */
function read(
  argv: readonly string[],
): { readonly line: string | undefined; readonly timeoutMs: number } | number | undefined {
  const words: string[] = [];
  let stdin = false;
  let timeoutMs = 200;
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    if (word === '--help' || word === '-h') return undefined;
    if (word === '--stdin') stdin = true;
    else if (word === '--json') continue;
    else if (word === '--') {
      words.push(...argv.slice(index + 1));
      break;
    } else if (word === '--timeout-ms' || word.startsWith('--timeout-ms=')) {
      const text = word === '--timeout-ms' ? argv[(index += 1)] : word.slice(13);
      timeoutMs = Number(text);
      if (text === undefined || text === '' || !Number.isFinite(timeoutMs) || timeoutMs < 0)
        return wrong('--timeout-ms takes a number of milliseconds');
    } else words.push(word);
  }
  if (stdin ? words.length > 0 : words.length !== 1)
    return wrong(stdin ? '--stdin takes no prompt' : 'one prompt is needed, in quotes');
  return { line: stdin ? undefined : words[0], timeoutMs };
}

function wrong(message: string): number {
  writeSync(2, `rlp: ${message}\n     ${usage}\n`);
  return 2;
}
