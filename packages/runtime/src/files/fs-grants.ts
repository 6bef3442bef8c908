/**
 * Grants of directories, as texts alone: how they are written, which one covers a path, what two layers have in common.
 *
 * 1. A path counts only in its normal form: absolute, no `.`, no `..`, no doubled or trailing slash, no NUL.
 * 2. The deepest grant that holds a path decides; a read-only grant inside a writable one makes that part read-only.
 * 3. Kernel file systems are never covered.
 * 4. `.` is the folder that the operator gave the run along; without one it grants nothing.
 *
 * What lies at a path is not looked at here: that is the opener's work.
 */
export type FsGrant = {
  readonly path: string;
  readonly write: boolean;
  /** Each write is asked about. */
  readonly ask?: true;
};

/** A path is no longer than what Linux takes. */
export const pathBytesMax = 4095;
export const segmentBytesMax = 255;
export const neverGranted: readonly string[] = ['/proc', '/sys', '/dev', '/run', '/var/run'];

export function isWithin(path: string, dir: string): boolean {
  return path === dir || dir === '/' || path.startsWith(`${dir}/`);
}

/** What is wrong with a path of a call; undefined where it is in its normal form. */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'the path is empty';
  if (path.includes('\0')) return 'the path holds a NUL';
  if (!path.isWellFormed()) return 'the path is no valid Unicode';
  if (!path.startsWith('/')) return 'the path is not absolute';
  if (path === '/') return undefined;
  if (Buffer.byteLength(path) > pathBytesMax) return `the path has more than ${pathBytesMax} bytes`;
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') return 'the path has an empty part (a doubled or trailing slash)';
    if (segment === '.' || segment === '..') return `the path has a part "${segment}"`;
    if (Buffer.byteLength(segment) > segmentBytesMax)
      return `a part of the path has more than ${segmentBytesMax} bytes`;
  }
  return undefined;
}

/** The directory of a grant in its normal form, `~` and `.` kept; or what is wrong with it, thrown by the caller. */
export function grantedDirectory(given: string): { readonly path: string } | { readonly problem: string } {
  const root = /^[~.](?=\/|$)/.exec(given)?.[0];
  const parts = given
    .slice(root?.length ?? 0)
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  const path = `/${parts.join('/')}`;
  if (root === undefined && !given.startsWith('/'))
    return { problem: 'must be an absolute directory, or begin with "~/", or be "." (the folder of the run)' };
  if (/[*?[\]{}]/.test(given)) return { problem: 'is a pattern, and only directories can be granted' };
  const problem = pathProblem(path);
  if (problem !== undefined) return { problem: `cannot be granted: ${problem}` };
  if (root !== undefined) return { path: path === '/' ? root : `${root}${path}` };
  if (path === '/') return { problem: 'is everything; name the directories that the agent needs' };
  const never = neverGranted.find((dir) => isWithin(path, dir));
  return never === undefined ? { path } : { problem: `lies in ${never}, which is never granted` };
}

/**
 * Grants below the home directory, and below the run's folder where there is one, as absolute ones. Those that then lie
 * where nothing is granted are left out; of two that then name one directory the narrower counts.
 */
export function expandGrants(grants: readonly FsGrant[], home: string, folder?: string): readonly FsGrant[] {
  const expanded = new Map<string, FsGrant>();
  for (const grant of grants) {
    const { path: given } = grant;
    const base = given.startsWith('.') ? folder : given.startsWith('~') ? home : '';
    if (base === undefined) continue;
    const directory = base === '' ? { path: given } : grantedDirectory(base + given.slice(1));
    if (!('path' in directory)) continue;
    const before = expanded.get(directory.path);
    expanded.set(directory.path, narrower({ ...grant, path: directory.path }, before));
  }
  return [...expanded.values()];
}

/** Of `one`'s directory, what both allow. */
function narrower(one: FsGrant, other: FsGrant = one): FsGrant {
  const write = one.write && other.write;
  const asks = write && (one.ask === true || other.ask === true);
  return { path: one.path, write, ...(asks ? { ask: true } : {}) };
}

/** The deepest grant that holds `path`. */
export function grantFor(grants: readonly FsGrant[], path: string): FsGrant | undefined {
  let deepest: FsGrant | undefined;
  for (const grant of grants) {
    if (isWithin(path, grant.path) && grant.path.length > (deepest?.path.length ?? -1)) deepest = grant;
  }
  return deepest;
}

/** What both grant: at each directory that either names, reading where both cover it, writing where both allow it. */
export function narrowGrants(a: readonly FsGrant[], b: readonly FsGrant[]): readonly FsGrant[] {
  const paths = new Set([...a, ...b].map(({ path }) => path));
  return [...paths].flatMap((path) => {
    const one = grantFor(a, path);
    const other = grantFor(b, path);
    return one === undefined || other === undefined ? [] : [narrower({ ...one, path }, other)];
  });
}

/** What policy.caps would have to say for a call on `path`: the directory that holds it, or that it is. */
export function missingGrant(path: string, write: boolean, isDirectory = false): string {
  const parent = path.slice(0, path.lastIndexOf('/'));
  const dir = JSON.stringify((isDirectory || parent === '' ? path : parent).slice(0, 200));
  return write ? `fs = [{ path = ${dir}, write = true }]` : `fs = [${dir}]`;
}
