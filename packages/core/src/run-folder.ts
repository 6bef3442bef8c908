/**
 * The folder that an operator gives a run along: which one may be given at all.
 *
 * Purely the text of the path; where it really lies, whoever opens it sees. What is refused is what nobody means when he
 * stands there: everything, all of one's home, where keys lie, what is no file.
 */
import { resolve } from 'node:path';
import { type Failure, failure } from './errors.ts';
import { err, ok, type Result } from './result.ts';

const system = ['/proc', '/sys', '/dev', '/run', '/var/run', '/boot'];
const keys = '.ssh .gnupg .aws .azure .kube .docker .config .local .password-store .mozilla .pki .runloop'.split(' ');

/** `never` are folders that no run is given, nor what lies in or around them: the state directory. */
export function runFolder(
  path: string,
  places: { readonly homeDir: string; readonly never: readonly string[] },
): Result<string, Failure> {
  const problem = problemOf(path, places);
  if (problem === undefined) return ok(path);
  const hint = 'stand in the folder that it is about, a project for example, and ask there';
  return err(failure('InvalidParams', `the folder ${path} is not given to a run: ${problem}`, { hint }));
}

function problemOf(
  path: string,
  { homeDir, never }: { readonly homeDir: string; readonly never: readonly string[] },
): string | undefined {
  if (resolve(path) !== path || path.includes('\0')) return 'it is no plain absolute path';
  if (/[*?[\]{}]/.test(path)) return 'its name holds characters of a pattern';
  if (isWithin(homeDir, path)) return path === homeDir ? 'it is all of your home' : 'your home lies in it';
  const home = keys.find((name) => isWithin(path, `${homeDir}/${name}`));
  if (home !== undefined) return `~/${home} holds keys or settings`;
  if (system.some((dir) => isWithin(path, dir))) return 'it holds no files of yours';
  const own = never.find((dir) => isWithin(path, dir) || isWithin(dir, path));
  return own === undefined ? undefined : `runloop keeps its state in ${own}`;
}

function isWithin(path: string, dir: string): boolean {
  return path === dir || dir === '/' || path.startsWith(`${dir}/`);
}
