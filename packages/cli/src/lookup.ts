/**
 * What the router asks of the machine: whether PATH has a word, whether a file is there. Nothing is kept on disk.
 *
 * Loaded by `rlp route`, so it loads nothing but Node's own.
 */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import type { RouterConfig } from '@runloop/router';

export type Machine = {
  readonly env: { readonly [name: string]: string | undefined };
  readonly cwd: string;
};
export type Lookups = {
  readonly isCommand: (word: string) => boolean;
  readonly isFile: (path: string) => boolean;
  readonly aliases: ReadonlySet<string>;
  readonly functions: ReadonlySet<string>;
};

/** Names come from the plug-in, between blanks. */
export function lookups({ env, cwd }: Machine): Lookups {
  const folders = (env['PATH'] ?? '').split(':').map((folder) => (folder === '' ? cwd : folder));
  const home = env['HOME'] ?? '';
  const at = (path: string): string =>
    path.startsWith('~/') ? `${home}${path.slice(1)}` : path.startsWith('/') ? path : `${cwd}/${path}`;
  const names = (key: string): ReadonlySet<string> =>
    new Set((env[key] ?? '').split(/\s+/).filter((word) => word !== ''));
  return {
    isCommand: (word) => (word.includes('/') ? runs(at(word)) : folders.some((folder) => runs(`${folder}/${word}`))),
    isFile: (path) => !path.includes('\0') && existsSync(at(path)),
    aliases: names('RUNLOOP_ALIASES'),
    functions: names('RUNLOOP_FUNCTIONS'),
  };
}

function runs(path: string): boolean {
  if (path.includes('\0')) return false;
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether any layer of the configuration is there: without one, nothing of it is loaded. */
export function hasConfig({ env }: Machine, root: string): boolean {
  return (
    existsSync(`${root}/config.yaml`) ||
    existsSync('/etc/runloop/config.yaml') ||
    Object.keys(env).some((name) => name.startsWith('RUNLOOP__'))
  );
}

export function routerConfig(router: {
  readonly fastpath_shell: boolean;
  readonly allowlist: readonly string[];
  readonly denylist: readonly string[];
  readonly known_commands: readonly string[];
}): RouterConfig {
  return {
    fastpathShell: router.fastpath_shell,
    allowlist: router.allowlist,
    denylist: router.denylist,
    knownCommands: router.known_commands,
  };
}

/** All of standard input, as text. */
export function readInput(): string {
  return readFileSync(0, 'utf8');
}
