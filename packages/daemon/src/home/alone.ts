/**
 * What is done to the knowledge base of a state directory in which no daemon runs: restoring, migrating.
 *
 * It takes the ledger's lock, as a daemon does: where one runs, the answer is `Busy`.
 */
import { join } from 'node:path';
import { type Clock, type Config, err, type Failure, failure, type Log, type Random, type Result } from '@runloop/core';
import { type Rebuilt, reopened, type Restored, restoreKb } from '@runloop/kb';
import { homeAt } from './home.ts';

type AloneDeps = { readonly clock: Clock; readonly random: Random; readonly log: Log };
type AloneOptions = { readonly root: string; readonly config: Config; readonly pid: number };

/** Puts the backup in the place of the ledger, which is kept beside it. */
export async function restoreHome(
  deps: AloneDeps,
  options: AloneOptions,
  from: string,
): Promise<Result<Restored, Failure>> {
  return stopped(await restoreKb(deps, kbOf(options), from, options.pid));
}

/** Brings an older ledger up to date, as a daemon would at its start, and makes the views anew. */
export async function migrateHome(deps: AloneDeps, options: AloneOptions): Promise<Result<Rebuilt, Failure>> {
  return stopped(await reopened(deps, kbOf(options)));
}

function kbOf({ root, config }: AloneOptions): { rootDir: string; eventsDb: string; viewDb: string } {
  const { kb: rootDir } = homeAt(root, config);
  return { rootDir, eventsDb: join(rootDir, config.kb.events_db), viewDb: join(rootDir, config.kb.view_db) };
}

function stopped<T>(done: Result<T, Failure>): Result<T, Failure> {
  if (done.ok || done.error.code !== 'Busy') return done;
  return err(failure('Busy', done.error.message, { hint: 'stop the daemon first: rlp daemon stop' }));
}
