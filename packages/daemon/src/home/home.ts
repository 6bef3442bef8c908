/**
 * The state directory: where each thing lives, and the lock that keeps a second daemon out.
 *
 * No state lies outside of it (A11), but for the socket where the configuration moves it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { type Config, err, type Failure, failure, makeDirectory, type Result } from '@runloop/core';

export type Home = {
  readonly root: string;
  readonly configFile: string;
  readonly socket: string;
  readonly kb: string;
  readonly keys: string;
  /** What can be made again: prepared components, agents built from the checkout. */
  readonly cache: string;
  /** Bundles by digest, for as long as a tape names them. */
  readonly store: string;
  /** What the operator has agreed to by digest. */
  readonly trust: string;
  readonly logFile: string;
};

export function homeAt(root: string, config: Config): Home {
  const under = (path: string): string => expand(path, root);
  const { socket_path: path, sockets_dir: dir } = config.runtime;
  return {
    root,
    configFile: join(root, 'config.yaml'),
    socket: path !== '' ? under(path) : dir !== '' ? join(under(dir), 'rmp.sock') : join(root, 'sock', 'rmp.sock'),
    kb: under(config.kb.root_dir),
    keys: join(root, 'keys'),
    cache: join(root, 'cache'),
    store: join(root, 'store'),
    trust: join(root, 'trust'),
    logFile: config.logging.file === '' ? join(root, 'logs', 'daemon.log') : under(config.logging.file),
  };
}

/** `~/.runloop` means the state directory wherever it lies; relative paths count from it. */
export function expand(path: string, root: string): string {
  if (path === '~/.runloop') return root;
  if (path.startsWith('~/.runloop/')) return join(root, path.slice('~/.runloop/'.length));
  if (path.startsWith('~/')) return join(dirname(root), path.slice(2));
  return isAbsolute(path) ? path : resolve(root, path);
}

/** Makes the directory, private; says what stands in the way. */
export function makeHome(root: string): Result<void, Failure> {
  const made = makeDirectory(root);
  if (made.ok) return made;
  const hint = 'set RUNLOOP_HOME to a directory that you may write to';
  return err(failure(made.error.code, `the state directory: ${made.error.message}`, { hint }));
}

/** The checkout that this code runs from, if it does: its agents and examples are built in. */
export function checkoutRoot(from: string): string | undefined {
  for (let dir = from; dir !== dirname(dir); dir = dirname(dir)) {
    const manifest = join(dir, 'package.json');
    if (!existsSync(manifest) || !existsSync(join(dir, 'agents'))) continue;
    const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string };
    if (name === 'runloop') return dir;
  }
  return undefined;
}

/** Search directories as absolute paths; the built-in relative ones count from the checkout, others from the state directory. */
export function searchDirs(dirs: readonly string[], root: string, checkout: string | undefined): readonly string[] {
  return dirs.flatMap((dir) => {
    if (dir === './agents' || dir === './examples/openings') return checkout === undefined ? [] : [join(checkout, dir)];
    return [expand(dir, root)];
  });
}
