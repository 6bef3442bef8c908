/**
 * Counts what keeps a process alive: sockets, servers, timers, children. A test takes the count before and after.
 */
import { setImmediate as turn } from 'node:timers/promises';

export type Leaks = { readonly [kind: string]: number };

export function openResources(): Leaks {
  const counts: { [kind: string]: number } = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind !== 'Immediate') counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** What is open now beyond `before`; waits a few turns for closing handles to go. */
export async function leakedSince(before: Leaks, kinds: (kind: string) => boolean = () => true): Promise<Leaks> {
  let leaked: { [kind: string]: number } = {};
  for (let i = 0; i < 50; i += 1) {
    leaked = {};
    for (const [kind, count] of Object.entries(openResources())) {
      const extra = count - (before[kind] ?? 0);
      if (extra > 0 && kinds(kind)) leaked[kind] = extra;
    }
    if (Object.keys(leaked).length === 0) break;
    await turn();
  }
  return leaked;
}
