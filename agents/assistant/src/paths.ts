/**
 * Paths as a model says them, as the absolute ones that host calls take. Whether they may be read, the kernel says.
 */

/** `~` and what is absolute stay what they are; `..` is followed, also out of the folder: it is refused there. */
export function absolute(folder: string, path: string): string {
  if (path.startsWith('~')) return path;
  const parts: string[] = [];
  for (const part of (path.startsWith('/') ? path : `${folder}/${path}`).split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** As people write it: relative to the folder where it lies in it. */
export function shown(folder: string, path: string): string {
  if (path === folder) return '.';
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : path;
}

/** Words of a command line, quotes taken off: models give one text where a list is asked for. */
export function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain ?? '',
  );
}
